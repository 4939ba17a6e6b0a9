"""Polygons around pixels: who takes the pixels whose centres are inside gets the same ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path

from pancseg.export.contours import polygons_of

RING = np.pad(np.pad(np.zeros((3, 3), bool), 2, constant_values=True), 1)


def crossings(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How many edges of a polygon the way from each pixel's centre to the right crosses."""
    count = np.zeros(shape, int)
    rows, columns = np.indices(shape)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            between = (rows > min(y0, y1)) & (rows < max(y0, y1))
            count += between & (x0 + (rows - y0) / (y1 - y0) * (x1 - x0) > columns)
    return count


def inside_any(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    inside = [crossings(polygon, shape) % 2 == 1 for polygon in polygons]
    return np.any(inside, axis=0) if inside else np.zeros(shape, bool)


@settings(max_examples=60)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_every_region_comes_back_to_the_pixel(mask: np.ndarray) -> None:
    polygons = polygons_of(mask)
    assert (inside_any(polygons, mask.shape) == mask).all()
    even_odd = sum((crossings(p, mask.shape) for p in polygons), np.zeros(mask.shape, int)) % 2
    assert (even_odd == mask).all(), "no two polygons overlap"
    centres = np.argwhere(mask | ~mask)[:, ::-1]
    by_matplotlib = [Path([*p, p[0]]).contains_points(centres) for p in polygons]  # winding number
    wound = np.any(by_matplotlib, axis=0) if by_matplotlib else np.zeros(mask.size, bool)
    assert (wound.reshape(mask.shape) == mask).all()


def test_a_hole_is_joined_by_a_keyhole() -> None:
    (polygon,) = polygons_of(RING)
    assert len(polygon) == 4 + 4 + 2  # the channel goes on along the hole's upper edge
    steps = np.abs(np.diff([*polygon, polygon[0]], axis=0))
    assert ((steps == 0).sum(axis=1) == 1).all(), "all edges run along pixels"


def test_an_island_in_a_hole_is_a_polygon_of_its_own() -> None:
    mask = RING.copy()
    mask[4, 4] = True
    assert len(polygons_of(mask)) == 2


@pytest.mark.parametrize("mask", [[[1, 0], [0, 1]], [[0, 1], [1, 0]]])
def test_pixels_that_touch_at_a_corner_are_apart(mask: list[list[int]]) -> None:
    assert [len(p) for p in polygons_of(np.array(mask, bool))] == [4, 4]


def test_nothing_has_no_polygon() -> None:
    assert polygons_of(np.zeros((3, 3), bool)) == []
