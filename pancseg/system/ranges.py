"""Refuse numbers in settings that are outside of a range, with a message that names the range."""

from __future__ import annotations

from pydantic import AfterValidator


def within(low: float, high: float, unit: str = "") -> AfterValidator:
    """Return a pydantic validator that refuses numbers below ``low`` or above ``high``.

    Args:
        low: the smallest number allowed.
        high: the largest number allowed.
        unit: of both, for the message.

    >>> from typing import Annotated
    >>> from pydantic import TypeAdapter
    >>> TypeAdapter(Annotated[float, within(0.5, 1000, "mm")]).validate_python(20)
    20.0
    """

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"{value:g} is out of range (expected {span(low, high, unit)})")
        return value

    return AfterValidator(check)


def span(low: float, high: float, unit: str = "") -> str:
    """Return a range as messages give it.

    >>> span(0.001, 1000.0, "mm")
    '0.001–1,000 mm'
    >>> span(-1e12, 1e12)
    '-1,000,000,000,000 to 1,000,000,000,000'
    """
    ends = [f"{int(end):,}" if end == int(end) else f"{end:g}" for end in (low, high)]
    between = "–" if low >= 0 else " to "
    return between.join(ends) + (f" {unit}" if unit else "")
