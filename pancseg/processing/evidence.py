"""What judges a finished row again under other limits, without measuring anything again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Literal, NamedTuple, get_args

from pancseg.cohort.case import DEFAULT_ROI
from pancseg.quality.check import Check, Severity
from pancseg.quality.limits import DEFAULT_LIMITS, PLAUSIBILITY, LimitRange, QualityLimits
from pancseg.review.decisions import NO_REVIEWS, Decision, Reviews

Status = Literal["pass", "warn", "fail", "error"]
STATUSES: tuple[Status, ...] = get_args(Status)

_LIMITS = frozenset(
    name
    for name, field in QualityLimits.model_fields.items()
    if isinstance(field.default, LimitRange)
)


_OF_PANCREAS_TOO = {"dense_share"}
"""A pancreas with a stent is none the less a pancreas: nothing else need be meant."""


@dataclass(frozen=True)
class Judging:
    """By what rows are judged.

    Attributes:
        limits: limits of the verdict.
        keep_failed: a row that fails still gets its features.
        reviews: what people decided about masks.
    """

    limits: QualityLimits = DEFAULT_LIMITS
    keep_failed: bool = False
    reviews: Reviews = NO_REVIEWS


class Judgement(NamedTuple):
    """A row under given limits.

    Attributes:
        status: the worst of all findings.
        reasons: reason code → fact, in the order of the checks; a code keeps its first fact.
        values: number of the row's values that belong to it; it has no features if it fails.
        enough: whether all that the row needs was measured.
        settled: whether measuring again could not make a failed row usable, since limits alone
            make it fail.
    """

    status: Status
    reasons: Mapping[str, str]
    values: int
    enough: bool
    settled: bool


@dataclass(frozen=True)
class Evidence:
    """The checks of a row, in the steps in which it was measured.

    A row that fails at the end of a step is measured no further, unless failed rows are kept too.

    Attributes:
        checks: all checks, in order.
        steps: number of checks and number of values at the end of each step but the last.
        whole: whether the row was measured to its end (or to an error).
        roi: name of the region, which may have limits of its own.
        drawn: a person drew or corrected the mask.
        advice: what may be meant by a region that is unusual for a pancreas; follows the first
            fact that says so.
    """

    checks: tuple[Check, ...] = ()
    steps: tuple[tuple[int, int], ...] = ()
    whole: bool = True
    roi: str = DEFAULT_ROI
    drawn: bool = False
    advice: str = ""

    def judged(self, values: int, by: Judging, decision: Decision | None = None) -> Judgement:
        """Judge the row.

        A mask that a person accepted does not fail by limits, and its row warns, so that the
        decision shows. One that a person rejected fails, and has no features.

        Args:
            values: number of all its values.
            by: the limits, and whether failed rows keep their features.
            decision: what a person decided about the mask.
        """
        status: Status = "pass"
        reasons: dict[str, str] = {}
        settled, begin = True, 0
        limits = by.limits.of_region(self.roi, drawn=self.drawn)
        advice = "" if self.roi in limits.regions else self.advice
        advised = PLAUSIBILITY - _OF_PANCREAS_TOO if self.roi == DEFAULT_ROI else PLAUSIBILITY
        accepted = decision is not None and decision.decision == "accept"
        rejected = decision is not None and not accepted
        for end, shown in (*self.steps, (len(self.checks), values)):
            for check in self.checks[begin:end]:
                if found := check.finding(limits):
                    fact = found.fact
                    if advice and check.limit in advised:
                        fact, advice = f"{fact}; {advice}", ""
                    reasons.setdefault(found.code, fact)
                    lifted = accepted and bool(check.limit)
                    status = worst(status, "warn" if lifted else found.grade)
                    settled &= bool(check.limit) or found.grade == "warn"
            begin = end
            if decision and rejected:
                reasons["rejected_by_reviewer"] = decision.fact
                status = worst(status, "fail")
            if failed(status) and (rejected or not by.keep_failed):
                return Judgement(status, reasons, shown, enough=True, settled=settled)
        if decision and accepted and not failed(status):
            reasons["accepted"] = decision.fact
            status = worst(status, "warn")
        return Judgement(status, reasons, values, self.whole, settled)

    def as_json(self) -> dict[str, Any]:
        """Return the evidence as JSON-able values."""
        return {
            "checks": [list(astuple(check)) for check in self.checks],
            "steps": [list(step) for step in self.steps],
            "whole": self.whole,
            "roi": self.roi,
            "drawn": self.drawn,
            "advice": self.advice,
        }

    @classmethod
    def from_json(cls, record: Any, values: int) -> Evidence:
        """Return the evidence that :meth:`as_json` gave.

        Args:
            record: the JSON-able values.
            values: number of all values of the row.

        Raises:
            ValueError: these are not the values of any evidence.
        """
        try:
            whole = record["whole"]
            checks = tuple(_check(written) for written in record["checks"])
            steps = tuple((int(end), int(shown)) for end, shown in record["steps"])
            roi, drawn, advice = record["roi"], record["drawn"], record["advice"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError("not the checks of a row") from error
        if not (isinstance(roi, str) and isinstance(drawn, bool) and isinstance(advice, str)):
            raise ValueError("not the region of a row")
        if not isinstance(whole, bool) or not _rising((*steps, (len(checks), values))):
            raise ValueError("not the steps of a row")
        return cls(checks, steps, whole, roi, drawn, advice)


def worst(one: Status, other: Status) -> Status:
    """Return the worse of two statuses."""
    return max(one, other, key=STATUSES.index)


def failed(status: Status) -> bool:
    """Return whether a row of this status is not usable."""
    return status in ("fail", "error")


def _check(written: Sequence[Any]) -> Check:
    code, fact, limit, value, unit, grade = written
    texts = (code, fact, limit, unit or "")
    if not all(isinstance(text, str) for text in texts) or grade not in get_args(Severity):
        raise ValueError("not a check")
    if limit and limit not in _LIMITS:
        raise ValueError("limits of no name that is known")
    return Check(code, fact, limit, float(value), unit, grade)


def _rising(steps: Sequence[tuple[int, int]]) -> bool:
    """Return whether both numbers of the steps never fall, from 0."""
    columns = ([0, *column] for column in zip(*steps, strict=True))
    return all(column == sorted(column) for column in columns)
