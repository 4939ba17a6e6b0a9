"""Resample to IBSI's grid (reference manual, section 2.4): same centre, edges repeated.

Only the part of the grid that is asked for is computed.
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
"""A voxel belongs to an interpolated mask from one half on; the slack absorbs rounding."""
_SLACK = 1e-3
"""In voxels. Slices of 0.8 mm are 0.800000012 in NIfTI, and 0.79999998 in a DICOM series whose
positions were rounded: 250 of them should be 200 of 1 mm. One voxel more would shift all of them
by half a voxel."""
SPLINE_REACH = 40
"""Number of voxels after which a cubic spline's weight is below a double's last digit
(0.268 ** 40)."""
MOST_VOXELS = 200_000_000
"""Limit for the new grid around a region: 1.6 GB per array."""


def check_size(size: Sequence[int], spacing_mm: Sequence[float]) -> None:
    """Refuse a part of a grid that would fill the memory, before it is computed.

    Args:
        size: number of voxels along each axis.
        spacing_mm: voxel size (x, y, z).

    Raises:
        UnusableCase: ``fine_grid``.
    """
    voxels = math.prod(int(n) for n in size)
    if voxels > MOST_VOXELS:
        sides = "×".join(f"{side:.4g}" for side in spacing_mm)
        raise UnusableCase(
            "fine_grid",
            f"around the region a grid of {sides} mm has {voxels:,} voxels "
            f"({voxels * 8 / 1e9:,.0f} GB an array); at most {MOST_VOXELS:,} are possible, choose "
            "larger ones (resampledPixelSpacing)",
        )


def rounded(spacing_mm: Sequence[float]) -> tuple[float, ...]:
    """Round distances in mm to a nanometre: further digits differ between formats of one scan."""
    return tuple(round(each, 6) for each in spacing_mm)


@dataclass(frozen=True)
class ResamplingGrid:
    """A grid of voxels that shares its centre with a scan's, axes (z, y, x).

    Attributes:
        shape: number of voxels of the scan.
        spacing_mm: voxel size of the scan.
        new_spacing_mm: voxel size of the grid.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    new_spacing_mm: tuple[float, float, float]

    @property
    def new_shape(self) -> tuple[int, ...]:
        """Number of voxels of the grid: as many as cover the scan."""
        triples = zip(self.shape, self.spacing_mm, self.new_spacing_mm, strict=True)
        return tuple(math.ceil(n * s / t - _SLACK) for n, s, t in triples)

    def places(self, axis: int, first: int, count: int) -> NDArray[np.float64]:
        """Return positions of the grid's voxels along an axis, in voxels of the scan.

        They are clipped to the scan's edges.
        """
        n, m = self.shape[axis], self.new_shape[axis]
        step = self.new_spacing_mm[axis] / self.spacing_mm[axis]
        positions = (n - 1) / 2 + (np.arange(first, first + count) - (m - 1) / 2) * step
        clipped: NDArray[np.float64] = positions.clip(0, n - 1)
        return clipped

    def position(self, start: Sequence[int]) -> tuple[float, ...]:
        """Return where one of the grid's voxels lies, in voxels of the scan (z, y, x)."""
        found = []
        for axis, index in enumerate(start):
            step = self.new_spacing_mm[axis] / self.spacing_mm[axis]
            middle = (self.shape[axis] - 1) / 2
            found.append(middle + (index - (self.new_shape[axis] - 1) / 2) * step)
        return tuple(found)

    def covering(self, box: BoundingBox) -> BoundingBox:
        """Return the part of the grid that covers a part of the scan and one voxel around it."""
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
        grid: the grid to resample to.
        part: the part of the grid to compute.
        how: trilinear, or a cubic spline.
    """
    positions = [grid.places(a, part.start[a], part.size[a]) for a in range(3)]
    reach = SPLINE_REACH if how == "cubic" else 0
    low = [max(math.floor(p[0]) - reach, 0) for p in positions]
    ends = zip(positions, grid.shape, strict=True)
    high = [min(math.ceil(p[-1]) + reach, n - 1) for p, n in ends]
    values = voxels[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))].astype(float)
    positions = [p - a for p, a in zip(positions, low, strict=True)]
    if how == "cubic":
        moved = np.meshgrid(*positions, indexing="ij")
        spline: NDArray[np.float64] = ndimage.map_coordinates(
            values, moved, order=3, mode="nearest"
        )
        return spline
    for axis, position in enumerate(positions):
        before = np.floor(position).astype(int)
        after = np.minimum(before + 1, values.shape[axis] - 1)
        share = (position - before).reshape([-1 if a == axis else 1 for a in range(3)])
        if share.any() or len(before) != values.shape[axis]:
            first, second = values.take(before, axis), values.take(after, axis)
            values = first + share * (second - first)
    return values


def interpolated_mask(
    inside: NDArray[np.bool_], grid: ResamplingGrid, part: BoundingBox
) -> NDArray[np.bool_]:
    """Return the voxels of part of a grid that are in a region: at least one half, trilinear."""
    return interpolated(inside, grid, part, "linear") >= _HALF
