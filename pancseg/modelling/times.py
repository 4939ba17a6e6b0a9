"""Times as text, with or without their unit."""

from __future__ import annotations


def named_time(time: float) -> str:
    """Return a time as text, such as in the name of a measure: four digits, from 1,000 on more.

    >>> named_time(25.6789), named_time(1095.0), named_time(12345.67)
    ('25.68', '1095', '12345.7')
    """
    return f"{time:.4g}" if abs(time) < 1000 else f"{round(time, 1):.12g}"


def timed(time: float, unit: str) -> str:
    """Return a time with its unit: a plural, unless the time is printed as 1.

    >>> timed(2.5, "years"), timed(1.0, "years"), timed(12345.0, "days")
    ('2.5 years', '1 year', '12345 days')
    """
    text = named_time(time)
    return f"{text} {unit.removesuffix('s') if text == '1' and len(unit) > 2 else unit}"
