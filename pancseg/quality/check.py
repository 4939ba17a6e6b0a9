"""A check of a scan or region: its fact, and its grade under given limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from pancseg.quality.limits import LimitRange, QualityLimits

Severity = Literal["pass", "warn", "fail", "error"]


def in_ml(volume: float) -> str:
    """Return a volume with three digits, and never as a power of ten.

    >>> in_ml(10.824), in_ml(999.7), in_ml(85184.3)
    ('10.8 mL', '1,000 mL', '85,184 mL')
    """
    return f"{volume:,.0f} mL" if volume >= 999.5 else f"{volume:.3g} mL"


class Finding(NamedTuple):
    """One thing that is not as it should be.

    Attributes:
        code: reason code for ``qc_reasons``.
        grade: ``warn`` or ``fail``; ``error`` for a bug.
        fact: one line with numbers.
    """

    code: str
    grade: Severity
    fact: str


@dataclass(frozen=True)
class Check:
    """A check that can be graded again under other limits, without measuring anything again.

    Attributes:
        code: reason code of its finding.
        fact: one line with numbers, without the limits.
        limit: name of the limits in :class:`QualityLimits`; empty if the grade holds under all.
        value: what the limits are compared with.
        unit: of value and limits in the finding's fact, ``%`` for shares of 1; None leaves the
            limits out of it.
        grade: the grade that holds under all limits.
    """

    code: str
    fact: str
    limit: str = ""
    value: float = 0.0
    unit: str | None = ""
    grade: Severity = "pass"

    def finding(self, limits: QualityLimits) -> Finding | None:
        """Return what is wrong under these limits; None if the check passes."""
        if not self.limit:
            return None if self.grade == "pass" else Finding(self.code, self.grade, self.fact)
        expected: LimitRange = getattr(limits, self.limit)
        grade = expected.grade(self.value)
        if grade == "pass":
            return None
        if self.unit is None:
            return Finding(self.code, grade, self.fact)
        fact = f"{self.fact}{self._more_exactly(expected, self.unit)}"
        return Finding(self.code, grade, f"{fact} (expected {expected.in_words(self.unit)})")

    def _more_exactly(self, expected: LimitRange, unit: str) -> str:
        """Return the value with more digits if its fact would name a limit as outside of itself."""
        factor = 100 if unit == "%" else 1
        limits = (limit for _, limit in expected if limit is not None)
        if all(f"{limit * factor:.3g}" != f"{self.value * factor:.3g}" for limit in limits):
            return ""
        exact = f"{self.value * factor:.7g}" + (f" {unit}" if unit else "")
        return "" if exact in self.fact else f", more exactly {exact}"
