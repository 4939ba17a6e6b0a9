"""IBSI's resampling grid (reference manual, section 2.4): same centre, whole voxels, nearest edge.

Only the part of the grid that is asked for is ever computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancseg.errors import UnusableCase
from pancseg.scans.bounding_box import BoundingBox

Interpolation = Literal["linear", "cubic"]

_HALF = 0.5 - 1e-9
"""An interpolated mask counts from one half; the slack keeps rounding out of it."""
_SLACK = 1e-3
"""Of a voxel. Slices of 0.8 mm are 0.800000012 in NIfTI, and 0.79999998 in a DICOM series whose
positions were rounded: 250 of them are 200 of 1 mm. A voxel more would move all by half of one."""
SPLINE_REACH = 40
"""Voxels after which a cubic spline's memory is below a double's last digit (0.268 ** 40)."""
MOST_VOXELS = 200_000_000
"""Of the new grid around a region: 1.6 GB for each array of them."""


def check_size(size: Sequence[int], spacing_mm: Sequence[float]) -> None:
    """Refuse a part of a grid that would fill the memory, before it is made.

    Args:
        size: its voxels along each axis.
        spacing_mm: their size (x, y, z).

    Raises:
        UnusableCase: ``fine_grid``.
    """
    voxels = math.prod(int(n) for n in size)
    if voxels > MOST_VOXELS:
        sides = "×".join(f"{side:.4g}" for side in spacing_mm)
        raise UnusableCase(
            "fine_grid",
            f"around the region a grid of {sides} mm has {voxels:,} voxels "
            f"({voxels * 8 / 1e9:,.0f} GB an array); at most {MOST_VOXELS:,} are computed",
        )


def rounded(spacing_mm: Sequence[float]) -> tuple[float, ...]:
    """Return distances in mm to a nanometre: further digits differ between formats of one scan."""
    return tuple(round(each, 6) for each in spacing_mm)


@dataclass(frozen=True)
class ResamplingGrid:
    """A grid of voxels that shares its centre with a scan's, axes (z, y, x).

    Attributes:
        shape: the scan's voxels.
        spacing_mm: the scan's voxel size.
        new_spacing_mm: the grid's.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    new_spacing_mm: tuple[float, float, float]

    @property
    def new_shape(self) -> tuple[int, ...]:
        """The grid's voxels: as many as cover the scan."""
        triples = zip(self.shape, self.spacing_mm, self.new_spacing_mm, strict=True)
        return tuple(math.ceil(n * s / t - _SLACK) for n, s, t in triples)

    def places(self, axis: int, first: int, count: int) -> NDArray[np.float64]:
        """Return where voxels of the grid lie, in voxels of the scan, clipped to its edges."""
        n, m = self.shape[axis], self.new_shape[axis]
        step = self.new_spacing_mm[axis] / self.spacing_mm[axis]
        places = (n - 1) / 2 + (np.arange(first, first + count) - (m - 1) / 2) * step
        clipped: NDArray[np.float64] = places.clip(0, n - 1)
        return clipped

    def covering(self, box: BoundingBox) -> BoundingBox:
        """Return the part of the grid within one voxel of a part of the scan."""
        start, size = [], []
        for axis in range(3):
            n, m = self.shape[axis], self.new_shape[axis]
            step = self.new_spacing_mm[axis] / self.spacing_mm[axis]
            middle = (m - 1) / 2
            low = (box.start[axis] - 1 - (n - 1) / 2) / step + middle
            high = (box.start[axis] + box.size[axis] - (n - 1) / 2) / step + middle
            first, last = max(math.floor(low), 0), min(math.ceil(high), m - 1)
            start.append(first)
            size.append(last - first + 1)
        return BoundingBox(tuple(start), tuple(size))


def interpolated(
    voxels: NDArray[np.generic], grid: ResamplingGrid, part: BoundingBox, how: Interpolation
) -> NDArray[np.float64]:
    """Return a scan's values on part of a grid, (z, y, x).

    Args:
        voxels: the whole scan.
        grid: what to resample to.
        part: which voxels of the grid.
        how: three-fold linear, or a cubic spline.
    """
    places = [grid.places(a, part.start[a], part.size[a]) for a in range(3)]
    reach = SPLINE_REACH if how == "cubic" else 0
    low = [max(math.floor(p[0]) - reach, 0) for p in places]
    high = [min(math.ceil(p[-1]) + reach, n - 1) for p, n in zip(places, grid.shape, strict=True)]
    values = voxels[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))].astype(float)
    places = [p - a for p, a in zip(places, low, strict=True)]
    if how == "cubic":
        moved = np.meshgrid(*places, indexing="ij")
        spline: NDArray[np.float64] = ndimage.map_coordinates(
            values, moved, order=3, mode="nearest"
        )
        return spline
    for axis, place in enumerate(places):
        before = np.floor(place).astype(int)
        after = np.minimum(before + 1, values.shape[axis] - 1)
        share = (place - before).reshape([-1 if a == axis else 1 for a in range(3)])
        if share.any() or len(before) != values.shape[axis]:
            first, second = values.take(before, axis), values.take(after, axis)
            values = first + share * (second - first)
    return values


def interpolated_mask(
    inside: NDArray[np.bool_], grid: ResamplingGrid, part: BoundingBox
) -> NDArray[np.bool_]:
    """Return which voxels of part of a grid a region holds: at least half, linearly."""
    return interpolated(inside, grid, part, "linear") >= _HALF
