"""Place a mask that was drawn on another grid than the scan's."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import copy_notes, new_image, voxel_array, writable
from pancseg.scans.bounding_box import BoundingBox, box_of
from pancseg.scans.geometry import (
    SAME_GRID_VOXELS,
    axes_of,
    describe_grid,
    has_same_grid,
    on_grid_of,
    orient,
)

_SLACK = 1e-3
"""In voxels of the scan; pyradiomics's tolerance for rounding at the scan's edges."""


class PlacedMask(NamedTuple):
    """A mask that can be measured together with a scan.

    Attributes:
        image: label map, on the scan's grid unless it will be resampled.
        note: what a reader of the values should know; empty for a mask on the scan's grid.
    """

    image: sitk.Image
    note: str = ""


def placed(scan: sitk.Image, mask: sitk.Image, *, resampled: bool = False) -> PlacedMask:
    """Return a mask in the scan's voxel order and on its grid, if it needs no interpolation there.

    Args:
        scan: volume that defines the grid.
        mask: label map.
        resampled: leave a mask on another grid as it is: it will be resampled.

    Raises:
        UnusableCase: ``geometry``, when the grids differ or the mask reaches beyond the scan.
    """
    try:
        return PlacedMask(on_grid_of(scan, mask))
    except UnusableCase:
        if resampled:
            grids = f"{describe_grid(mask)} instead of {describe_grid(scan)}"
            return PlacedMask(mask, f"the mask is on another grid ({grids}) and was resampled")
        if (whole := pasted(scan, mask)) is None:
            raise
        size = "×".join(map(str, mask.GetSize()))
        of = "×".join(map(str, scan.GetSize()))
        return PlacedMask(
            whole, f"the mask has {size} of the scan's {of} voxels; the others count as not drawn"
        )


def check_within(scan: sitk.Image, mask: sitk.Image) -> None:
    """Refuse a mask whose voxels are not all within the scan.

    Like pyradiomics, it looks at the outer faces of the box around the set voxels.

    Args:
        scan: the volume.
        mask: 0 outside; on any grid.

    Raises:
        UnusableCase: ``geometry``.

    >>> scan, mask = sitk.Image(4, 4, 4, sitk.sitkInt16), sitk.Image(4, 4, 4, sitk.sitkUInt8) + 1
    >>> mask.SetOrigin((0, 0, 2.5))
    >>> try:
    ...     check_within(scan, mask)
    ... except UnusableCase as unusable:
    ...     print(unusable.code, "|", unusable.fact.partition(" (")[0])
    geometry | 32 of the region's 64 voxels lie outside of the scan, up to 2.5 mm
    """
    box = box_of(voxel_array(mask) != 0)
    if box is None or has_same_grid(scan, mask):
        return
    first, last = np.array(box.start[::-1]) - 0.5, np.add(box.start, box.size)[::-1] - 0.5
    corners = np.array([np.where(ends, last, first) for ends in product((0, 1), repeat=3)])
    reach = _beyond(scan, mask, corners)
    if not (reach > _SLACK).any():
        return
    centres = np.argwhere(voxel_array(mask)[box.slices] != 0) + box.start
    outside = _beyond(scan, mask, centres[:, ::-1]).max(axis=1) > _SLACK
    count, sides = len(outside), np.array(scan.GetSpacing())
    if outside.all():
        gap = (_beyond(scan, mask, centres[:, ::-1]) * sides).max(axis=1).min()
        fact = f"all {count:,} voxels of the region lie outside of the scan, {gap:.3g} mm or more"
    elif outside.any():
        far = (reach * sides).max()
        fact = (
            f"{np.count_nonzero(outside):,} of the region's {count:,} voxels lie outside of the "
            f"scan, up to {far:.3g} mm"
        )
    else:
        far = (reach * sides).max()
        fact = f"the box around the region reaches {far:.3g} mm beyond the scan"
    raise UnusableCase(
        "geometry",
        f"{fact} (grids of {describe_grid(scan)} and {describe_grid(mask)}); take the scan that "
        "the mask was drawn on",
    )


def moved_to_grid(scan: sitk.Image, mask: sitk.Image) -> sitk.Image:
    """Return a mask on the scan's grid: each voxel takes the value of the mask's nearest.

    Args:
        scan: the volume.
        mask: within the scan (:func:`check_within`).

    Raises:
        UnusableCase: ``too_small``, when no voxel is left.
    """
    moved = sitk.Resample(mask, scan, sitk.Transform(), sitk.sitkNearestNeighbor)
    if not voxel_array(moved).any():
        count = np.count_nonzero(voxel_array(mask))
        raise UnusableCase(
            "too_small",
            f"none of the region's {count:,} voxels ({describe_grid(mask)}) is nearest to the "
            f"centre of a voxel of the scan ({describe_grid(scan)}); draw it on the scan",
        )
    return moved


def pasted(scan: sitk.Image, mask: sitk.Image) -> sitk.Image | None:
    """Return a mask on the scan's grid if its voxels are the scan's, but fewer or more of them.

    Programs save masks cut to the box around what was drawn. Voxels beyond the mask are 0.

    Args:
        scan: the volume.
        mask: label map; its axes may run otherwise.

    Returns:
        The mask on the scan's grid; None if it has as many voxels as the scan along each axis, or
        if the two grids do not coincide to a tenth of a voxel.

    Raises:
        UnusableCase: ``geometry``, when the mask has voxels beyond the scan.
    """
    mask = orient(mask, axes_of(scan))
    size, whole = np.array(mask.GetSize()), np.array(scan.GetSize())
    start = np.rint(scan.TransformPhysicalPointToContinuousIndex(mask.GetOrigin())).astype(int)
    if (size == whole).all() or (start >= whole).any() or (start + size <= 0).any():
        return None
    for ends in product((0, 1), repeat=3):
        corner = (size - 1) * ends
        own = mask.TransformIndexToPhysicalPoint(corner.tolist())
        theirs = scan.TransformIndexToPhysicalPoint((start + corner).tolist())
        if np.linalg.norm(np.subtract(own, theirs)) > SAME_GRID_VOXELS * min(scan.GetSpacing()):
            return None
    check_within(scan, mask)
    low, high = np.maximum(start, 0), np.minimum(start + size, whole)
    voxels = voxel_array(mask)
    made = new_image(scan.GetSize(), voxels.dtype)
    box = BoundingBox(tuple(low[::-1].tolist()), tuple((high - low)[::-1].tolist()))
    own_box = BoundingBox(tuple((low - start)[::-1].tolist()), box.size)
    writable(made)[box.slices] = voxels[own_box.slices]
    made.CopyInformation(scan)
    copy_notes(mask, made)
    return made


def on_joint_grid(first: sitk.Image, second: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """Return two masks on the smallest grid that holds both, if their voxels are the same.

    A DICOM SEG leaves out slices in which nothing is drawn. Voxels beyond a mask are 0.

    Args:
        first: label map.
        second: label map; its axes may run otherwise.

    Returns:
        The masks on one grid, in the first one's voxel order; both as they are, if they are on one
        grid already, or their grids do not coincide.

    Raises:
        UnusableCase: ``memory``.
    """
    other = orient(second, axes_of(first))
    start = np.rint(first.TransformPhysicalPointToContinuousIndex(other.GetOrigin())).astype(int)
    if first.GetSize() == other.GetSize() and not start.any():
        return first, second
    low = np.minimum(start, 0)
    size = np.maximum(start + other.GetSize(), first.GetSize()) - low
    joint = new_image(size.tolist(), np.dtype(np.uint8))
    joint.SetSpacing(first.GetSpacing())
    joint.SetDirection(first.GetDirection())
    joint.SetOrigin(first.TransformIndexToPhysicalPoint(low.tolist()))
    parts = [
        part if part.GetSize() == joint.GetSize() else pasted(joint, part)
        for part in (first, other)
    ]
    if parts[0] is None or parts[1] is None:
        return first, second
    return parts[0], parts[1]


def _beyond(scan: sitk.Image, mask: sitk.Image, places: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return how far places lie beyond the scan's faces, in its voxels; negative within it.

    Args:
        scan: the volume.
        mask: the volume whose voxels the places are given in.
        places: (n, 3) positions (x, y, z) in voxels of the mask.

    Returns:
        (n, 3) distances along the scan's axes (x, y, z).
    """
    mm = np.array(mask.GetOrigin()) + (places * mask.GetSpacing()) @ _axes(mask).T
    index = (mm - scan.GetOrigin()) @ np.linalg.inv(_axes(scan)).T / scan.GetSpacing()
    beyond: NDArray[np.float64] = np.maximum(-0.5 - index, index - scan.GetSize() + 0.5)
    return beyond


def _axes(image: sitk.Image) -> NDArray[np.float64]:
    return np.reshape(image.GetDirection(), (3, 3))
