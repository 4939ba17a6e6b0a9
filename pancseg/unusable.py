"""Owns the one exception that a cohort run turns into a row."""

from __future__ import annotations


class UnusableCase(Exception):
    """This patient cannot be used, for a stated reason; the rest of the cohort can.

    The only exception that a cohort run turns into a row.

    Attributes:
        code: short reason for ``qc_reasons``, for example ``empty_mask``.
        fact: what is wrong, with numbers, and the remedy. Never a path or a patient's identity.
    """

    def __init__(self, code: str, fact: str) -> None:
        super().__init__(fact)
        self.code = code
        self.fact = fact
