"""Write numbers as text for people: a typographic minus, and never a negative zero."""

from __future__ import annotations

import math

DASH = "–"


def decimals(value: float, places: int) -> str:
    """Return a number with so many decimals, or a dash for NaN.

    >>> decimals(-0.1234, 3), decimals(-0.0001, 3), decimals(float("nan"), 3)
    ('−0.123', '0.000', '–')
    """
    if math.isnan(value):
        return DASH
    return f"{value:z.{places}f}".replace("-", "−")
