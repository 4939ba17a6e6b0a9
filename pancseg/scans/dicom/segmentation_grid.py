"""Find the grid of a SEG's frames, of which those without a drawn voxel may be left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.planes import Points, planes_of
from pancseg.scans.dicom.segmentation_header import SegHeader

_ASIDE_MM = 1.0
"""How far frames may lie beside each other, as for the slices of a scan."""
_SAME_PLACE_MM = 0.01
_OFF = 0.1
"""How far a frame may lie off the grid's slices, as a share of their distance."""
_PARALLEL = 1 - 1e-4
"""Cosine of the angle between a frame's normal and an axis of the scan, from which on they are
parallel: 0.8°."""
MOST_SLICES = 100_000


class FrameGrid(NamedTuple):
    """Where the frames of a SEG lie.

    Attributes:
        size: number of voxels along x, y, z: of the box that holds all frames.
        slices: for each frame, the number of its slice in the box.
        axes: unit vectors x, y, z, as rows.
        spacing_mm: between columns, rows and slices.
        origin_mm: position of the first pixel of the first slice.
    """

    size: tuple[int, int, int]
    slices: tuple[int, ...]
    axes: Points
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, ...]

    def put_on(self, image: sitk.Image) -> None:
        """Give an image this geometry."""
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.axes.T.ravel().tolist())


def grid_of(header: SegHeader, scan: sitk.Image | None) -> FrameGrid:
    """Return the grid of a SEG's frames.

    Where its frames lie on the slices of the scan, these number them. Otherwise, the distance of
    slices is the one that the file states, or the smallest distance of two frames.

    Args:
        header: of the SEG.
        scan: the scan that it belongs to, if that is known; in any orientation.

    Raises:
        UnusableCase: ``geometry``, for frames without a place, in different orientations, or not
            above each other; ``uneven_slices``, for frames on no even grid.
    """
    axes, (column_mm, row_mm), positions = planes_of(header.frames, "frames of the SEG")
    along = positions @ axes[2]
    found = _by_scan(along, axes[2], scan) if scan is not None else None
    numbers, first_mm, gap_mm = found or _by_themselves(along, header)
    aside = positions - along[:, None] * axes[2]
    off_mm = float(np.linalg.norm(aside - aside[0], axis=1).max())
    if off_mm > _ASIDE_MM:
        raise UnusableCase(
            "geometry",
            f"the SEG's frames lie up to {off_mm:.1f} mm beside each other (tilted gantry, or "
            "tiles of larger frames); export it on the scan's slices",
        )
    count = int(numbers.max()) + 1
    if count > MOST_SLICES:
        raise UnusableCase(
            "geometry",
            f"the SEG's frames span {count:,} slices of {gap_mm:.3g} mm; export it again",
        )
    origin = aside.mean(axis=0) + first_mm * axes[2]
    return FrameGrid(
        (header.columns, header.rows, count),
        tuple(numbers.tolist()),
        axes,
        (column_mm, row_mm, gap_mm),
        tuple(origin.tolist()),
    )


def _by_scan(
    along: Points, normal: Points, scan: sitk.Image
) -> tuple[NDArray[np.int64], float, float] | None:
    """Return slice numbers, the place of the first slice and the gap, by a scan's own slices.

    None if the frames are not on its slices.
    """
    cosines = np.reshape(scan.GetDirection(), (3, 3)).T @ normal
    axis = int(np.abs(cosines).argmax())
    if abs(cosines[axis]) < _PARALLEL:
        return None
    gap_mm = float(scan.GetSpacing()[axis])
    start = float(np.array(scan.GetOrigin()) @ normal)
    places = (along - start) / gap_mm
    numbers = np.rint(places).astype(np.int64)
    if np.abs(places - numbers).max() > _OFF:
        return None
    first = int(numbers.min())
    return numbers - first, start + first * gap_mm, gap_mm


def _by_themselves(along: Points, header: SegHeader) -> tuple[NDArray[np.int64], float, float]:
    """Return slice numbers, the place of the first slice and the gap, by the frames alone.

    Raises:
        UnusableCase: ``geometry``, ``uneven_slices``.
    """
    different = np.sort(along)
    gaps = np.diff(different)
    gaps = gaps[gaps > _SAME_PLACE_MM]
    stated = (header.between_mm,) if header.between_mm else ()
    candidates: Sequence[float] = (*stated, float(gaps.min())) if len(gaps) else stated
    if not candidates and header.thickness_mm:
        candidates = (header.thickness_mm,)
    if not candidates:
        raise UnusableCase(
            "geometry",
            "the SEG's frames lie in one slice, and it states no distance of slices; give its "
            "scan, or export it again",
        )
    first = float(different[0])
    for gap_mm in candidates:
        places = (along - first) / gap_mm
        numbers = np.rint(places).astype(np.int64)
        if np.abs(places - numbers).max() <= _OFF:
            return numbers, first, gap_mm
    raise UnusableCase(
        "uneven_slices",
        f"the SEG's frames are on no even grid ({gaps.min():.2f} to {gaps.max():.2f} mm apart); "
        "export it on the scan's slices",
    )
