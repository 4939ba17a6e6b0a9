"""Where a measured value becomes a warning, and where it fails: all thresholds of the verdict.

Volumes: 62.6 ± 19.1 mL (n=1,003) and 72.4 ± 25.8 mL (n=1,886) are published norms. The others are
proposals without a published source; they stand in every provenance, and can be changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

Grade = Literal["pass", "warn", "fail"]


def _no_nan(value: float) -> float:
    if math.isnan(value):
        raise ValueError("not a number; null switches a limit off")
    return value


_Limit = Annotated[float, AfterValidator(_no_nan)]


class LimitRange(BaseModel):
    """Limits of one value; none: nothing that low or high is wrong.

    From ``fail_below`` up to ``fail_above`` none is lower than the one before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fail_below: _Limit | None = None
    warn_below: _Limit | None = None
    warn_above: _Limit | None = None
    fail_above: _Limit | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        given = [(name, value) for name, value in self if value is not None]
        for (low, at), (high, to) in pairwise(given):
            if at > to:
                raise ValueError(
                    f"{low} {at:g} lies above {high} {to:g}; give both (null: no such limit)"
                )
        return self

    def grade(self, value: float) -> Grade:
        """Return what a value is worth; a limit itself is still right."""
        if _outside(value, self.fail_below, self.fail_above):
            return "fail"
        return "warn" if _outside(value, self.warn_below, self.warn_above) else "pass"

    def __str__(self) -> str:
        """Say which values pass: ``25 to 150``, ``0.95 and more``, ``up to 3``."""
        low = self.fail_below if self.warn_below is None else self.warn_below
        high = self.fail_above if self.warn_above is None else self.warn_above
        if low is None:
            return "any" if high is None else f"up to {high:g}"
        return f"{low:g} and more" if high is None else f"{low:g} to {high:g}"


class QualityLimits(BaseModel):
    """The limits of every check. Of a check that a file names, the others keep their values.

    Attributes:
        volume_ml: of the whole pancreas.
        largest_share: of the largest connected component (26 neighbours) in the region.
        empty_slices: axial slices without region between slices with it.
        median_hu: in the region.
        fat_below_hu, dense_above_hu: what counts as fat, and as dense (metal, calcification, bone).
        fat_share: of the region, below ``fat_below_hu``.
        dense_share: of the region, above ``dense_above_hu``.
        lowest_hu: of the scan; air is at -1000.
        slice_mm: distance of the slices, or their thickness where that is more.
        resegmented_share: of the region's voxels, left after re-segmentation.
        uncertainty_dice: mean over pairs of masks made with dropout; not calibrated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    volume_ml: LimitRange = LimitRange(fail_below=10, warn_below=25, warn_above=150, fail_above=300)
    largest_share: LimitRange = LimitRange(fail_below=0.70, warn_below=0.95)
    empty_slices: LimitRange = LimitRange(warn_above=0)
    median_hu: LimitRange = LimitRange(fail_below=0, warn_below=40, warn_above=160, fail_above=250)
    fat_below_hu: _Limit = -30
    dense_above_hu: _Limit = 300
    fat_share: LimitRange = LimitRange(warn_above=0.30, fail_above=0.60)
    dense_share: LimitRange = LimitRange(warn_above=0.01, fail_above=0.10)
    lowest_hu: LimitRange = LimitRange(warn_above=-500)
    slice_mm: LimitRange = LimitRange(warn_above=3, fail_above=5)
    resegmented_share: LimitRange = LimitRange(fail_below=0.50, warn_below=0.80)
    uncertainty_dice: LimitRange = LimitRange(fail_below=0.70, warn_below=0.85)

    @model_validator(mode="before")
    @classmethod
    def _others_stay(cls, given: Any) -> Any:
        """Complete each check's limits by those that it has by itself."""
        if not isinstance(given, Mapping):
            return given
        complete = dict(given)
        for name, field in cls.model_fields.items():
            if isinstance(field.default, LimitRange) and isinstance(given.get(name), Mapping):
                complete[name] = {**field.default.model_dump(), **given[name]}
        return complete


DEFAULT_LIMITS = QualityLimits()


def _outside(value: float, low: float | None, high: float | None) -> bool:
    return (low is not None and value < low) or (high is not None and value > high)
