"""Numbers as people read them."""

from __future__ import annotations

import pytest

from pancseg.system.text.number_text import percent, three_digit_percent


@pytest.mark.parametrize(
    ("share", "whole", "one_place", "three_digits"),
    [
        (0.0, "0 %", "0.0 %", "0 %"),
        (0.000123, "0 %", "0.0 %", "0.0123 %"),
        (0.4831, "48 %", "48.3 %", "48.3 %"),
        (0.9996, "100 %", "100.0 %", "100 %"),
        (1.0, "100 %", "100.0 %", "100 %"),
    ],
)
def test_a_share_has_so_many_decimals_or_so_many_digits(
    share: float, whole: str, one_place: str, three_digits: str
) -> None:
    assert percent(share) == whole
    assert percent(share, 1) == one_place
    assert three_digit_percent(share) == three_digits
