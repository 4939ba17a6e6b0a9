"""A pancreas is looked for where training slices had one, in the frame of the body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.places import CELLS, learn, within

SIZE = 128


def body(top: int, left: int, height: int, width: int) -> NDArray[np.float32]:
    """A slice with a filled rectangle for a body."""
    picture = np.zeros((SIZE, SIZE), np.float32)
    picture[top : top + height, left : left + width] = 0.4
    return picture


def spot(y: int, x: int, radius: int = 3) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[:SIZE, :SIZE]
    found: NDArray[np.bool_] = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return found


def test_a_find_stays_where_training_had_one_in_a_body_of_another_size_and_place() -> None:
    places = learn([(body(20, 20, 80, 88), spot(60, 64))], widen=0.04)
    assert places.shape == (CELLS, CELLS)
    picture = body(40, 60, 40, 44)  # half as large: the same point of it is (60, 82)
    right, wrong = spot(60, 82, 1), spot(44, 98, 1)
    probabilities = np.where(right | wrong, 0.9, 0.2).astype(np.float32)
    result = within(places, picture[None], probabilities[None])[0]
    assert (result[right] == np.float32(0.9)).all()
    assert (result[wrong] == 0).all()
    assert (probabilities[wrong] > 0).all()  # what came in is as it was


def test_widening_adds_a_margin_in_shares_of_the_body() -> None:
    pairs = [(body(20, 20, 80, 88), spot(60, 64))]
    narrow, wide = learn(pairs, widen=0.0), learn(pairs, widen=0.1)
    assert (wide & narrow).sum() == narrow.sum()
    reached = [np.flatnonzero(m.any(axis=1)) for m in (narrow, wide)]
    assert reached[0][0] - reached[1][0] == round(0.1 * CELLS)


def test_a_body_that_is_cut_off_at_both_sides_is_left_alone() -> None:
    places = learn([(body(20, 20, 80, 88), spot(60, 64))], widen=0.0)
    picture = body(20, 0, 80, SIZE)
    probabilities = np.full((1, SIZE, SIZE), 0.7, np.float32)
    assert (within(places, picture[None], probabilities) == np.float32(0.7)).all()
    padded = np.zeros((SIZE, SIZE), np.float32)  # the same in a narrower scan, padded with air
    padded[:, 10:-10] = picture[:, 10:-10]
    shown = slice(10, SIZE - 10)
    assert (within(places, padded[None], probabilities, shown) == np.float32(0.7)).all()
    assert (within(places, padded[None], probabilities) == 0).any()  # a whole body in air


def test_an_empty_slice_and_empty_training_slices_are_no_trouble() -> None:
    nothing = np.zeros((1, SIZE, SIZE), np.float32)
    places = learn([(nothing[0], spot(60, 64)), (body(20, 20, 80, 88), spot(0, 0) & False)], 0.04)
    assert not places.any()
    assert (within(places, nothing, nothing + 1) == 1).all()
