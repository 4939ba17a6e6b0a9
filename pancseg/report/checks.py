"""The checks behind a verdict: which column they look at, and which limits they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from pancseg.features.settings import FeatureSettings
from pancseg.quality.limits import PLAUSIBILITY, LimitRange, QualityLimits
from pancseg.reasons import ReasonCode


class Check(NamedTuple):
    """One check.

    Attributes:
        column: the column with the measured value.
        limit: field of :class:`pancseg.quality.limits.QualityLimits`; empty for a question, whose
            answer yes (1) warns whatever the limits are.
        code: reason code of a value outside the limits.
        name: what is measured, in words.
        unit: unit of the value; ``%`` for shares, :data:`YES_OR_NO` for answers.
        about: ``scan`` or ``region``.
    """

    column: str
    limit: str
    code: ReasonCode
    name: str
    unit: str
    about: str


YES_OR_NO = "yes or no"
"""The unit of an answer: 1 is yes, 0 is no."""
_NO = LimitRange(warn_above=0)

CHECKS = (
    Check("qc_lowest_hu", "lowest_hu", "not_hu", "lowest value (air is -1000)", "HU", "scan"),
    Check("qc_slice_mm", "slice_mm", "thick_slices", "distance between slices", "mm", "scan"),
    Check(
        "qc_slice_thickness_mm", "slice_mm", "thick_slices", "thickness of slices", "mm", "scan"
    ),
    Check("qc_volume_ml", "volume_ml", "volume", "volume", "mL", "region"),
    Check("qc_largest_share", "largest_share", "fragmented", "in the largest piece", "%", "region"),
    Check("qc_touches_edge", "", "truncated", "touches the scan's edge", YES_OR_NO, "region"),
    Check("qc_empty_slices", "empty_slices", "gap", "empty slices within", "", "region"),
    Check("qc_median_hu", "median_hu", "hu_range", "median", "HU", "region"),
    Check("qc_fat_share", "fat_share", "fat", "fat", "%", "region"),
    Check("qc_dense_share", "dense_share", "dense", "dense", "%", "region"),
    Check(
        "qc_resegmented_share", "resegmented_share", "resegmented", "left by re-segmentation",
        "%", "region",
    ),
    Check(
        "qc_uncertainty_dice", "uncertainty_dice", "uncertain", "agreement with dropout", "%",
        "region",
    ),
    Check(
        "qc_looks_dice", "looks_dice", "uncertain", "agreement of the first look with both", "%",
        "region",
    ),
)  # fmt: skip


def limits_of(provenance: Mapping[str, Any]) -> QualityLimits:
    """Return the limits that a run had; defaults where it did not note them."""
    try:
        return FeatureSettings.model_validate(provenance["features"]).limits
    except (KeyError, ValidationError):  # masks alone, or written by another version
        pass
    noted = provenance.get("features", {}).get("quality") or provenance.get("quality") or {}
    found: dict[str, Any] = {}
    for name, own in noted.items() if isinstance(noted, Mapping) else ():
        try:
            QualityLimits.model_validate({name: own})
            found[name] = own
        except ValidationError:
            continue
    return QualityLimits.model_validate(found)


def ranges_of(
    limits: QualityLimits, roi: str, *, drawn: bool, ring: bool
) -> list[LimitRange | None]:
    """Return the limits of each check for a region; None for a check that did not judge it.

    Args:
        limits: of the run.
        roi: name of the region.
        drawn: a person drew or corrected the mask.
        ring: the region is a ring around another.
    """
    own = limits.of_region(roi, drawn=drawn)
    return [
        None if ring and check.limit in PLAUSIBILITY else range_of(check, own) for check in CHECKS
    ]


def range_of(check: Check, limits: QualityLimits) -> LimitRange:
    """Return the limits of a check among those of a region."""
    return getattr(limits, check.limit) if check.limit else _NO
