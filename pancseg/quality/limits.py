"""The thresholds of the verdict: from which value on a measurement warns, and from which it fails.

The volume limits follow published norms, 62.6 ± 19.1 mL (n=1,003) and 72.4 ± 25.8 mL (n=1,886).
The other limits are proposals without a published source. All of them are recorded in every
provenance, and can be changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_serializer, model_validator

from pancseg.system.yaml_file import FrozenModel

Grade = Literal["pass", "warn", "fail"]


def _no_nan(value: float) -> float:
    if math.isnan(value):
        raise ValueError("not a number; null switches a limit off")
    return value


_Limit = Annotated[float, AfterValidator(_no_nan)]


class LimitRange(FrozenModel):
    """Limits of one value; None switches a limit off.

    In the order ``fail_below``, ``warn_below``, ``warn_above``, ``fail_above``, none may be lower
    than the one before.

    >>> LimitRange(fail_below=10, warn_below=25, warn_above=150).grade(20)
    'warn'
    """

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
                    f"{low} {at:g} is greater than {high} {to:g}; give both (null: no limit)"
                )
        return self

    def grade(self, value: float) -> Grade:
        """Return the grade of a value; a value equal to a limit is still within it."""
        if _outside(value, self.fail_below, self.fail_above):
            return "fail"
        return "warn" if _outside(value, self.warn_below, self.warn_above) else "pass"

    @property
    def advising(self) -> LimitRange:
        """These limits with warnings in place of failures."""
        low = self.fail_below if self.warn_below is None else self.warn_below
        high = self.fail_above if self.warn_above is None else self.warn_above
        return LimitRange(warn_below=low, warn_above=high)

    def changed_by(self, own: LimitRange) -> LimitRange:
        """Return these limits, with those that another range names in their place."""
        return LimitRange(**{**self.model_dump(), **own.model_dump(exclude_unset=True)})

    def in_words(self, unit: str = "") -> str:
        """Return the values that pass: ``25–150 mL``, ``at least 95 %``, ``at most 3 mm``.

        Args:
            unit: of the values; ``%`` for shares of 1.
        """
        factor, after = (100 if unit == "%" else 1), f" {unit}" if unit else ""
        low, high = (
            None if limit is None else f"{limit * factor:g}"
            for limit in (self.advising.warn_below, self.advising.warn_above)
        )
        if low is None:
            return "any value" if high is None else f"at most {high}{after}"
        if high is None:
            return f"at least {low}{after}"
        return f"{low} to {high}{after}" if low.startswith("-") else f"{low}–{high}{after}"


PLAUSIBILITY = frozenset(
    {"volume_ml", "largest_share", "empty_slices", "median_hu", "fat_share", "dense_share"}
)
"""Limits of what is unlikely for a pancreas, but possible."""
WHOLE_ORGAN = "pancreas"
"""The region whose volume has published norms."""


class RegionLimits(FrozenModel):
    """The limits of one region, where they differ; a limit that is named here may also fail.

    Attributes:
        volume_ml: this and the others: as for :class:`QualityLimits`.
        largest_share: see there.
        empty_slices: see there.
        median_hu: see there.
        fat_share: see there.
        dense_share: see there.
        resegmented_share: see there.
    """

    volume_ml: LimitRange | None = None
    largest_share: LimitRange | None = None
    empty_slices: LimitRange | None = None
    median_hu: LimitRange | None = None
    fat_share: LimitRange | None = None
    dense_share: LimitRange | None = None
    resegmented_share: LimitRange | None = None

    @model_serializer
    def _as_given(self) -> dict[str, dict[str, float | None]]:
        """Keep what was given apart from what was not, which a null would switch off."""
        given = {name: limit for name, limit in self if limit is not None}
        return {name: limit.model_dump(exclude_unset=True) for name, limit in given.items()}


class QualityLimits(FrozenModel):
    """The limits of every check; those that a settings file does not name keep their defaults.

    Attributes:
        volume_ml: volume of the whole pancreas.
        largest_share: share of the region in its largest connected component (26 neighbours).
        empty_slices: number of axial slices without the region between slices with it.
        median_hu: median HU of the region.
        fat_below_hu, dense_above_hu: what counts as fat, and as dense (metal, calcification, bone).
        fat_share: share of the region below ``fat_below_hu``.
        dense_share: share of the region above ``dense_above_hu``.
        lowest_hu: lowest value of the scan; air is at -1000.
        slice_mm: distance between the slices, or their thickness if that is greater.
        resegmented_share: share of the region's voxels left after re-segmentation.
        uncertainty_dice: mean Dice over pairs of masks made with dropout; not calibrated.
        looks_dice: Dice of the first look's mask with that of both looks; no limits by default,
            as none has been measured.
        regions: name of a region → the limits that differ for it.

    Example:
        >>> from pancseg import QualityLimits
        >>> limits = QualityLimits(slice_mm={"warn_above": 5, "fail_above": 8})
        >>> limits.slice_mm.grade(6.0), limits.volume_ml.grade(6.0)
        ('warn', 'fail')
    """

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
    looks_dice: LimitRange = LimitRange()
    regions: dict[str, RegionLimits] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _others_stay(cls, given: Any) -> Any:
        """Complete the limits given for a check with that check's defaults."""
        if not isinstance(given, Mapping):
            return given
        complete = dict(given)
        for name, field in cls.model_fields.items():
            if isinstance(field.default, LimitRange) and isinstance(given.get(name), Mapping):
                complete[name] = {**field.default.model_dump(), **given[name]}
        return complete

    @model_validator(mode="after")
    def _regions_in_order(self) -> Self:
        for roi in self.regions:
            for drawn in (False, True):
                try:
                    self.of_region(roi, drawn=drawn)
                except ValidationError as error:
                    said = error.errors()[0]["msg"].removeprefix("Value error, ")
                    raise ValueError(f"regions: {roi}: {said}") from error
        return self

    def of_region(self, roi: str, *, drawn: bool) -> QualityLimits:
        """Return the limits of one region.

        The network's pancreas keeps all limits. Of a region that a person drew, and of any other
        region than the pancreas, those of :data:`PLAUSIBILITY` only warn: it may be something
        else, such as a tumour. Only ``pancreas`` has a usual volume. What ``regions`` says of
        the region comes last.

        Args:
            roi: name of the region.
            drawn: a person drew or corrected the mask.

        Example:
            >>> QualityLimits().of_region("pancreas", drawn=True).volume_ml.grade(5)
            'warn'
        """
        changed: dict[str, Any] = {}
        if drawn or roi != WHOLE_ORGAN:
            changed |= {name: getattr(self, name).advising for name in PLAUSIBILITY}
        if roi != WHOLE_ORGAN:
            changed["volume_ml"] = LimitRange()
        if own := self.regions.get(roi):
            for name, limit in own:
                if limit is not None:
                    changed[name] = changed.get(name, getattr(self, name)).changed_by(limit)
        return self.model_copy(update=changed)


DEFAULT_LIMITS = QualityLimits()


def _outside(value: float, low: float | None, high: float | None) -> bool:
    return (low is not None and value < low) or (high is not None and value > high)
