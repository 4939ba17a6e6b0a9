"""The row of a case: a draft while it is filled, and the result when it is done."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.errors import UnusableCase
from pancseg.processing.evidence import Evidence, Judgement, Judging, Status, failed, worst
from pancseg.quality.check import Check
from pancseg.reasons import EvaluationCode, ReasonCode
from pancseg.review.decisions import Decision
from pancseg.review.look import to_look_at
from pancseg.tables.fields import Value

log = logging.getLogger(__name__)


@dataclass
class DraftRow:
    """A row while it is filled; it keeps the values found before an error.

    Attributes:
        by: the limits, and whether failed rows get features too.
        values: column → value; NaN where there is none.
        checks: the checks so far, in order.
        steps: number of checks and values at the end of each finished step.
        stopped: the row failed at the end of a step, and is measured no further.
        roi: name of the region.
        drawn: a person drew or corrected the mask.
        advice: what may be meant by a region that is unusual for a pancreas.
        key: key of the case.
    """

    by: Judging = field(default_factory=Judging)
    values: dict[str, Value] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)
    stopped: bool = False
    roi: str = DEFAULT_ROI
    drawn: bool = False
    advice: str = ""
    key: str = ""

    @property
    def evidence(self) -> Evidence:
        """What judges the row, also under other limits."""
        return Evidence(
            tuple(self.checks),
            tuple(self.steps),
            whole=not self.stopped,
            roi=self.roi,
            drawn=self.drawn,
            advice=self.advice,
        )

    @property
    def judgement(self) -> Judgement:
        """The row's status and reasons so far."""
        return self.evidence.judged(len(self.values), self.by, self._decision)

    @property
    def _decision(self) -> Decision | None:
        return self.by.reviews.of(self.key, str(self.values.get("mask_sha256", "")))

    def note(self, code: ReasonCode | EvaluationCode, status: Status, fact: str) -> None:
        """Add a reason and worsen the status if need be; a code keeps its first fact."""
        self.checks.append(Check(code, fact, grade=status))

    def note_bug(self, error: Exception) -> None:
        """Add an unexpected exception as a reason, with its class name as the code."""
        name = type(error).__name__
        fact = f"unexpected {name}; run with `verbose` for the traceback"
        self.checks.append(Check(name, fact, grade="error"))

    def ends_step(self) -> bool:
        """End a step, and return whether the row is measured further."""
        self.steps.append((len(self.checks), len(self.values)))
        status, reasons, *_ = self.judgement
        unwanted = "rejected_by_reviewer" in reasons
        self.stopped = failed(status) and (unwanted or not self.by.keep_failed)
        return not self.stopped


@dataclass(frozen=True)
class CaseResult:
    """What became of one case: one row of the table.

    Attributes:
        case: the case.
        status: pass; warn (usable, but see the reason); fail (not usable); error (a bug).
        reason: reason codes for ``qc_reasons``, joined by ``;``; empty if the case passed.
        fact: what is wrong, with numbers and the remedy, in one line; empty if the case passed.
        values: column → value.
        evidence: what judges the row again under other limits; None if it is not known.
        same_scan: names of the other scans with the same voxels, if that makes it a ``duplicate``.

    Example:
        >>> from pancseg import run_cohort
        >>> (result,) = run_cohort("cohort.csv", "results", weights="monet_phantom")
        >>> result.usable, result.status, result.reason
        (True, 'warn', 'thick_slices')
    """

    case: Case
    status: Status
    reason: str = ""
    fact: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    evidence: Evidence | None = field(default=None, repr=False, compare=False)
    same_scan: tuple[str, ...] = ()

    @classmethod
    def of_one_reason(cls, case: Case, status: Status, code: ReasonCode, fact: str) -> CaseResult:
        """Return the result of a case of which nothing is known but what went wrong."""
        return cls(case, status, code, fact, evidence=Evidence((Check(code, fact, grade=status),)))

    @property
    def usable(self) -> bool:
        """Whether the row can be used in an analysis: pass or warn."""
        return not failed(self.status)

    @property
    def to_look_at(self) -> bool:
        """Whether the row is usable but asks for a look (:mod:`pancseg.review.look`)."""
        if self.status != "warn":  # values may lie on the disk
            return False
        source, phase = (
            str(self.values.get(name, "")) for name in ("qc_mask_source", "qc_phase_hint")
        )
        return to_look_at(self.status, source, phase, accepted=self.accepted)

    @property
    def accepted(self) -> bool:
        """Whether the row is usable and a person accepted its mask."""
        return "accepted" in self.reason.split(";")

    def noted(self, code: ReasonCode, status: Status, fact: str) -> CaseResult:
        """Return the result with one more reason and the worse of the two statuses."""
        return replace(
            self,
            status=worst(self.status, status),
            reason=";".join(filter(None, [self.reason, code])),
            fact="; ".join(filter(None, [self.fact, fact])),
        )


def case_result(
    case: Case, fill: Callable[[DraftRow], None], by: Judging | None = None
) -> CaseResult:
    """Call ``fill`` on a draft row and return the result; no exception gets out.

    ``UnusableCase`` gives the status fail. Any other exception is a bug and gives the status error;
    its traceback is logged at debug level, because tracebacks can name files. Values that ``fill``
    set before the exception are kept.

    Args:
        case: the case.
        fill: sets the values and checks of the draft.
        by: the limits, and whether failed rows get features too; by default the default limits.
    """
    draft = DraftRow(by or Judging(), roi=case.roi, key=case.key)
    try:
        fill(draft)
    except UnusableCase as unusable:
        log.debug("%s: image %s, mask %s", case.name, case.image, case.mask)
        draft.note(unusable.code, "fail", unusable.fact)
    except Exception as bug:  # reported as this case's error row
        log.debug("%s: %s", case.name, type(bug).__name__, exc_info=True)
        draft.note_bug(bug)
    values = {name: _finite(value) for name, value in draft.values.items()}
    status, reasons, *_ = draft.judgement
    facts = "; ".join(reasons.values())
    return CaseResult(case, status, ";".join(reasons), facts, values, draft.evidence)


def _finite(value: Value) -> Value:
    return math.nan if isinstance(value, float) and not math.isfinite(value) else value
