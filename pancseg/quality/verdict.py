"""Judge a scan and a region of it: the measured values, and a finding for each that is unusual.

Automatic masks and hand-drawn ones are judged alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Unpack

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from pancseg.errors import UnusableCase
from pancseg.quality.limits import DEFAULT_LIMITS, Grade, LimitRange, QualityLimits
from pancseg.reasons import ReasonCode
from pancseg.scans.arrays import label_array, voxel_array
from pancseg.scans.bounding_box import box_of
from pancseg.scans.conversion import ArrayGeometry, VolumeLike, as_mask, as_scan
from pancseg.scans.dicom.contrast_phase import PORTAL_VENOUS
from pancseg.scans.geometry import axial_axis, on_grid_of, slice_spacing_mm
from pancseg.scans.reading import phase_hint, slice_thickness_mm

SMALLEST_RANGE_HU = 200.0
"""No CT in HU has a smaller difference between its highest and lowest value."""


class Finding(NamedTuple):
    """One thing that is not as it should be.

    Attributes:
        code: reason code for ``qc_reasons``.
        grade: ``warn`` or ``fail``.
        fact: one line with numbers.
    """

    code: ReasonCode
    grade: Grade
    fact: str


class Verdict(NamedTuple):
    """The measured values and the findings.

    Attributes:
        values: values of the ``qc_…`` columns, by column name.
        findings: in the order of the checks.
    """

    values: dict[str, float | str]
    findings: tuple[Finding, ...]


def can_be_hu(low: float, high: float) -> bool:
    """Return whether a CT's lowest and highest value can be HU: air is below 0, bone far above.

    >>> can_be_hu(-1024, 1500), can_be_hu(0, 255)
    (True, False)
    """
    return bool(np.isfinite([low, high]).all()) and low < 0 and high - low >= SMALLEST_RANGE_HU


def judge_scan(
    scan: VolumeLike,
    limits: QualityLimits = DEFAULT_LIMITS,
    *,
    hu: bool = True,
    **geometry: Unpack[ArrayGeometry],
) -> Verdict:
    """Judge the units, slices and contrast phase of a scan.

    Codes: ``not_hu`` (also when no value is negative, or all are within 200 HU of each other),
    ``thick_slices`` (too far apart; or, by the DICOM series, too thick though they overlap) and
    ``phase`` (the DICOM series names another phase than the portal-venous one).

    Args:
        scan: the volume.
        limits: thresholds.
        hu: whether the values should be HU; if not, the units are not judged.

    Example:
        >>> from pancseg import judge_scan
        >>> [(finding.code, finding.grade) for finding in judge_scan("scan.nii.gz").findings]
        [('thick_slices', 'warn')]
    """
    scan = as_scan(scan, **geometry)
    voxels = voxel_array(scan)
    low, high = float(voxels.min()), float(voxels.max())
    slice_mm = slice_spacing_mm(scan)
    values: dict[str, float | str] = {"qc_lowest_hu": low, "qc_slice_mm": round(slice_mm, 4)}
    fact = f"the scan's values go from {low:g} to {high:g}, but air in HU is at -1000"
    grade = limits.lowest_hu.grade(low)
    if not can_be_hu(low, high):
        grade = "fail"
    found = [] if grade == "pass" or not hu else [Finding("not_hu", grade, fact)]
    what, judged_mm = "slices are {:.3g} mm apart", slice_mm
    if thickness_mm := slice_thickness_mm(scan):
        values["qc_slice_thickness_mm"] = round(thickness_mm, 4)
        if thickness_mm > slice_mm:
            what = f"slices are {{:.3g}} mm thick and {slice_mm:.3g} mm apart"
            judged_mm = thickness_mm
    found += _beyond("thick_slices", what, judged_mm, limits.slice_mm, " mm")
    if phase := phase_hint(scan):
        values["qc_phase_hint"] = phase
        if phase != PORTAL_VENOUS:
            fact = f"the DICOM series' text names the phase {phase}, expected {PORTAL_VENOUS}"
            found.append(Finding("phase", "warn", fact))
    return Verdict(values, tuple(found))


def judge_region(
    scan: VolumeLike,
    region: VolumeLike,
    limits: QualityLimits = DEFAULT_LIMITS,
    *,
    whole_pancreas: bool = True,
    ring: bool = False,
    **geometry: Unpack[ArrayGeometry],
) -> Verdict:
    """Judge a region: its size, connectedness, position and HU.

    Codes: ``volume``, ``fragmented``, ``truncated``, ``gap``, ``hu_range``, ``fat`` and ``dense``.
    ``truncated`` is only a warning, because intensities stay meaningful.

    Args:
        scan: the volume, HU.
        region: mask in the same space, 0 outside; re-ordered when its axes run otherwise.
        limits: thresholds.
        whole_pancreas: judge the volume, whose norms hold for the whole organ only.
        ring: the region is a ring around an organ: other tissue, often fat, and possibly in
            pieces. It is measured, but only ``truncated`` is judged.

    Raises:
        UnusableCase: ``empty_mask``, ``geometry`` (another grid), ``not_labels``.

    Example:
        >>> from pancseg import judge_region
        >>> judge_region("scan.nii.gz", "mask.nii.gz").values["qc_volume_ml"]
        64.087
    """
    image = as_scan(scan, **geometry)
    drawn = on_grid_of(image, as_mask(region, image))
    return judge_checked_region(image, drawn, limits, whole_pancreas=whole_pancreas, ring=ring)


def judge_checked_region(
    scan: sitk.Image,
    region: sitk.Image,
    limits: QualityLimits,
    *,
    whole_pancreas: bool,
    ring: bool,
) -> Verdict:
    """Judge a region as :func:`judge_region` does, without checking scan and grid again.

    A cohort run checks each scan once, and judges many regions of it.

    Args:
        scan: a scan that was read.
        region: label map, 0 outside, on the scan's grid.
        limits: thresholds.
        whole_pancreas: as for :func:`judge_region`.
        ring: as for :func:`judge_region`.

    Raises:
        UnusableCase: ``empty_mask``, ``not_labels``.
    """
    inside = label_array(region)
    box = box_of(inside)
    if box is None:
        raise UnusableCase("empty_mask", f"none of the mask's {inside.size} voxels is set")
    part: NDArray[np.bool_] = inside[box.slices] != 0
    hu = voxel_array(scan)[box.slices][part]
    axial = axial_axis(region)
    components, largest_share = _components(part)
    volume = volume_ml(region)
    empty = int(np.count_nonzero(~part.any(axis=tuple(a for a in range(3) if a != axial))))
    edges = _touched_edges(box.start, box.size, inside.shape)
    median = float(np.median(hu))
    fat = float(np.mean(hu < limits.fat_below_hu))
    dense = float(np.mean(hu > limits.dense_above_hu))
    found: list[Finding] = []
    if whole_pancreas:
        what = "the region's volume is {:.3g} mL"
        found += _beyond("volume", what, volume, limits.volume_ml, " mL")
    if not ring:
        what = f"the largest of the region's {components} pieces is {{:.3g}} of it"
        found += _beyond("fragmented", what, largest_share, limits.largest_share)
    if edges:
        fact = (
            f"the region touches the scan's {'first or last slice' if axial in edges else 'edge'}, "
            "so its shape and volume are meaningless"
        )
        found.append(Finding("truncated", "warn", fact))
    if not ring:
        what = "the region has {:.0f} empty slices between its first and last"
        found += _beyond("gap", what, empty, limits.empty_slices)
        what = "the region's median is {:.4g} HU"
        found += _beyond("hu_range", what, median, limits.median_hu, " HU")
        below = f"{{:.3g}} of the region is below {limits.fat_below_hu:g} HU"
        above = f"{{:.3g}} of the region is above {limits.dense_above_hu:g} HU"
        found += _beyond("fat", below, fat, limits.fat_share)
        found += _beyond("dense", above, dense, limits.dense_share)
    values: dict[str, float | str] = {
        "qc_volume_ml": volume,
        "qc_components": components,
        "qc_largest_share": round(largest_share, 6),
        "qc_touches_edge": int(bool(edges)),
        "qc_empty_slices": empty,
        "qc_median_hu": median,
        "qc_fat_share": round(fat, 6),
        "qc_dense_share": round(dense, 6),
    }
    return Verdict(values, tuple(found))


def judge_resegmented(share: float, limits: QualityLimits) -> Verdict:
    """Judge the share of a region's voxels, 0–1, that re-segmentation left for the features.

    Code ``resegmented``.
    """
    what = "re-segmentation leaves {:.3g} of the region's voxels for the features"
    found = tuple(_beyond("resegmented", what, share, limits.resegmented_share))
    return Verdict({"qc_resegmented_share": round(share, 6)}, found)


def judge_agreement(dice: float, limits: QualityLimits) -> Verdict:
    """Judge the agreement of masks made with dropout, by their mean pairwise Dice, 0–1.

    Code ``uncertain``.
    """
    what = "masks made with dropout agree with a mean Dice of {:.3g}"
    found = tuple(_beyond("uncertain", what, dice, limits.uncertainty_dice))
    return Verdict({"qc_uncertainty_dice": round(dice, 6)}, found)


def volume_ml(mask: sitk.Image) -> float:
    """Return the volume of a mask's non-zero voxels, in mL."""
    voxel_ml = float(np.prod(mask.GetSpacing())) / 1000
    return round(int(np.count_nonzero(voxel_array(mask))) * voxel_ml, 3)


def _beyond(
    code: ReasonCode, what: str, value: float, limits: LimitRange, unit: str = ""
) -> Iterable[Finding]:
    """Return a finding if a value does not pass; ``unit`` follows the limits in its fact."""
    grade = limits.grade(value)
    if grade == "pass":
        return []
    return [Finding(code, grade, f"{what.format(value)} (expected {limits}{unit})")]


def _components(part: NDArray[np.bool_]) -> tuple[int, float]:
    labels, count = ndimage.label(part, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    return int(count), float(sizes.max() / sizes.sum())


def _touched_edges(
    start: tuple[int, ...], size: tuple[int, ...], shape: tuple[Any, ...]
) -> list[int]:
    """Return the axes along which a box begins or ends at the volume's edge."""
    return [a for a in range(3) if start[a] == 0 or start[a] + size[a] == shape[a]]
