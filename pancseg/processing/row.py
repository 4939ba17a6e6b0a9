"""The row of a case: a draft while it is filled, and the result when it is done."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pancseg.cohort.case import Case
from pancseg.errors import UnusableCase
from pancseg.reasons import EvaluationCode, ReasonCode
from pancseg.tables.fields import Value

log = logging.getLogger(__name__)


Status = Literal["pass", "warn", "fail", "error"]


_STATUSES = ("pass", "warn", "fail", "error")


@dataclass
class DraftRow:
    """A row while it is filled; it keeps the values found before an error.

    Attributes:
        values: column → value; NaN where there is none.
        reasons: reason code → fact, in the order of the checks.
        status: the worst status of all reasons.
    """

    values: dict[str, Value] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    status: Status = "pass"

    def note(self, code: ReasonCode | EvaluationCode, status: Status, fact: str) -> None:
        """Add a reason and worsen the status if need be; a code keeps its first fact."""
        self._note(code, status, fact)

    def note_bug(self, error: Exception) -> None:
        """Add an unexpected exception as a reason, with its class name as the code."""
        name = type(error).__name__
        self._note(name, "error", f"unexpected {name}; run with `verbose` for the traceback")

    def _note(self, code: str, status: Status, fact: str) -> None:
        self.reasons.setdefault(code, fact)
        self.status = max(self.status, status, key=_STATUSES.index)


@dataclass(frozen=True)
class CaseResult:
    """What became of one case: one row of the table.

    Attributes:
        case: the case.
        status: pass; warn (usable, but see the reason); fail (not usable); error (a bug).
        reason: reason codes for ``qc_reasons``, joined by ``;``; empty if the case passed.
        fact: what is wrong, with numbers and the remedy, in one line; empty if the case passed.
        values: column → value.

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

    @classmethod
    def of_one_reason(cls, case: Case, status: Status, code: ReasonCode, fact: str) -> CaseResult:
        """Return the result of a case of which nothing is known but what went wrong."""
        return cls(case, status, code, fact)

    @property
    def usable(self) -> bool:
        """Whether the row can be used in an analysis: pass or warn."""
        return self.status in ("pass", "warn")

    def noted(self, code: ReasonCode, status: Status, fact: str) -> CaseResult:
        """Return the result with one more reason and the worse of the two statuses."""
        return replace(
            self,
            status=max(self.status, status, key=_STATUSES.index),
            reason=";".join(filter(None, [self.reason, code])),
            fact="; ".join(filter(None, [self.fact, fact])),
        )


def case_result(case: Case, fill: Callable[[DraftRow], None]) -> CaseResult:
    """Call ``fill`` on a draft row and return the result; no exception gets out.

    ``UnusableCase`` gives the status fail. Any other exception is a bug and gives the status error;
    its traceback is logged at debug level, because tracebacks can name files. Values that ``fill``
    set before the exception are kept.

    Args:
        case: the case.
        fill: sets the values and reasons of the draft.
    """
    draft = DraftRow()
    try:
        fill(draft)
    except UnusableCase as unusable:
        log.debug("%s: image %s, mask %s", case.name, case.image, case.mask)
        draft.note(unusable.code, "fail", unusable.fact)
    except Exception as bug:  # reported as this case's error row
        log.debug("%s: %s", case.name, type(bug).__name__, exc_info=True)
        draft.note_bug(bug)
    values = {name: _finite(value) for name, value in draft.values.items()}
    reasons = draft.reasons
    return CaseResult(case, draft.status, ";".join(reasons), "; ".join(reasons.values()), values)


def _finite(value: Value) -> Value:
    return math.nan if isinstance(value, float) and not math.isfinite(value) else value
