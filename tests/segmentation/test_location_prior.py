"""A pancreas is looked for where training slices had one, in the frame of the body."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pancseg.segmentation.location_prior import CELLS, Floats, learn, look

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


def as_it_is(slices: Floats) -> Floats:
    """A network whose probabilities are the brightness."""
    return slices


def test_a_find_stays_where_training_had_one_in_a_body_of_another_size_and_place() -> None:
    places = learn([(body(20, 20, 80, 88), spot(60, 64))], widen=0.04)
    assert places.shape == (CELLS, CELLS)
    picture = body(40, 60, 40, 44)  # half as large: the same point of it is (60, 82)
    right, wrong = spot(60, 82, 1), spot(44, 98, 1)
    picture[right | wrong] = 0.9
    result = look(places, as_it_is, picture[None])[0]
    assert (result[right] == np.float32(0.9)).all()
    assert (result[wrong] == 0).all()
    assert (picture[wrong] > 0).all()  # what came in is as it was
    assert (look(None, as_it_is, picture[None])[0] == picture).all()


def test_the_network_sees_a_window_around_the_places_or_the_whole_slice() -> None:
    seen: list[tuple[int, ...]] = []

    def network(slices: Floats) -> Floats:
        seen.append(slices.shape)
        return slices

    places = learn([(body(20, 20, 80, 88), spot(60, 64, 10))], widen=0.04)
    small, large = body(64, 4, 60, 60), body(0, 0, SIZE, SIZE - 1)
    small[spot(94, 34, 5)] = large[spot(64, 63, 20)] = 0.9
    made = look(places, network, np.stack([small, large, 0 * small, small]))
    assert seen == [(3, 96, 112)]
    for picture, result in zip((small, large, small), made[[0, 1, 3]], strict=True):
        assert set(np.unique(result)) == {0, np.float32(0.4), np.float32(0.9)}
        assert (result[result > 0] == picture[result > 0]).all()
    assert (made[2] == 0).all()  # no body: not looked at
    wide = learn([(large, np.ones((SIZE, SIZE), bool))], widen=0)
    assert (look(wide, network, small[None]) > 0).any()
    assert (look(wide, network, large[None]) > 0).any()
    assert seen[1:] == [(1, 96, 112), (1, SIZE, SIZE)]


def test_widening_adds_a_margin_in_shares_of_the_body() -> None:
    pairs = [(body(20, 20, 80, 88), spot(60, 64))]
    narrow, wide = learn(pairs, widen=0.0), learn(pairs, widen=0.1)
    assert (wide & narrow).sum() == narrow.sum()
    reached = [np.flatnonzero(m.any(axis=1)) for m in (narrow, wide)]
    assert reached[0][0] - reached[1][0] == round(0.1 * CELLS)


def test_a_body_that_is_cut_off_at_both_sides_is_left_alone() -> None:
    places = learn([(body(20, 20, 80, 88), spot(60, 64))], widen=0.0)
    picture = body(20, 0, 80, SIZE)
    assert (look(places, as_it_is, picture[None])[0] == picture).all()
    padded = np.zeros((SIZE, SIZE), np.float32)  # the same in a narrower scan, padded with air
    padded[:, 10:-10] = picture[:, 10:-10]
    assert (look(places, as_it_is, padded[None], slice(10, SIZE - 10))[0] == padded).all()
    assert (look(places, as_it_is, padded[None])[0] != padded).any()  # a whole body in air


def test_without_any_place_nothing_is_found() -> None:
    nothing = np.zeros((SIZE, SIZE), np.float32)
    picture = body(20, 20, 80, 88)
    with pytest.raises(ValueError, match="no whole training slice shows pancreas"):
        learn([(nothing, spot(60, 64)), (picture, spot(0, 0) & False)], 0.04)
    places = np.zeros((CELLS, CELLS), bool)
    assert (look(places, as_it_is, np.stack([nothing, picture])) == 0).all()
