"""Dice: symmetric, 1 for equal masks, 0 for disjoint ones, with a rule for empty ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pancseg.segmentation.overlap import dice

MASKS = arrays(bool, (3, 4, 5))


@given(MASKS, MASKS)
def test_dice_obeys_its_laws(a: np.ndarray, b: np.ndarray) -> None:
    assert dice(a, b) == dice(b, a)
    assert 0 <= dice(a, b) <= 1
    assert dice(a, a) == 1
    if a.any():
        assert dice(a, ~a & b) == 0


def test_dice_of_known_masks() -> None:
    a, b = np.zeros((1, 2, 5), bool), np.zeros((1, 2, 5), bool)
    a[..., :2], b[..., 1:4] = True, True
    assert dice(a, b) == pytest.approx(2 * 2 / (4 + 6))
    assert dice(a, np.zeros_like(a)) == 0
    with pytest.raises(ValueError, match="differ in shape"):
        dice(a, b[..., :2])


@given(st.data())
def test_adding_agreement_never_lowers_dice(data: st.DataObject) -> None:
    a, b, new = (data.draw(MASKS) for _ in range(3))
    if (a & b).any():
        assert dice(a | new, b | new) >= dice(a, b) - 1e-12
