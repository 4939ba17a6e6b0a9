"""Durations as a person says them."""

from __future__ import annotations

import math

import pytest

from pancseg.system.durations import rounded, span

UNITS = {"s": 1, "min": 60, "h": 3600, "days": 86400}


@pytest.mark.parametrize("seconds", [1.5 * 1.07**n for n in range(180)])
def test_what_is_said_is_near_the_truth(seconds: float) -> None:
    number, unit = rounded(seconds).split()
    assert abs(math.log(float(number) * UNITS[unit] / seconds)) < math.log(1.5)
    assert len(number.replace(".", "")) <= 2 or float(number) >= 100


@pytest.mark.parametrize(
    ("least", "most", "said"),
    [
        (0, 0.4, "1 s"),
        (100, 200, "2–3 min"),
        (1800, 3300, "30–55 min"),
        (3300, 9000, "55 min – 2.5 h"),
        (40_000, 90_000, "11–25 h"),
    ],
)
def test_ranges(least: float, most: float, said: str) -> None:
    assert span(least, most) == said
