"""Convert a scan's slices to the network's input, and probabilities back to the scan's pixels.

The steps are an HU window, a square field of view and linear resampling. Arrays are axial slices
``(n, y, x)`` in LPS order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Preprocessing

Floats = NDArray[np.float32]
_ROUNDING = 1e-6
"""Larger than the amount by which an interpolated float32 can exceed its neighbours."""


class _Taps(NamedTuple):
    """Linear interpolation along one axis: two neighbours and their weights for each new point.

    A product with the (mostly zero) matrix took four times as long, and eighty times as long beside
    another process that used all cores.
    """

    first: NDArray[np.intp]
    weights: tuple[Floats, Floats]

    @classmethod
    def of(cls, matrix: Floats) -> _Taps:
        """Read the taps off a matrix of ``(new, old)`` weights."""
        first = np.minimum((matrix != 0).argmax(axis=1), matrix.shape[1] - 2)
        rows = np.arange(len(matrix))
        return cls(first, (matrix[rows, first][:, None], matrix[rows, first + 1][:, None]))

    def within(self, part: slice) -> _Taps:
        """Return the taps of some of the new points."""
        return _Taps(self.first[part], (self.weights[0][part], self.weights[1][part]))

    def touching(self, high: NDArray[np.bool_]) -> slice:
        """Return the range of new points that have a ``high`` old point as a neighbour."""
        touched = np.flatnonzero(high[self.first] | high[self.first + 1])
        return slice(int(touched[0]), int(touched[-1]) + 1) if touched.size else slice(0)

    def along_rows(self, values: Floats) -> Floats:
        """Interpolate ``(old, m)`` to ``(new, m)``."""
        result: Floats = values.take(self.first, axis=0)
        result *= self.weights[0]
        second = values.take(self.first + 1, axis=0)
        second *= self.weights[1]
        result += second
        return result


@dataclass(frozen=True)
class SliceGrid:
    """Linear maps between a scan's axial slices and the network's square slices.

    The square is centred on the scan's slice and as wide as its longer side (at least the
    checkpoint's ``smallest_field_mm``). Outside the scan is air, the window's lower end.
    For 512×512 pixels and a 256×256 network this is the mean of each 2×2 block.

    Attributes:
        window_hu: HU clipped to this window, then scaled to 0..1.
        down_y, down_x: ``(size, rows)`` and ``(size, columns)`` interpolation weights.
        up_y, up_x: ``(rows, size)`` and ``(columns, size)``, the way back.
    """

    window_hu: tuple[float, float]
    down_y: Floats
    down_x: Floats
    up_y: Floats
    up_x: Floats

    @classmethod
    def for_slices(
        cls, shape: tuple[int, int], spacing_mm: tuple[float, float], settings: Preprocessing
    ) -> SliceGrid:
        """Build the maps for slices of ``shape`` (rows, columns) and ``spacing_mm`` (y, x)."""
        sides_mm = [n * s for n, s in zip(shape, spacing_mm, strict=True)]
        pixel_mm = max(*sides_mm, settings.smallest_field_mm) / settings.size
        maps = [
            _both_ways(n, spacing, settings.size, pixel_mm)
            for n, spacing in zip(shape, spacing_mm, strict=True)
        ]
        (down_y, up_y), (down_x, up_x) = maps
        return cls(settings.window_hu, down_y, down_x, up_y, up_x)

    @property
    def shown_columns(self) -> slice:
        """The columns of the network's slices that the scan covers; the others are air."""
        covered = np.flatnonzero(self.down_x.any(axis=1))
        return slice(int(covered[0]), int(covered[-1]) + 1)

    def to_network(self, slices_hu: NDArray[Any]) -> Floats:
        """Map slices in HU ``(n, y, x)`` to network input ``(n, size, size)`` in 0..1."""
        low, high = self.window_hu
        rows, columns = _Taps.of(self.down_y), _Taps.of(self.down_x)
        result = np.empty((len(slices_hu), len(self.down_y), len(self.down_x)), np.float32)
        for hu, made in zip(slices_hu, result, strict=True):  # one at a time fits the CPU's cache
            scaled = np.clip(hu.astype(np.float32), low, high)
            scaled -= np.float32(low)
            scaled /= np.float32(high - low)
            made[:] = _resampled(scaled, rows, columns)
        return result

    def share(self, masks: NDArray[np.bool_] | NDArray[np.uint8]) -> Floats:
        """Map masks ``(n, y, x)`` of 0 and 1 to the share of each network pixel that they cover."""
        rows, columns = _Taps.of(self.down_y), _Taps.of(self.down_x)
        return np.stack([_resampled(mask.astype(np.float32), rows, columns) for mask in masks])

    def to_scan(self, probabilities: Floats) -> Floats:
        """Map network output ``(n, size, size)`` back to the scan's pixels ``(n, y, x)``."""
        rows, columns = _Taps.of(self.up_y), _Taps.of(self.up_x)
        return np.stack([_resampled(p, rows, columns) for p in probabilities])

    def reaching(self, probabilities: Floats, threshold: float) -> NDArray[np.bool_]:
        """Return where :meth:`to_scan` reaches a threshold, ``(n, y, x)``.

        Only the part of a slice around network pixels at the threshold is resampled, because an
        interpolated value never exceeds its neighbours.
        """
        all_rows, all_columns = _Taps.of(self.up_y), _Taps.of(self.up_x)
        found = np.zeros((len(probabilities), len(self.up_y), len(self.up_x)), dtype=bool)
        high = probabilities >= threshold - _ROUNDING
        for index in np.flatnonzero(high.any(axis=(1, 2))):
            rows = all_rows.touching(high[index].any(axis=1))
            columns = all_columns.touching(high[index].any(axis=0))
            part = _resampled(
                probabilities[index], all_rows.within(rows), all_columns.within(columns)
            )
            found[index, rows, columns] = part >= threshold
        return found


def _resampled(plane: Floats, rows: _Taps, columns: _Taps) -> Floats:
    halfway = np.ascontiguousarray(rows.along_rows(plane).T)
    return np.ascontiguousarray(columns.along_rows(halfway).T)


def _both_ways(n: int, spacing_mm: float, size: int, pixel_mm: float) -> tuple[Floats, Floats]:
    ratio = pixel_mm / spacing_mm
    offset = (n - 1) / 2 - ratio * (size - 1) / 2
    positions = offset + ratio * np.arange(size, dtype=np.float64)
    back = (np.arange(n, dtype=np.float64) - offset) / ratio
    inside = (positions >= -0.5) & (positions <= n - 0.5)
    down = (_linear_weights(positions, n) * inside[:, None]).astype(np.float32)
    return down, _linear_weights(back, size)


def _linear_weights(positions: NDArray[np.float64], n: int) -> Floats:
    """Return ``(len(positions), n)`` weights of linear interpolation; outside, the edge value."""
    clipped = np.clip(positions, 0, n - 1)
    below = np.minimum(clipped.astype(int), n - 2)
    share = clipped - below
    weights = np.zeros((len(positions), n), dtype=np.float32)
    rows = np.arange(len(positions))
    weights[rows, below] = 1 - share
    weights[rows, below + 1] = share
    return weights
