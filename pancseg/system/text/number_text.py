"""Write numbers as text for people: a typographic minus, and never a negative zero."""

from __future__ import annotations

import math

DASH = "–"


def percent(share: float, places: int = 0) -> str:
    """Return a share of 1 as per cent, with so many decimals.

    >>> percent(0.483), percent(0.4831, 1)
    ('48 %', '48.3 %')
    """
    return f"{100 * share:.{places}f} %"


def share_of_some(share: float) -> str:
    """Return a share of 1 as whole per cent that says neither none of some, nor all of almost all.

    >>> share_of_some(0.0), share_of_some(0.005), share_of_some(0.997), share_of_some(1.0)
    ('0 %', '< 1 %', '> 99 %', '100 %')
    """
    if 0 < share <= 0.005:  # a half is rounded to 0
        return "< 1 %"
    return "> 99 %" if 0.995 <= share < 1 else percent(share)


def three_digit_percent(share: float) -> str:
    """Return a share of 1 as per cent, with three digits: small shares keep their meaning.

    >>> three_digit_percent(0.0123), three_digit_percent(1.0)
    ('1.23 %', '100 %')
    """
    return f"{100 * share:.3g} %"


def printed(value: float) -> float:
    """Return a number as three decimals print it: no sentence may rest on digits not shown.

    >>> printed(0.4998)
    0.5
    """
    return round(value, 3)


def decimals(value: float, places: int) -> str:
    """Return a number with so many decimals, or a dash for NaN.

    >>> decimals(-0.1234, 3), decimals(-0.0001, 3), decimals(float("nan"), 3)
    ('−0.123', '0.000', '–')
    """
    if math.isnan(value):
        return DASH
    return f"{value:z.{places}f}".replace("-", "−")
