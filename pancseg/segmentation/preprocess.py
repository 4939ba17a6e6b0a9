"""Convert a scan's slices to the network's input, and probabilities back to the scan's pixels.

The steps are an HU window, a square field of view and linear resampling. Arrays are axial slices
``(n, y, x)`` in LPS order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Preprocessing

Floats = NDArray[np.float32]
_ROUNDING = 1e-6
"""Larger than the amount by which an interpolated float32 can exceed its neighbours."""


class Taps(NamedTuple):
    """Linear interpolation along one axis: two neighbours and their weights for each new point.

    A product with the (mostly zero) matrix took four times as long, and eighty times as long beside
    another process that used all cores.

    Attributes:
        first, second: index of each new point's neighbours among the old points.
        weights: of the two, ``(new, 1)`` each; both zero for a point that lies outside.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    weights: tuple[Floats, Floats]

    @classmethod
    def at(cls, positions: NDArray[np.float64], count: int, *, beyond: bool) -> Taps:
        """Return the taps of new points.

        Args:
            positions: of the new points, in units of the old ones, the first of which is at 0.
            count: of the old points.
            beyond: whether points more than half a step beyond the old ones take the value at
                their end; otherwise they are 0.
        """
        clipped = np.clip(positions, 0, count - 1)
        first = np.clip(clipped.astype(np.intp), 0, max(count - 2, 0))
        second = np.minimum(first + 1, count - 1)
        share = clipped - first
        known = (positions >= -0.5) & (positions <= count - 0.5) | beyond
        weights = ((each * known).astype(np.float32)[:, None] for each in (1 - share, share))
        return cls(first, second, (next(weights), next(weights)))

    @property
    def inside(self) -> slice:
        """The range of new points that lie between the old ones, or half a step beyond them."""
        found = np.flatnonzero(self.weights[0] + self.weights[1])
        return slice(int(found[0]), int(found[-1]) + 1)

    def position(self, index: int) -> float:
        """Return where a new point lies among the old ones."""
        return float(self.first[index] + self.weights[1][index, 0])

    def reading(self) -> tuple[slice, Taps]:
        """Return the old points that are needed, and the taps that count from the first of them."""
        start = int(self.first.min())
        return slice(start, int(self.second.max()) + 1), Taps(
            self.first - start, self.second - start, self.weights
        )

    def within(self, part: slice) -> Taps:
        """Return the taps of some of the new points."""
        first, second = self.weights
        return Taps(self.first[part], self.second[part], (first[part], second[part]))

    def touching(self, high: NDArray[np.bool_]) -> slice:
        """Return the range of new points that have a ``high`` old point as a neighbour."""
        touched = np.flatnonzero(high[self.first] | high[self.second])
        return slice(int(touched[0]), int(touched[-1]) + 1) if touched.size else slice(0)

    def along_rows(self, values: Floats) -> Floats:
        """Interpolate ``(old, m)`` to ``(new, m)``."""
        result: Floats = values.take(self.first, axis=0)
        result *= self.weights[0]
        second = values.take(self.second, axis=0)
        second *= self.weights[1]
        result += second
        return result


@dataclass(frozen=True)
class SliceGrid:
    """Linear maps between a scan's axial slices and the network's slices.

    Those of :meth:`for_slices` are square, centred on the scan's slice and as wide as its longer
    side (at least the checkpoint's ``smallest_field_mm``). Outside the scan is air, the window's
    lower end. For 512×512 pixels and a 256×256 network this is the mean of each 2×2 block.

    Attributes:
        window_hu: HU clipped to this window, then scaled to 0..1.
        down_y, down_x: from the scan's rows and columns to the network's.
        up_y, up_x: the way back.
    """

    window_hu: tuple[float, float]
    down_y: Taps
    down_x: Taps
    up_y: Taps
    up_x: Taps

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

    @classmethod
    def of_pixels(
        cls,
        shape: tuple[int, int],
        spacing_mm: tuple[float, float],
        pixel_mm: float,
        least: tuple[int, int],
        window_hu: tuple[float, float],
    ) -> SliceGrid:
        """Build the maps to pixels of a given size, which cover the slice and are not square.

        Args:
            shape: rows and columns of the scan's slices.
            spacing_mm: of the scan's pixels (y, x). Where it equals ``pixel_mm``, pixels are copied
                and not interpolated.
            pixel_mm: side of the network's pixels.
            least: fewest rows and columns; a smaller slice is padded with air on all sides.
            window_hu: HU clipped to this window, then scaled to 0..1.
        """
        maps = []
        for n, spacing, fewest in zip(shape, spacing_mm, least, strict=True):
            size = max(math.ceil(n * spacing / pixel_mm - _ROUNDING), fewest)
            size += spacing == pixel_mm and (size - n) % 2  # equal edges: no shift by half a pixel
            maps.append(_both_ways(n, spacing, size, pixel_mm))
        (down_y, up_y), (down_x, up_x) = maps
        return cls(window_hu, down_y, down_x, up_y, up_x)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the network's slices."""
        return len(self.down_y.first), len(self.down_x.first)

    def window(self, slice_hu: NDArray[Any], rows: slice, columns: slice) -> Floats:
        """Map a part of one slice in HU ``(y, x)`` to the network's rows and columns, in 0..1."""
        read_rows, down_y = self.down_y.within(rows).reading()
        read_columns, down_x = self.down_x.within(columns).reading()
        return _resampled(self._scaled(slice_hu[read_rows, read_columns]), down_y, down_x)

    def _scaled(self, hu: NDArray[Any]) -> Floats:
        low, high = self.window_hu
        scaled: Floats = np.clip(hu.astype(np.float32), low, high)
        scaled -= np.float32(low)
        scaled /= np.float32(high - low)
        return scaled

    @property
    def shown_columns(self) -> slice:
        """The columns of the network's slices that the scan covers; the others are air."""
        return self.down_x.inside

    def to_network(self, slices_hu: NDArray[Any]) -> Floats:
        """Map slices in HU ``(n, y, x)`` to network input ``(n, size, size)`` in 0..1."""
        result = np.empty((len(slices_hu), *self.shape), np.float32)
        for hu, made in zip(slices_hu, result, strict=True):  # one by one: they fit the cache
            made[:] = _resampled(self._scaled(hu), self.down_y, self.down_x)
        return result

    def share(self, masks: NDArray[np.bool_] | NDArray[np.uint8]) -> Floats:
        """Map masks ``(n, y, x)`` of 0 and 1 to the share of each network pixel that they cover."""
        planes = (mask.astype(np.float32) for mask in masks)
        return np.stack([_resampled(plane, self.down_y, self.down_x) for plane in planes])

    def to_scan(self, probabilities: Floats) -> Floats:
        """Map network output ``(n, size, size)`` back to the scan's pixels ``(n, y, x)``."""
        return np.stack([_resampled(plane, self.up_y, self.up_x) for plane in probabilities])

    def part_of_scan(self, probability: Floats, rows: slice, columns: slice) -> Floats:
        """Return a part of what :meth:`to_scan` makes of one slice ``(size, size)``."""
        return _resampled(probability, self.up_y.within(rows), self.up_x.within(columns))

    def reaching(self, probabilities: Floats, threshold: float) -> NDArray[np.bool_]:
        """Return where :meth:`to_scan` reaches a threshold, ``(n, y, x)``."""
        return self.levels(probabilities, [threshold]).view(np.bool_)

    def levels(self, probabilities: Floats, thresholds: Sequence[float]) -> NDArray[np.uint8]:
        """Return how many thresholds :meth:`to_scan` reaches, ``(n, y, x)``.

        Only the part of a slice around network pixels at the lowest threshold is resampled, because
        an interpolated value never exceeds its neighbours.
        """
        size = len(self.up_y.first), len(self.up_x.first)
        levels = np.zeros((len(probabilities), *size), np.uint8)
        high = probabilities >= min(thresholds) - _ROUNDING
        for index in np.flatnonzero(high.any(axis=(1, 2))):
            rows = self.up_y.touching(high[index].any(axis=1))
            columns = self.up_x.touching(high[index].any(axis=0))
            part = self.part_of_scan(probabilities[index], rows, columns)
            for threshold in thresholds:
                levels[index, rows, columns] += part >= threshold
        return levels


def _resampled(plane: Floats, rows: Taps, columns: Taps) -> Floats:
    halfway = np.ascontiguousarray(rows.along_rows(plane).T)
    return np.ascontiguousarray(columns.along_rows(halfway).T)


def _both_ways(n: int, spacing_mm: float, size: int, pixel_mm: float) -> tuple[Taps, Taps]:
    """Return the taps from ``n`` pixels of a scan to the network's ``size``, and back."""
    ratio = pixel_mm / spacing_mm
    offset = (n - 1) / 2 - ratio * (size - 1) / 2
    positions = offset + ratio * np.arange(size, dtype=np.float64)
    back = (np.arange(n, dtype=np.float64) - offset) / ratio
    return Taps.at(positions, n, beyond=False), Taps.at(back, size, beyond=True)
