"""Prepare scan and region as pyradiomics's ``loadImage`` does: normalise, resample, crop.

Only the part of the scan that is needed is resampled, and no value depends on memory beyond it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from radiomics import imageoperations

from pancseg.errors import UnusableCase
from pancseg.features.ibsi.grid import SPLINE_REACH, check_size
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.bounding_box import BoundingBox, box_of
from pancseg.scans.geometry import has_same_grid
from pancseg.scans.placement import check_within, moved_to_grid

_SHORT = 2
"""ITK's cubic B-spline reads four voxels, and mirrors an index at most once at either end: beside
the last voxel of an axis of two it reads memory that is not the scan's."""
_MIRRORED = 2
"""Number of voxels by which an axis of two is continued at either end: no index needs mirroring."""

Prepared = tuple[sitk.Image, sitk.Image, BoundingBox]


def prepared(
    image: sitk.Image, mask: sitk.Image, box: BoundingBox, settings: dict[str, Any]
) -> Prepared:
    """Return scan, mask and the box around the region, on one grid.

    Args:
        image: the volume.
        mask: uint8, 1 inside; on any grid that lies within the scan.
        box: the box around the region on the mask's grid.
        settings: pyradiomics's ``setting``.

    Raises:
        UnusableCase: ``geometry``, ``too_small`` or ``fine_grid``.
    """
    if settings.get("normalize"):
        image = imageoperations.normalizeImage(image, **settings)
    check_within(image, mask)
    resampled = settings.get("interpolator") is not None and settings.get("resampledPixelSpacing")
    if resampled:
        wanted = _spacing(mask, box, settings)
        if not np.allclose(image.GetSpacing(), wanted):
            image, region = _resampled(image, mask, box, wanted, settings)
            return image, region, _box_of(region, mask)
    if not has_same_grid(image, mask):
        on_grid = moved_to_grid(image, mask)
        mask, box = on_grid, _box_of(on_grid, mask)
    if not resampled and not settings.get("preCrop"):
        return image, mask, box
    part = box.grown((settings.get("padDistance", 5),) * 3, voxel_array(mask).shape)
    return cut(image, part), cut(mask, part), box.within(part)


def cut(image: sitk.Image, box: BoundingBox) -> sitk.Image:
    """Return a box-shaped part of a volume."""
    size, start = [int(n) for n in box.size[::-1]], [int(n) for n in box.start[::-1]]
    return sitk.RegionOfInterest(image, size, start)


def _box_of(region: sitk.Image, drawn: sitk.Image) -> BoundingBox:
    """Return the box around a resampled region; ``drawn`` is the region as it was."""
    box = box_of(voxel_array(region) != 0)
    if box is None:
        own, new = ("×".join(f"{s:.4g}" for s in each.GetSpacing()) for each in (drawn, region))
        raise UnusableCase(
            "too_small",
            f"none of the region's {np.count_nonzero(voxel_array(drawn)):,} voxels of {own} mm is "
            f"left among those of {new} mm; choose smaller ones (resampledPixelSpacing)",
        )
    return box


def _spacing(mask: sitk.Image, box: BoundingBox, settings: dict[str, Any]) -> NDArray[np.float64]:
    """Return the voxel size (x, y, z) to resample to, as ``imageoperations.resampleImage`` does."""
    own = np.array(mask.GetSpacing())
    wanted = np.array(settings["resampledPixelSpacing"], float)
    wanted = np.where(wanted == 0, own, wanted)
    kept: NDArray[np.float64] = np.where(np.array(box.size[::-1]) == 1, own, wanted)
    return kept


def _resampled(
    image: sitk.Image,
    mask: sitk.Image,
    box: BoundingBox,
    wanted: NDArray[np.float64],
    settings: dict[str, Any],
) -> tuple[sitk.Image, sitk.Image]:
    """Resample as ``imageoperations.resampleImage`` does, but only the needed part of the scan."""
    own, margin = np.array(mask.GetSpacing()), settings.get("padDistance", 5)
    start, size = np.array(box.start[::-1]), np.array(box.size[::-1])
    ratio = own / wanted
    last = np.ceil(np.array(mask.GetSize()) * ratio) - 1
    lower = np.maximum(np.floor((start - 0.5) * ratio - margin), 0)
    upper = np.minimum(np.ceil((start + size - 0.5) * ratio + margin), last)
    origin = 0.5 * (wanted - own) / own + lower / ratio
    check_size([int(n) for n in upper - lower + 1], tuple(wanted))
    resample = sitk.ResampleImageFilter()
    resample.SetOutputSpacing(wanted)
    resample.SetOutputDirection(mask.GetDirection())
    resample.SetSize([int(n) for n in upper - lower + 1])
    resample.SetOutputOrigin(mask.TransformContinuousIndexToPhysicalPoint(origin))
    resample.SetInterpolator(sitk.sitkNearestNeighbor)
    region = resample.Execute(mask)
    interpolator = settings["interpolator"]
    if isinstance(interpolator, str):
        interpolator = getattr(sitk, interpolator)
    local = interpolator in (sitk.sitkNearestNeighbor, sitk.sitkLinear)
    if not local and has_same_grid(image, mask):
        reach = np.ceil((margin + 2) / ratio[::-1]).astype(int) + SPLINE_REACH
        image = cut(image, box.grown(reach, voxel_array(mask).shape))
    if interpolator == sitk.sitkBSpline and _SHORT in image.GetSize():
        return _spline_on_short_axes(image, resample), region
    resample.SetInterpolator(interpolator)
    return resample.Execute(image), region


def _spline_on_short_axes(image: sitk.Image, resample: sitk.ResampleImageFilter) -> sitk.Image:
    """Resample with a cubic B-spline a volume that has axes of two voxels.

    The volume is continued by its own mirror images, which leaves its spline as it is (that of
    ``scipy.ndimage.map_coordinates`` with ``order=3, mode="mirror"``). Values of whole numbers are
    rounded, where ITK cuts decimals off. Voxels beyond the volume are 0, as in ITK.
    """
    margin = [_MIRRORED if n == _SHORT else 0 for n in image.GetSize()]
    voxels = voxel_array(image)
    longer = sitk.GetImageFromArray(
        np.pad(voxels.astype(float), [(n, n) for n in margin[::-1]], mode="reflect")
    )
    longer.SetSpacing(image.GetSpacing())
    longer.SetDirection(image.GetDirection())
    longer.SetOrigin(image.TransformIndexToPhysicalPoint([-n for n in margin]))
    resample.SetInterpolator(sitk.sitkNearestNeighbor)
    covered = resample.Execute(image_like(np.ones(voxels.shape, np.uint8), image))
    resample.SetInterpolator(sitk.sitkBSpline)
    values = np.where(voxel_array(covered), voxel_array(resample.Execute(longer)), 0.0)
    if voxels.dtype.kind in "iu":
        limits = np.iinfo(voxels.dtype)
        values = np.rint(values).clip(limits.min, limits.max)
    return image_like(values.astype(voxels.dtype), covered)
