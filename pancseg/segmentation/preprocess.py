"""The network's slices and the exact way back: window, square field of view, linear resampling.

Knows arrays only: axial slices ``(n, y, x)`` in canonical (LPS) order with their pixel spacing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Preprocessing

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SliceGrid:
    """Linear maps between a scan's axial slices and the network's square slices.

    The square is centred on the scan's slice and as wide as its longer side (at least the
    checkpoint's ``smallest_field_mm``); what lies outside the scan is air, the window's lower end.
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

    def to_network(self, slices_hu: NDArray[Any]) -> Floats:
        """Map slices in HU ``(n, y, x)`` to network input ``(n, size, size)`` in 0..1."""
        low, high = self.window_hu
        scaled = (np.clip(slices_hu.astype(np.float32), low, high) - low) / (high - low)
        result: Floats = (self.down_y @ scaled @ self.down_x.T).astype(np.float32, copy=False)
        return result

    def to_scan(self, probabilities: Floats) -> Floats:
        """Map network output ``(n, size, size)`` back to the scan's pixels ``(n, y, x)``."""
        result: Floats = (self.up_y @ probabilities @ self.up_x.T).astype(np.float32, copy=False)
        return result


def _both_ways(n: int, spacing_mm: float, size: int, pixel_mm: float) -> tuple[Floats, Floats]:
    ratio = pixel_mm / spacing_mm
    offset = (n - 1) / 2 - ratio * (size - 1) / 2
    positions = offset + ratio * np.arange(size, dtype=np.float64)
    back = (np.arange(n, dtype=np.float64) - offset) / ratio
    inside = (positions >= -0.5) & (positions <= n - 0.5)
    down = (_linear_weights(positions, n) * inside[:, None]).astype(np.float32)
    return down, _linear_weights(back, size)


def _linear_weights(positions: NDArray[np.float64], n: int) -> Floats:
    """Return ``(len(positions), n)`` weights of linear interpolation, the edge value beyond it."""
    clipped = np.clip(positions, 0, n - 1)
    below = np.minimum(clipped.astype(int), n - 2)
    share = clipped - below
    weights = np.zeros((len(positions), n), dtype=np.float32)
    rows = np.arange(len(positions))
    weights[rows, below] = 1 - share
    weights[rows, below + 1] = share
    return weights
