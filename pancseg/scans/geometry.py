"""Orient volumes, and decide in mm whether two of them share one grid."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import product

import numpy as np
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import copy_notes, new_image, voxel_array, writable

log = logging.getLogger(__name__)

CANONICAL = "LPS"
"""Columns increase towards the patient's left, rows towards posterior, slices towards superior
(DICOM's axes)."""


SAME_GRID_VOXELS = 0.1
"""Two grids are the same if no two corners are farther apart than this share of the smallest voxel
side."""


_UNORIENTED = "pancseg_unoriented"
"""Metadata key of an image whose header does not say how the patient lies."""


_ENDS = {a: pair for pair in ("LR", "PA", "SI") for a in pair}


_LOGGED_ABOVE_MM = 1e-6


def orient(image: sitk.Image, axes: str = CANONICAL) -> sitk.Image:
    """Permute and flip axes to the orientation ``axes``; voxels keep their positions in mm.

    Oblique scans stay oblique: the nearest axes are chosen and nothing is resampled.

    >>> axes_of(orient(sitk.Image(2, 2, 2, sitk.sitkInt16), "RAS"))
    'RAS'
    """
    current = axes_of(image)
    if current == axes:
        return image
    order = [next(j for j, letter in enumerate(current) if letter in _ENDS[end]) for end in axes]
    return _reordered(image, order, [current[j] != end for j, end in zip(order, axes, strict=True)])


def axes_of(image: sitk.Image) -> str:
    """Return the three letters of the directions in which the axes increase, for example LPS."""
    code: str = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    return code


def mark_unoriented(image: sitk.Image) -> None:
    """Note on an image that its orientation is an assumption, because its header gives none."""
    image.SetMetaData(_UNORIENTED, "1")


def orientation_problem(image: sitk.Image) -> str:
    """Return what is wrong with an image whose header gives no orientation, and the remedy.

    Programs read such a header differently: ITK as LPS, others as LAS or RAS.

    >>> orientation_problem(sitk.Image(2, 2, 2, sitk.sitkInt16))
    ''
    """
    if not image.HasMetaDataKey(_UNORIENTED):
        return ""
    return (
        "the header does not say how the patient lies (as a NIfTI with sform_code 0 and qform_code "
        "0), so an orientation was assumed; look at the scan and set it, or export the scan from "
        "DICOM again"
    )


def require_orientation(image: sitk.Image) -> None:
    """Refuse an image whose header gives no orientation; a network must not see it upside down.

    Raises:
        UnusableCase: ``geometry``.
    """
    if problem := orientation_problem(image):
        raise UnusableCase("geometry", problem)


def slice_spacing_mm(image: sitk.Image) -> float:
    """Return the distance between voxels along the patient's long axis, in any order of the axes.

    Rounded to a micrometre: depending on the position of the first one, slices of 5 mm come out
    5.000000000000001 mm apart, and a limit must not depend on that.
    """
    return round(float(image.GetSpacing()[2 - axial_axis(image)]), 3)


def axial_axis(image: sitk.Image) -> int:
    """Return the index of the array axis, (z, y, x), that is closest to the patient's long axis."""
    direction = np.abs(np.reshape(image.GetDirection(), (3, 3)))
    return 2 - int(direction[2].argmax())


def grid_difference_mm(first: sitk.Image, second: sitk.Image) -> float:
    """Return the largest distance in mm between corresponding corner voxels of two grids.

    The order of the axes does not matter: both grids are brought into one orientation first.
    Infinite when the numbers of voxels differ.
    """
    match = _matching_axes(first, second)
    if match is None:
        return float("inf")
    order, flips = match
    last = np.array(first.GetSize()) - 1
    distances = []
    for corner in product((0, 1), repeat=3):
        in_second = [0, 0, 0]
        for axis, (j, flip) in enumerate(zip(order, flips, strict=True)):
            in_second[j] = int(last[axis]) * (1 - corner[axis] if flip else corner[axis])
        in_first = [int(n) for n in last * corner]
        a, b = (
            first.TransformIndexToPhysicalPoint(in_first),
            second.TransformIndexToPhysicalPoint(in_second),
        )
        distances.append(float(np.linalg.norm(np.subtract(a, b))))
    return max(distances)


def on_grid_of(
    image: sitk.Image, mask: sitk.Image, names: tuple[str, str] = ("scan", "mask")
) -> sitk.Image:
    """Return the mask in the image's voxel order, with exactly the image's geometry.

    A mask in the same space with other axes is re-ordered. Header rounding (less than a tenth of a
    voxel at every corner) is corrected.

    Args:
        image: volume that defines the grid.
        mask: volume to bring onto that grid.
        names: what the error message calls the two.

    Raises:
        UnusableCase: ``geometry``, when the grids differ.
    """
    if has_same_grid(image, mask):
        return mask
    difference = grid_difference_mm(image, mask)
    if difference > SAME_GRID_VOXELS * min(image.GetSpacing()):
        raise _different_grids(image, mask, names, difference)
    if difference > _LOGGED_ABOVE_MM:
        log.debug("grids of %s and %s differed by %.2g mm and were made one", *names, difference)
    match = _matching_axes(image, mask)
    assert match is not None  # the difference would be infinite
    order, flips = match
    same = order == [0, 1, 2] and not any(flips)
    ordered = sitk.Image(mask) if same else _reordered(mask, order, flips)
    ordered.SetOrigin(image.GetOrigin())
    ordered.SetSpacing(image.GetSpacing())
    ordered.SetDirection(image.GetDirection())
    copy_notes(mask, ordered)  # a copy that is changed loses them
    return ordered


def _different_grids(
    image: sitk.Image, mask: sitk.Image, names: tuple[str, str], difference_mm: float
) -> UnusableCase:
    far = "" if np.isinf(difference_mm) else f", corners {difference_mm:.2f} mm apart"
    remedy = f"resample the {names[1]} onto the {names[0]}"
    unoriented = [bool(orientation_problem(each)) for each in (image, mask)]
    if unoriented[0] != unoriented[1]:
        lacking, other = names if unoriented[0] else names[::-1]
        remedy = f"the header of the {lacking} gives no orientation: copy that of the {other}"
    return UnusableCase(
        "geometry",
        f"{names[0]} and {names[1]} are on different grids ({describe_grid(image)} and "
        f"{describe_grid(mask)}{far}); {remedy}",
    )


def has_same_grid(a: sitk.Image, b: sitk.Image) -> bool:
    """Return whether two volumes have the same geometry to the last bit."""
    getters = (
        sitk.Image.GetSize, sitk.Image.GetSpacing, sitk.Image.GetOrigin, sitk.Image.GetDirection,
    )  # fmt: skip
    return all(get(a) == get(b) for get in getters)


def _reordered(image: sitk.Image, order: Sequence[int], flips: Sequence[bool]) -> sitk.Image:
    """Return an image whose axis i is axis ``order[i]`` of the given one, flipped or not.

    ITK would take two filters, and one more copy of the scan.
    """
    size = image.GetSize()
    voxels = voxel_array(image).transpose([2 - order[2 - axis] for axis in range(3)])
    voxels = voxels[tuple(slice(None, None, -1 if flips[2 - axis] else 1) for axis in range(3))]
    made = new_image([size[j] for j in order], voxels.dtype)
    writable(made)[:] = voxels
    first, turn = [0, 0, 0], np.reshape(image.GetDirection(), (3, 3))[:, list(order)]
    for j, flip in zip(order, flips, strict=True):
        first[j] = size[j] - 1 if flip else 0
    made.SetOrigin(image.TransformIndexToPhysicalPoint(first))
    made.SetSpacing([image.GetSpacing()[j] for j in order])
    made.SetDirection((turn * np.where(flips, -1.0, 1.0) + 0.0).ravel().tolist())
    copy_notes(image, made)
    return made


def describe_grid(image: sitk.Image) -> str:
    """Return a grid's size and voxels as a message gives them."""
    size = "×".join(str(n) for n in image.GetSize())
    spacing = "×".join(f"{s:.2f}" for s in image.GetSpacing())
    return f"{size} voxels of {spacing} mm"


def _matching_axes(a: sitk.Image, b: sitk.Image) -> tuple[list[int], list[bool]] | None:
    """Return for each axis of ``a`` the parallel axis of ``b``, and whether it is reversed.

    None when the axes do not pair up one to one, or their numbers of voxels differ.
    """
    cosines = np.reshape(a.GetDirection(), (3, 3)).T @ np.reshape(b.GetDirection(), (3, 3))
    order = [int(j) for j in np.abs(cosines).argmax(axis=1)]
    if sorted(order) != [0, 1, 2] or [b.GetSize()[j] for j in order] != list(a.GetSize()):
        return None
    return order, [bool(cosines[i, j] < 0) for i, j in enumerate(order)]
