"""A pixel is inside polygons if its centre is, by the even-odd rule."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pancseg.scans.dicom.even_odd import pixels_inside

SIZE = 12
SQUARE = [(1.5, 1.5), (8.5, 1.5), (8.5, 8.5), (1.5, 8.5)]
HOLE = [(3.5, 3.5), (5.5, 3.5), (5.5, 6.5), (3.5, 6.5)]


def filled(*polygons: list[tuple[float, float]], size: int = SIZE) -> NDArray[np.bool_]:
    image = np.zeros((size, size), bool)
    found = pixels_inside([np.array(polygon, float) for polygon in polygons], size, size)
    if found:
        image[found.rows, found.columns] = found.inside
    return image


def by_definition(polygon: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Count, in exact arithmetic, the edges to the left of each centre or on it."""
    image = np.zeros((SIZE, SIZE), bool)
    corners = [(Fraction(x) / 4, Fraction(y) / 4) for x, y in polygon]
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        for row in range(SIZE):
            if (ay <= row) != (by <= row):
                crossing = ax + (row - ay) * (bx - ax) / (by - ay)
                image[row, [crossing <= column for column in range(SIZE)]] ^= True
    return image


def test_a_square_holds_the_centres_within_it() -> None:
    expected = np.zeros((SIZE, SIZE), bool)
    expected[2:9, 2:9] = True
    assert np.array_equal(filled(SQUARE), expected)
    assert np.array_equal(filled(SQUARE[::-1]), expected)


def test_a_polygon_within_another_is_a_hole() -> None:
    expected = filled(SQUARE) & ~filled(HOLE)
    assert expected.sum() == 49 - 6
    assert np.array_equal(filled(SQUARE, HOLE), expected)
    assert np.array_equal(filled(HOLE[::-1], SQUARE), expected)


@pytest.mark.parametrize("bridge", [(1.5, 3.7), (1.5, 4.0), (8.5, 6.1)])
def test_a_keyhole_has_its_hole_and_no_slit(bridge: tuple[float, float]) -> None:
    start = 0 if bridge[0] < 5 else 2
    outer = SQUARE[start:] + SQUARE[:start]
    inner = HOLE[start:] + HOLE[:start]
    keyhole = [bridge, *outer[::-1], bridge, *inner, inner[0]]
    assert np.array_equal(filled(keyhole), filled(SQUARE, HOLE))


def test_neighbours_share_no_pixel_and_leave_none_out() -> None:
    halves = [[(2, 2), (5, 2), (5, 9), (2, 9)], [(5, 2), (9, 2), (9, 9), (5, 9)]]
    left, right = filled(halves[0]), filled(halves[1])
    assert not (left & right).any()
    assert np.array_equal(left | right, filled([(2, 2), (9, 2), (9, 9), (2, 9)]))
    assert left[2:9, 2:5].all()
    assert left.sum() == 21


def test_rounding_errors_of_coordinates_do_not_move_a_line() -> None:
    corners = np.array([(2, 2), (9, 2), (9, 9), (2, 9)], float)
    expected = filled([tuple(corner) for corner in corners])
    for seed in range(5):
        noise = np.random.default_rng(seed).uniform(-1e-9, 1e-9, corners.shape)
        assert np.array_equal(filled([tuple(corner) for corner in corners + noise]), expected)


@pytest.mark.parametrize(
    "polygon",
    [
        [(3, 3)],
        [(3, 3), (7, 7)],
        [(2, 5), (9, 5), (4, 5)],
        [(3.1, 3.1), (3.9, 3.1), (3.9, 3.9)],
        [(-9, -9), (-2, -9), (-2, -2)],
        [(20, 20), (30, 20), (30, 30)],
        [(-9, 3), (-2, 3), (-2, 8)],
    ],
)
def test_without_a_centre_inside_there_is_nothing(polygon: list[tuple[float, float]]) -> None:
    assert not filled(polygon).any()
    assert pixels_inside([np.array(polygon, float)], SIZE, SIZE) is None
    assert pixels_inside([], SIZE, SIZE) is None


def test_what_goes_beyond_the_image_is_cut_off() -> None:
    assert filled([(-1e6, -5), (4.5, -5), (4.5, 1e6), (-1e6, 1e6)])[:, :5].all()
    assert filled([(-1e6, -5), (4.5, -5), (4.5, 1e6), (-1e6, 1e6)]).sum() == 5 * SIZE


@given(
    st.lists(
        st.tuples(st.integers(-9, 4 * SIZE + 9), st.integers(-9, 4 * SIZE + 9)),
        min_size=1,
        max_size=9,
    )
)
def test_any_polygon_is_filled_as_exact_arithmetic_does(polygon: list[tuple[int, int]]) -> None:
    corners = [(x / 4, y / 4) for x, y in polygon]
    assert np.array_equal(filled(corners), by_definition(polygon))


@given(arrays.arrays(bool, (6, 6)))
def test_any_mask_is_found_again_from_the_outlines_of_its_pixels(mask: NDArray[np.bool_]) -> None:
    squares = [
        [(x - 0.5, y - 0.5), (x + 0.5, y - 0.5), (x + 0.5, y + 0.5), (x - 0.5, y + 0.5)]
        for y, x in np.argwhere(mask).tolist()
    ]
    assert np.array_equal(filled(*squares, size=6), mask)
