"""Write durations as a person would say them, without false precision."""

from __future__ import annotations

_HOUR_S, _DAY_S = 3600.0, 86400.0


def rounded(seconds: float) -> str:
    """Return a duration to about two digits.

    >>> [rounded(s) for s in (7, 50, 130, 2050, 4000, 9000, 100_000, 300_000)]
    ['7 s', '50 s', '2 min', '35 min', '65 min', '2.5 h', '28 h', '3.5 days']
    """
    if seconds < 55:
        return f"{max(1, _to(seconds, 1 if seconds < 20 else 5)):g} s"
    if seconds < 1.5 * _HOUR_S:
        minutes = seconds / 60
        return f"{_to(minutes, 1 if minutes < 15 else 5):g} min"
    if seconds < 2 * _DAY_S:
        hours = seconds / _HOUR_S
        return f"{_to(hours, 0.5 if hours < 10 else 1):g} h"
    return f"{_to(seconds / _DAY_S, 0.5):g} days"


def span(least: float, most: float) -> str:
    """Return a range of durations, in one unit if both ends have it.

    >>> span(2050, 3700), span(50, 130), span(1, 1)
    ('35–60 min', '50 s – 2 min', '1 s')
    """
    low, high = rounded(least), rounded(most)
    if low == high:
        return low
    (number, unit), (_, other) = low.split(), high.split()
    return f"{number}–{high}" if unit == other else f"{low} – {high}"


def _to(number: float, step: float) -> float:
    return max(1, round(number / step)) * step
