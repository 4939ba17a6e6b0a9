"""Judge a scan and a region of it: the measured values, and a finding for each that is unusual.

Which limits hold depends on the region and on who drew it (:meth:`QualityLimits.of_region`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from pancseg.errors import UnusableCase
from pancseg.quality.check import Check, Finding, in_ml
from pancseg.quality.limits import DEFAULT_LIMITS, Grade, QualityLimits
from pancseg.reasons import ReasonCode
from pancseg.scans.arrays import label_array, voxel_array
from pancseg.scans.bounding_box import box_of
from pancseg.scans.conversion import ArrayGeometry, VolumeLike, as_mask, as_scan
from pancseg.scans.dicom.contrast_phase import PORTAL_VENOUS
from pancseg.scans.geometry import (
    axes_of,
    axial_axis,
    on_grid_of,
    orientation_problem,
    slice_spacing_mm,
)
from pancseg.scans.reading import copied_slices, phase_hint, series_choice, slice_thickness_mm
from pancseg.system.text.number_text import three_digit_percent

CUT_OFF = "its shape is left empty, and its volume is that of a part"
"""What becomes of a region that touches the scan's edge."""
_SIDES = {
    "L": "edge on the patient's left",
    "R": "edge on the patient's right",
    "A": "front edge",
    "P": "back edge",
    "S": "first or last slice (towards the head)",
    "I": "first or last slice (towards the feet)",
}
_OPPOSITE = dict(zip("LRAPSI", "RLPAIS", strict=True))

SMALLEST_RANGE_HU = 200.0
"""No CT in HU has a smaller difference between its highest and lowest value."""


class Verdict(NamedTuple):
    """The measured values and the findings.

    Attributes:
        values: values of the ``qc_…`` columns, by column name.
        findings: in the order of the checks.
        checks: what was compared with the limits, to be graded again under others.
    """

    values: dict[str, float | str]
    findings: tuple[Finding, ...]
    checks: tuple[Check, ...] = ()


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

    Codes: ``geometry`` (the header does not say how the patient lies), ``not_hu`` (also when no
    value is negative, or all are within 200 HU of each other), ``uneven_slices`` (exact copies of
    DICOM slices were left out), ``thick_slices`` (too far apart; or, by the DICOM series, too thick
    though they overlap) and ``phase`` (the DICOM series names another phase than the portal-venous
    one).

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
    checks: list[Check] = []
    if problem := orientation_problem(scan):
        checks.append(_found("geometry", "warn", problem))
    if hu and not can_be_hu(low, high):
        checks.append(_found("not_hu", "fail", fact))
    elif hu:
        checks.append(_compared("not_hu", fact, low, "lowest_hu", None))
    if copies := copied_slices(scan):
        are = "file is a copy of another" if copies == 1 else "files are copies of others"
        copied = f"{copies} DICOM {are}, to the last pixel, and left out"
        checks.append(_found("uneven_slices", "warn", copied))
    what, judged_mm = f"slices are {slice_mm:.3g} mm apart", slice_mm
    if thickness_mm := slice_thickness_mm(scan):
        values["qc_slice_thickness_mm"] = round(thickness_mm, 4)
        if thickness_mm > slice_mm:
            what = f"slices are {thickness_mm:.3g} mm thick and {slice_mm:.3g} mm apart"
            judged_mm = thickness_mm
    checks.append(_compared("thick_slices", what, judged_mm, "slice_mm", "mm"))
    if choice := series_choice(scan):
        values["qc_series_choice"] = choice
    if phase := phase_hint(scan):
        values["qc_phase_hint"] = phase
        if phase != PORTAL_VENOUS:
            fact = f"the DICOM series' text names the phase {phase}, expected {PORTAL_VENOUS}"
            checks.append(_found("phase", "warn", fact))
    return _verdict(values, checks, limits)


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
        limits: thresholds, as for the network's pancreas; ``limits.of_region("tumour",
            drawn=True)`` returns those of another region, or of one that a person drew.
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
    cut_off: str = CUT_OFF,
) -> Verdict:
    """Judge a region as :func:`judge_region` does, without checking scan and grid again.

    A cohort run checks each scan once, and judges many regions of it.

    Args:
        scan: a scan that was read.
        region: label map, 0 outside, on the scan's grid.
        limits: thresholds.
        whole_pancreas: as for :func:`judge_region`.
        ring: as for :func:`judge_region`.
        cut_off: what becomes of a region that touches the scan's edge; ends the fact.

    Raises:
        UnusableCase: ``empty_mask``, ``not_labels``.
    """
    inside = label_array(region)
    box = box_of(inside)
    if box is None:
        raise UnusableCase("empty_mask", f"none of the mask's {inside.size:,} voxels is set")
    part: NDArray[np.bool_] = inside[box.slices] != 0
    hu = voxel_array(scan)[box.slices][part]
    axial = axial_axis(region)
    components, largest_share = _components(part)
    volume = volume_ml(region)
    empty = int(np.count_nonzero(~part.any(axis=tuple(a for a in range(3) if a != axial))))
    edges = _touched_edges(region, box.start, box.size, inside.shape)
    median = float(np.median(hu))
    fat = float(np.mean(hu < limits.fat_below_hu))
    dense = float(np.mean(hu > limits.dense_above_hu))
    checks: list[Check] = []
    if whole_pancreas:
        what = f"the region's volume is {in_ml(volume)}"
        checks.append(_compared("volume", what, volume, "volume_ml", "mL"))
    if not ring:
        largest = three_digit_percent(largest_share)
        what = f"the largest of the region's {components} pieces is {largest} of it"
        checks.append(_compared("fragmented", what, largest_share, "largest_share", "%"))
    if edges:
        fact = f"the region touches the scan's {' and '.join(edges)}; {cut_off}"
        checks.append(_found("truncated", "warn", fact))
    if not ring:
        slices = "1 empty slice" if empty == 1 else f"{empty} empty slices"
        what = f"the region has {slices} between its first and last"
        checks.append(_compared("gap", what, empty, "empty_slices"))
        what = f"the region's median is {median:.4g} HU"
        checks.append(_compared("hu_range", what, median, "median_hu", "HU"))
        below = f"{three_digit_percent(fat)} of the region is below {limits.fat_below_hu:g} HU"
        above = f"{three_digit_percent(dense)} of the region is above {limits.dense_above_hu:g} HU"
        checks.append(_compared("fat", below, fat, "fat_share", "%"))
        checks.append(_compared("dense", above, dense, "dense_share", "%"))
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
    return _verdict(values, checks, limits)


def judge_resegmented(share: float, limits: QualityLimits) -> Verdict:
    """Judge the share of a region's voxels, 0–1, that re-segmentation left for the features.

    Code ``resegmented``.
    """
    left = three_digit_percent(share)
    what = f"re-segmentation leaves {left} of the region's voxels for the features"
    check = _compared("resegmented", what, share, "resegmented_share", "%")
    return _verdict({"qc_resegmented_share": round(share, 6)}, [check], limits)


def judge_agreement(dice: float, limits: QualityLimits) -> Verdict:
    """Judge the agreement of masks made with dropout, by their mean pairwise Dice, 0–1.

    Code ``uncertain``.
    """
    what = f"masks made with dropout agree with a mean Dice of {three_digit_percent(dice)}"
    check = _compared("uncertain", what, dice, "uncertainty_dice", "%")
    return _verdict({"qc_uncertainty_dice": round(dice, 6)}, [check], limits)


def judge_looks(dice: float, limits: QualityLimits) -> Verdict:
    """Judge the agreement of a mask with the first of the two looks that made it, by Dice, 0–1.

    Code ``uncertain``.
    """
    agreement = three_digit_percent(dice)
    what = f"the mask of both looks agrees with the first look's with a Dice of {agreement}"
    check = _compared("uncertain", what, dice, "looks_dice", "%")
    return _verdict({"qc_looks_dice": round(dice, 6)}, [check], limits)


def volume_ml(mask: sitk.Image) -> float:
    """Return the volume of a mask's non-zero voxels, in mL."""
    voxel_ml = float(np.prod(mask.GetSpacing())) / 1000
    return round(int(np.count_nonzero(voxel_array(mask))) * voxel_ml, 3)


def _compared(
    code: ReasonCode, fact: str, value: float, limit: str, unit: str | None = ""
) -> Check:
    """Return the check of a value against the limits of a name."""
    return Check(code, fact, limit, float(value), unit)


def _found(code: ReasonCode, grade: Grade, fact: str) -> Check:
    """Return a check whose grade no limit changes."""
    return Check(code, fact, grade=grade)


def _verdict(
    values: dict[str, float | str], checks: Sequence[Check], limits: QualityLimits
) -> Verdict:
    findings = (check.finding(limits) for check in checks)
    return Verdict(values, tuple(f for f in findings if f is not None), tuple(checks))


def _components(part: NDArray[np.bool_]) -> tuple[int, float]:
    labels, count = ndimage.label(part, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    return int(count), float(sizes.max() / sizes.sum())


def _touched_edges(
    region: sitk.Image, start: tuple[int, ...], size: tuple[int, ...], shape: tuple[Any, ...]
) -> list[str]:
    """Return the scan's edges, in words, at which a box begins or ends; slices come first."""
    touched = ""
    for axis, towards in enumerate(reversed(axes_of(region))):
        touched += _OPPOSITE[towards] if start[axis] == 0 else ""
        touched += towards if start[axis] + size[axis] == shape[axis] else ""
    return [_SIDES[letter] for letter in "ISRLAP" if letter in touched]
