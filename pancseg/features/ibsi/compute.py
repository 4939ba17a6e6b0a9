"""Mode ``ibsi``: prepare scan and region as IBSI's manual says, then apply pyradiomics's formulas.

The steps: resample on the centred grid, round, interpolate the mask, re-segment, filter and
discretise. The formulas are in ``features.pyradiomics.classes``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.features.ibsi import filters, grid
from pancseg.features.ibsi.settings import MOST_LEVELS, Binning, FilterSettings, IbsiSettings, read
from pancseg.features.neighbours import Neighbours, neighbours
from pancseg.features.pyradiomics import classes
from pancseg.features.pyradiomics.shape import ShapeFeatures
from pancseg.features.result import FeatureResult, measured_region
from pancseg.features.texture_matrices import grey_levels
from pancseg.quality.verdict import can_be_hu
from pancseg.reasons import ReasonCode
from pancseg.scans.arrays import voxel_array
from pancseg.scans.bounding_box import BoundingBox, box_of
from pancseg.scans.geometry import orient

FEWEST_VOXELS = 2
_TEXTURE = ("glcm", "glrlm", "glszm", "gldm", "ngtdm")


class PreparedRegion(NamedTuple):
    """A scan and a region, resampled and re-segmented.

    Attributes:
        image: (z, y, x) intensities in the region's box and a margin for filters.
        core: slices of the box within ``image``.
        shape: (z, y, x) the region within the box: IBSI's morphological mask.
        inside: the part of it that re-segmentation left: IBSI's intensity mask.
        spacing_mm: voxel size (z, y, x).
        first: position of the box's first voxel, in voxels of the scan (z, y, x).
    """

    image: NDArray[np.float64]
    core: tuple[slice, ...]
    shape: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]
    first: tuple[float, ...]


def check(parameters: Mapping[str, Any], additions: Mapping[str, Any]) -> None:
    """Raise ValueError when mode ``ibsi`` does not understand these settings."""
    for name, features in read(parameters, additions).classes.items():
        known = (
            ShapeFeatures.getFeatureNames()
            if name == "shape"
            else classes.CLASSES[name].getFeatureNames()
        )
        if unknown := set(features or ()) - set(known):
            raise ValueError(f"class {name} has no feature {', '.join(sorted(unknown))}")


def compute_from(
    scan: sitk.Image,
    region: sitk.Image,
    parameters: Mapping[str, Any],
    additions: Mapping[str, Any],
) -> FeatureResult:
    """Return the features of one region; the settings are unchanged keys of a file."""
    return compute(scan, region, read(parameters, additions))


def compute(scan: sitk.Image, region: sitk.Image, settings: IbsiSettings) -> FeatureResult:
    """Return the features of one region.

    Args:
        scan: the volume, HU.
        region: uint8, 1 inside, on the scan's grid.
        settings: what to compute.

    Raises:
        UnusableCase: ``not_hu``, ``too_small``, ``fine_grid``, ``resegmented`` or ``many_levels``.
    """
    scan, region = orient(scan), orient(region)
    prepared = prepare(scan, region, settings)
    values: dict[str, float] = {}
    if "shape" in settings.classes:
        shape = ShapeFeatures(prepared.shape, prepared.spacing_mm, sample_covariance=True)
        found = classes.execute(shape, settings.classes["shape"])
        values = {f"original_shape_{name}": value for name, value in found.items()}
    around = neighbours(
        prepared.inside, plane=0 if settings.planar else None, by_slice=settings.by_slice
    )
    no_texture = _without_texture(_inside(region), prepared.inside, around, settings)
    reasons, too_narrow, explained = dict(no_texture), [], []
    texture = classes.Texture(
        gldm_tolerance=settings.gldm_tolerance,
        isolated=False,
        merge_directions=settings.aggregation == "merged",
    )
    coarsest_mm = max(prepared.spacing_mm[1:] if settings.planar else prepared.spacing_mm)
    for name, image, each in filtered(prepared, settings):
        narrow = each.kind == "LoG" and each.sigma_mm[0] < filters.NARROWEST_VOXELS * coarsest_mm
        intensities = image[prepared.inside] * (not narrow)  # then only the names are used
        start = settings.range_hu[0] if settings.range_hu and name == "original" else None
        levels = discretised(intensities, each.binning, start)
        voxels = classes.RegionVoxels(
            intensities, grey_levels(levels, around), prepared.spacing_mm[::-1]
        )
        found = classes.compute(voxels, texture, settings.classes)
        if "firstorder_Kurtosis" in found and np.ptp(intensities) == 0:
            found["firstorder_Kurtosis"] = 3.0  # IBSI's is 0, excess
        empty = [k for k in found if narrow or (no_texture and k.partition("_")[0] in _TEXTURE)]
        found |= dict.fromkeys(empty, math.nan)
        explained += [f"{name}_{feature}" for feature in empty]
        if narrow:
            too_narrow.append(f"{each.sigma_mm[0]:g}")
        values.update({f"{name}_{feature}": value for feature, value in found.items()})
    if too_narrow:
        reasons["narrow_filter"] = (
            f"a LoG of {', '.join(too_narrow)} mm is too narrow for voxels of "
            f"{_mm(prepared.spacing_mm)} mm"
        )
    share = None
    if settings.range_hu or settings.outlier_sigma:
        share = np.count_nonzero(prepared.inside) / np.count_nonzero(prepared.shape)
    return FeatureResult(
        values,
        reasons,
        prepared.spacing_mm[::-1],
        share,
        frozenset(explained),
        _measured(scan, prepared),
    )


def _measured(scan: sitk.Image, prepared: PreparedRegion) -> sitk.Image:
    """Return the region on the features' grid, where it lies in the scan."""
    found = measured_region(prepared.shape, prepared.inside)
    found.SetSpacing(prepared.spacing_mm[::-1])
    found.SetDirection(scan.GetDirection())
    found.SetOrigin(scan.TransformContinuousIndexToPhysicalPoint(prepared.first[::-1]))
    return found


def prepare(scan: sitk.Image, region: sitk.Image, settings: IbsiSettings) -> PreparedRegion:
    """Resample, round and re-segment; arguments and errors as for :func:`compute`."""
    voxels, inside = voxel_array(scan), _inside(region)
    if settings.hu:
        _refuse_other_units(voxels)
    box = box_of(inside)
    if box is None:
        raise UnusableCase("empty_mask", f"none of the mask's {inside.size:,} voxels is set")
    scan_mm = scan.GetSpacing()[::-1]
    if settings.spacing_mm:
        scan_mm = grid.rounded(scan_mm)
    wanted_mm = (settings.spacing_mm or scan_mm[::-1])[::-1]
    target = grid.ResamplingGrid(
        (voxels.shape[0], voxels.shape[1], voxels.shape[2]),
        scan_mm,
        tuple(wanted or own for wanted, own in zip(wanted_mm, scan_mm, strict=True)),
    )
    part = target.covering(box)
    margin = _margin(settings, target.new_spacing_mm)
    if target.new_spacing_mm != scan_mm:
        grid.check_size(part.grown(margin, target.new_shape).size, target.new_spacing_mm[::-1])
    shape = grid.interpolated_mask(inside, target, part)
    kept = box_of(shape)
    if kept is None or np.count_nonzero(shape) < FEWEST_VOXELS:
        raise UnusableCase(
            "too_small",
            f"voxels of the mask: {np.count_nonzero(inside):,}, and on the features' grid of "
            f"{_mm(target.new_spacing_mm)} mm {np.count_nonzero(shape):,}; "
            f"features need {FEWEST_VOXELS}",
        )
    shape = shape[kept.slices]
    core_box = BoundingBox(tuple(np.add(part.start, kept.start).tolist()), kept.size)
    around = core_box.grown(margin, target.new_shape)
    image = grid.interpolated(voxels, target, around, settings.interpolation)
    if not np.isfinite(image).all():
        raise UnusableCase(
            "not_hu",
            "voxels in or near the region are not finite (NaN or infinity); export the scan again",
        )
    if settings.hu:
        image = np.rint(image)
    core = tuple(
        slice(c - a, c - a + n)
        for c, a, n in zip(core_box.start, around.start, core_box.size, strict=True)
    )
    left = _resegmented(image[core], shape, settings)
    first = target.position(core_box.start)
    return PreparedRegion(image, core, shape, left, target.new_spacing_mm, first)


def filtered(
    prepared: PreparedRegion, settings: IbsiSettings
) -> Iterator[tuple[str, NDArray[np.float64], FilterSettings]]:
    """Yield name, image within the region's box and filter, for every image of the settings.

    A LoG with several widths yields one image, and one filter, for each of them.
    """
    for each in settings.filters:
        if each.kind == "Original":
            yield "original", prepared.image[prepared.core], each
        elif each.kind == "LoG":
            for sigma in each.sigma_mm:
                log = filters.laplacian_of_gaussian(
                    prepared.image,
                    sigma,
                    prepared.spacing_mm,
                    prepared.core,
                    planar=settings.planar,
                )
                width = str(float(sigma)).replace(".", "-")
                name = f"log-sigma-{width}-mm-{'2D' if settings.planar else '3D'}"
                yield name, log, each.model_copy(update={"sigma_mm": (sigma,)})
        else:
            for band, image in filters.wavelets(prepared.image, each.wavelet, prepared.core):
                yield f"wavelet-{band}", image, each


def discretised(
    intensities: NDArray[np.float64], binning: Binning, start: float | None
) -> NDArray[np.int64]:
    """Return grey levels from 1 up (IBSI, section 2.7).

    Args:
        intensities: (n,) values of a region.
        binning: width or number of bins.
        start: lower edge of the first bin of a given width; None: the lowest value.

    Raises:
        UnusableCase: ``many_levels``.

    >>> discretised(np.array([-10.0, 14.9, 15.0]), Binning(width=25), -10).tolist()
    [1, 1, 2]
    """
    low, high = float(intensities.min()), float(intensities.max())
    if binning.width is not None:
        levels = np.floor((intensities - (low if start is None else start)) / binning.width) + 1
        if levels.max() > MOST_LEVELS:
            raise UnusableCase(
                "many_levels",
                f"intensities from {low:g} to {high:g} in bins of {binning.width:g} make "
                f"{levels.max():.0f} grey levels; at most {MOST_LEVELS} are possible, take wider "
                "bins (binWidth)",
            )
    elif high > low:
        assert binning.count is not None
        levels = np.floor(binning.count * ((intensities - low) / (high - low))) + 1
        levels = np.minimum(levels, binning.count)
    else:
        levels = np.ones_like(intensities)
    return levels.astype(np.int64)


def _refuse_other_units(voxels: NDArray[np.generic]) -> None:
    low, high = float(np.min(voxels)), float(np.max(voxels))
    if not can_be_hu(low, high):
        raise UnusableCase(
            "not_hu",
            f"the scan's values go from {low:g} to {high:g}, which are not HU; rescale it",
        )


def _resegmented(
    image: NDArray[np.float64], shape: NDArray[np.bool_], settings: IbsiSettings
) -> NDArray[np.bool_]:
    """Return the region without voxels outside the HU range, and without outliers.

    Both are judged on the whole region: where two ways to re-segment are combined, IBSI takes the
    intersection of their ranges of intensities (reference manual, IF9H).
    """
    inside, values = shape.copy(), image[shape]
    if settings.range_hu:
        low, high = settings.range_hu
        inside &= (image >= low) & (image <= high)
    if settings.outlier_sigma:
        inside &= np.abs(image - values.mean()) <= settings.outlier_sigma * values.std()
    if np.count_nonzero(inside) < FEWEST_VOXELS:
        raise UnusableCase(
            "resegmented",
            f"{np.count_nonzero(inside)} of the region's {values.size} voxels are left after "
            f"re-segmentation (values from {values.min():g} to {values.max():g}); is the scan in "
            "HU?",
        )
    return inside


def _margin(settings: IbsiSettings, spacing_mm: tuple[float, float, float]) -> tuple[int, ...]:
    """Return the margin around the region that the filters need, in voxels (z, y, x)."""
    margin = np.zeros(3, int)
    for each in settings.filters:
        if each.kind == "LoG":
            margin = np.maximum(margin, filters.log_radius(max(each.sigma_mm), spacing_mm))
        elif each.kind == "Wavelet":
            margin = np.maximum(margin, filters.wavelet_radius(each.wavelet))
    return tuple(int(n) for n in margin)


def _inside(region: sitk.Image) -> NDArray[np.bool_]:
    """Return a mask's voxels as booleans, without copying a uint8 mask of 0 and 1."""
    voxels = voxel_array(region)
    whole = voxels.dtype == np.uint8 and voxels.max() <= 1
    inside: NDArray[np.bool_] = voxels.view(np.bool_) if whole else voxels != 0
    return inside


def _without_texture(
    drawn: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    around: Neighbours,
    settings: IbsiSettings,
) -> dict[ReasonCode, str]:
    """Return code and fact if texture has no value in this region, else an empty dictionary.

    Args:
        drawn: the region on the scan's own grid: resampling can turn one slice into several, but
            adds no texture.
        inside: the region on the new grid, re-segmented.
        around: the neighbours of its voxels.
        settings: classes, and whether texture is within slices.
    """
    if not set(_TEXTURE) & set(settings.classes):
        return {}
    what = "within slices" if settings.planar else "in 3-D"
    for region in (drawn, inside):
        box = box_of(region)
        assert box is not None
        if min(box.size[1:] if settings.planar else box.size) == 1:
            size = "×".join(map(str, box.size[::-1]))
            return {"no_texture": f"texture {what} has no value in a region of {size} voxels"}
    if not (around.table < around.count).any():
        return {"no_texture": f"no two of the region's {around.count} voxels touch {what}"}
    return {}


def _mm(spacing_mm: tuple[float, float, float]) -> str:
    return "×".join(f"{s:.4g}" for s in spacing_mm[::-1])
