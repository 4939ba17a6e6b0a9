"""The exceptions that a caller of pancseg may have to handle."""

from __future__ import annotations

from pancseg.reasons import EvaluationCode, ReasonCode


class UnusableCase(Exception):
    """This case cannot be used, for a stated reason; the rest of the cohort can.

    The only exception that a cohort run turns into a row.

    Attributes:
        code: reason code for ``qc_reasons``, for example ``empty_mask``.
        fact: one line: what is wrong, with numbers, and the remedy. Never a path or a patient's
            identity.
    """

    def __init__(self, code: ReasonCode | EvaluationCode, fact: str) -> None:
        super().__init__(fact)
        self.code = code
        self.fact = fact


class CohortError(ValueError):
    """The cohort cannot be run as it is described.

    Attributes:
        problems: every problem found, one line each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RunRefused(ValueError):
    """A run cannot start, or resume, as requested; the message is meant for the user."""


class RunStopped(Exception):
    """A strict run stopped at a row that is not usable; finished rows are kept."""


class OutputError(OSError):
    """A run's output cannot be written; the run stops, as nothing later could be saved either."""
