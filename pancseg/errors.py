"""Every exception that a caller meets."""

from __future__ import annotations

from pancseg.reasons import EvaluationCode, ReasonCode


class UnusableCase(Exception):
    """This patient cannot be used, for a stated reason; the rest of the cohort can.

    The only exception that a cohort run turns into a row.

    Attributes:
        code: short reason for ``qc_reasons``, for example ``empty_mask``.
        fact: what is wrong, with numbers, and the remedy. Never a path or a patient's identity.
    """

    def __init__(self, code: ReasonCode | EvaluationCode, fact: str) -> None:
        super().__init__(fact)
        self.code = code
        self.fact = fact


class CohortError(ValueError):
    """The cohort cannot be run as it is written.

    Attributes:
        problems: every problem found, one line each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TableError(ValueError):
    """A table of text cannot be read; one line says why, and where."""


class RunRefused(ValueError):
    """A run cannot be begun, or go on, as it was asked for; the message is for the user."""


class RunStopped(Exception):
    """A strict run met a row that is not usable; what is finished is kept."""


class OutputError(OSError):
    """What a run makes cannot be written: it stops, because nothing later could be kept either."""
