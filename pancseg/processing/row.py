"""A row of the table while it is made, and what became of its case."""

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
    """A row while it is made; what went wrong half-way does not lose what was found before.

    Attributes:
        values: columns for the table; NaN where one has no value.
        reasons: reason code → fact, for what is wrong or missing, in the order of the checks.
        status: what the reasons amount to.
    """

    values: dict[str, Value] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    status: Status = "pass"

    def note(self, code: ReasonCode | EvaluationCode, status: Status, fact: str) -> None:
        """Add a reason; the status becomes the worst of all. The first fact of a code stays."""
        self._note(code, status, fact)

    def note_bug(self, error: Exception) -> None:
        """Add an exception that nobody foresaw, under its name."""
        name = type(error).__name__
        self._note(name, "error", f"unexpected {name}; run with `verbose` for the traceback")

    def _note(self, code: str, status: Status, fact: str) -> None:
        self.reasons.setdefault(code, fact)
        self.status = max(self.status, status, key=_STATUSES.index)


@dataclass(frozen=True)
class CaseResult:
    """What became of one case.

    Attributes:
        case: the case.
        status: pass; warn (usable, look at the reason); fail (unusable); error (a bug).
        reason: codes for ``qc_reasons``, joined by ``;``, empty when the case passed.
        fact: one line on what is wrong, with numbers and the remedy.
        values: columns for the table.

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

    @property
    def usable(self) -> bool:
        """Whether the row is good for an analysis."""
        return self.status in ("pass", "warn")

    def noted(self, code: ReasonCode, status: Status, fact: str) -> CaseResult:
        """Return it with one more reason; the status becomes the worse of the two."""
        return replace(
            self,
            status=max(self.status, status, key=_STATUSES.index),
            reason=";".join(filter(None, [self.reason, code])),
            fact="; ".join(filter(None, [self.fact, fact])),
        )


def case_result(case: Case, fill: Callable[[DraftRow], None]) -> CaseResult:
    """Let ``fill`` make a case's row; a case that cannot be used costs only itself.

    ``UnusableCase`` becomes status fail. Any other exception is a bug and becomes status error,
    its traceback logged at debug level (tracebacks can name files). Values that ``fill`` found
    before are kept.
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
