"""Slices to the network's grid and back: exact for 512×512, and back on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from dense_weights import dense_weights
from hypothesis import given, settings
from hypothesis import strategies as st

from pancseg.segmentation.checkpoint import Preprocessing
from pancseg.segmentation.preprocess import SliceGrid, Taps

SETTINGS = Preprocessing(window_hu=(0, 240), size=64)
SHAPES = st.tuples(st.integers(2, 200), st.integers(2, 200))
SPACINGS = st.tuples(st.floats(0.3, 6.0), st.floats(0.3, 6.0))


def test_twice_the_size_becomes_the_mean_of_blocks_after_the_window() -> None:
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 1000, (2, 128, 128)).astype(np.int16)
    grid = SliceGrid.for_slices((128, 128), (3.0, 3.0), SETTINGS)
    expected = np.clip(hu, 0, 240).reshape(2, 64, 2, 64, 2).mean(axis=(2, 4)) / 240
    np.testing.assert_allclose(grid.to_network(hu), expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(SHAPES, SPACINGS)
def test_a_blob_comes_back_to_its_place(
    shape: tuple[int, int], spacing_mm: tuple[float, float]
) -> None:
    """A smooth blob goes down and up; its centre of mass stays within half a network pixel."""
    grid = SliceGrid.for_slices(shape, spacing_mm, SETTINGS)
    sides = np.array(shape) * np.array(spacing_mm)
    pixel_mm = max(*sides, SETTINGS.smallest_field_mm) / SETTINGS.size
    if min(sides) < 12 * pixel_mm:
        return  # too small a strip for a blob of several network pixels
    y, x = (np.arange(n) * s for n, s in zip(shape, spacing_mm, strict=True))
    centre = 0.45 * sides
    width = 2.5 * pixel_mm
    blob = np.exp(-((y[:, None] - centre[0]) ** 2 + (x[None] - centre[1]) ** 2) / (2 * width**2))
    back = grid.to_scan(grid.to_network(240 * blob[None]))[0]
    assert back.shape == shape
    found = [(back.sum(1) * y).sum() / back.sum(), (back.sum(0) * x).sum() / back.sum()]
    true = [(blob.sum(1) * y).sum() / blob.sum(), (blob.sum(0) * x).sum() / blob.sum()]
    np.testing.assert_allclose(found, true, atol=0.5 * pixel_mm)


@settings(max_examples=60, deadline=None)
@given(SHAPES, SPACINGS)
def test_constant_probability_stays_constant(
    shape: tuple[int, int], spacing_mm: tuple[float, float]
) -> None:
    grid = SliceGrid.for_slices(shape, spacing_mm, SETTINGS)
    np.testing.assert_allclose(grid.to_scan(np.full((1, 64, 64), 0.7, np.float32)), 0.7, rtol=1e-5)


def test_a_small_scan_is_padded_with_air_not_enlarged() -> None:
    grid = SliceGrid.for_slices((64, 64), (2.5, 2.5), SETTINGS)  # 160 mm in a field of 320 mm
    network = grid.to_network(np.full((1, 64, 64), 240))[0]
    assert network[0].max() == 0
    assert network[32, 32] == pytest.approx(1)
    assert (network > 0.5).mean() == pytest.approx(0.25, abs=0.02)


def dense(taps: Taps, count: int) -> np.ndarray:
    """Return taps as a matrix of ``(new, old)`` weights."""
    matrix = np.zeros((len(taps.first), count), np.float32)
    for neighbour, weights in zip((taps.first, taps.second), taps.weights, strict=True):
        np.add.at(matrix, (np.arange(len(matrix)), neighbour), weights[:, 0])
    return matrix


@settings(max_examples=100, deadline=None)
@given(SHAPES, SPACINGS)
def test_the_taps_are_the_weights_of_the_dense_matrices_to_the_bit(
    shape: tuple[int, int], spacing_mm: tuple[float, float]
) -> None:
    grid = SliceGrid.for_slices(shape, spacing_mm, SETTINGS)
    ways = ((grid.down_y, grid.up_y), (grid.down_x, grid.up_x))
    expected = dense_weights(shape, spacing_mm, SETTINGS)
    for n, (down, up), (dense_down, dense_up) in zip(shape, ways, expected, strict=True):
        np.testing.assert_array_equal(dense(down, n), dense_down)
        np.testing.assert_array_equal(dense(up, SETTINGS.size), dense_up)
        if (covered := np.flatnonzero(dense_down.any(axis=1))).size:
            assert down.inside == slice(covered[0], covered[-1] + 1)


@settings(max_examples=40, deadline=None)
@given(SHAPES, SPACINGS)
def test_two_taps_give_what_the_matrices_give(
    shape: tuple[int, int], spacing_mm: tuple[float, float]
) -> None:
    grid = SliceGrid.for_slices(shape, spacing_mm, SETTINGS)
    (down_y, up_y), (down_x, up_x) = dense_weights(shape, spacing_mm, SETTINGS)
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 1000, (2, *shape)).astype(np.int16)
    scaled = np.clip(hu, 0, 240).astype(np.float32) / 240
    np.testing.assert_allclose(grid.to_network(hu), down_y @ scaled @ down_x.T, atol=1e-6)
    p = rng.random((2, 64, 64), dtype=np.float32)
    np.testing.assert_allclose(grid.to_scan(p), up_y @ p @ up_x.T, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 64), (64, 1)])
def test_a_line_of_pixels_keeps_its_values(shape: tuple[int, int]) -> None:
    grid = SliceGrid.for_slices(shape, (5.0, 5.0), SETTINGS)
    network = grid.to_network(np.full((1, *shape), 120, np.int16))
    assert set(np.unique(network)) == {0.0, 0.5}


@settings(max_examples=60, deadline=None)
@given(SHAPES, SPACINGS, st.integers(0, 5), st.floats(0.3, 0.7))
def test_what_reaches_a_threshold_is_found_without_resampling_it_all(
    shape: tuple[int, int], spacing_mm: tuple[float, float], seed: int, threshold: float
) -> None:
    """Exactly, blob by blob, and with values at the threshold itself."""
    grid = SliceGrid.for_slices(shape, spacing_mm, SETTINGS)
    rng = np.random.default_rng(seed)
    p = np.zeros((3, 64, 64), np.float32)
    y, x = rng.integers(0, 56, 2)
    p[1, y : y + 8, x : x + 8] = rng.random((8, 8))
    p[2] = np.float32(threshold)
    expected = grid.to_scan(p) >= np.float32(threshold)
    np.testing.assert_array_equal(grid.reaching(p, float(np.float32(threshold))), expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"smallest_field_mm": 1e308}, r"1e\+308 is out of range \(expected 1–2,000 mm\)"),
        ({"size": 2**30}, r"is out of range \(expected 4–1,024\)"),
    ],
)
def test_sizes_that_fill_the_memory_are_refused(value: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.model_validate({"window_hu": (0, 240), "size": 64, **value})
