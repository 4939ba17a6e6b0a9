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

    Example:
        >>> from pancseg import UnusableCase, read_scan
        >>> try:
        ...     read_scan("gone.nii.gz")
        ... except UnusableCase as unusable:
        ...     print(unusable.code, "|", unusable.fact)
        unreadable | the file does not exist or cannot be reached
    """

    def __init__(self, code: ReasonCode | EvaluationCode, fact: str) -> None:
        super().__init__(fact)
        self.code = code
        self.fact = fact

    def __reduce__(self) -> tuple[type[UnusableCase], tuple[str, str]]:
        """Pickle both arguments; exceptions do it with their message alone."""
        return type(self), (self.code, self.fact)


class CohortError(ValueError):
    """The cohort cannot be run as it is described.

    Attributes:
        problems: every problem found, one line each.

    Example:
        >>> from pancseg import CohortError, read_cohort
        >>> try:
        ...     read_cohort("gone.csv")
        ... except CohortError as error:
        ...     print(error.problems)
        ['no such file or folder; check the path']
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type[CohortError], tuple[list[str]]]:
        """Pickle the list of problems, not the message that it makes."""
        return type(self), (self.problems,)


class TableError(ValueError):
    """A table of text cannot be read; one line says why, and where."""


class RunRefused(ValueError):
    """A run cannot start, or resume, as requested; the message is meant for the user.

    Example:
        >>> from pancseg import RunOptions, RunRefused
        >>> try:
        ...     RunOptions(workers=0, timeout_s=60)
        ... except RunRefused as refused:
        ...     print("workers" in str(refused))
        True
    """


class RunStopped(Exception):
    """A run stopped before its end, and what is finished is kept.

    A strict run stops so at a row that is not usable, and a training when a signal arrives.

    Example:
        >>> from pancseg import RunOptions, RunStopped, extract_cohort
        >>> try:
        ...     extract_cohort("cohort.csv", "strict", options=RunOptions(strict=True))
        ... except RunStopped:
        ...     print("stopped")
        stopped
    """


class OutputError(OSError):
    """A run's output cannot be written; the run stops, as nothing later could be saved either."""


class ProcessDied(RuntimeError):
    """A process that did a part of the work was killed or could not work; one line with the remedy.

    Such a process often dies because the machine, the container or the job has no more memory.
    """
