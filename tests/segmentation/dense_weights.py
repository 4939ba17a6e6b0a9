"""Linear interpolation by whole matrices of weights, the slow way: what taps are compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Preprocessing

Floats = NDArray[np.float32]
Pair = tuple[float, float]


def dense_weights(
    shape: tuple[int, int], spacing_mm: Pair, settings: Preprocessing
) -> list[tuple[Floats, Floats]]:
    """Return for rows and for columns the ``(new, old)`` weights to the network and back."""
    sides_mm = [n * s for n, s in zip(shape, spacing_mm, strict=True)]
    pixel_mm = max(*sides_mm, settings.smallest_field_mm) / settings.size
    return [
        both_ways(n, spacing, settings.size, pixel_mm)
        for n, spacing in zip(shape, spacing_mm, strict=True)
    ]


def both_ways(n: int, spacing_mm: float, size: int, pixel_mm: float) -> tuple[Floats, Floats]:
    ratio = pixel_mm / spacing_mm
    offset = (n - 1) / 2 - ratio * (size - 1) / 2
    positions = offset + ratio * np.arange(size, dtype=np.float64)
    back = (np.arange(n, dtype=np.float64) - offset) / ratio
    inside = (positions >= -0.5) & (positions <= n - 0.5)
    return linear_weights(positions, n) * inside[:, None], linear_weights(back, size)


def linear_weights(positions: NDArray[np.float64], n: int) -> Floats:
    """Return ``(len(positions), n)`` weights, the edge value beyond the edge."""
    clipped = np.clip(positions, 0, n - 1)
    below = np.minimum(clipped.astype(int), n - 2)
    weights = np.zeros((len(positions), n), dtype=np.float32)
    rows = np.arange(len(positions))
    weights[rows, below] = 1 - (clipped - below)
    weights[rows, below + 1] = clipped - below
    return weights
