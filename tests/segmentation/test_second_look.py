"""The second look: which windows, in which pixels, and how far from what was found first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.look_windows import LookWindows
from pancseg.segmentation.second_look import (
    SecondLook,
    Seen,
    Wanted,
    found_by_both,
    guides,
    mean_of_looks,
)

WINDOWS = LookWindows(size=(64, 96), pixel_mm=(0.6, 1.0), reach_mm=20)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return replace(load_checkpoint("monet_phantom"), windows=WINDOWS)


def look_at(
    checkpoint: Checkpoint, shape: tuple[int, int] = (200, 300), pixel_mm: float = 0.8
) -> SecondLook:
    return SecondLook.for_slices(shape, (pixel_mm, pixel_mm), checkpoint)


def found_at(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    found = np.zeros(shape, bool)
    for top, bottom, left, right in boxes:
        found[top:bottom, left:right] = True
    return found


def test_a_window_is_centred_on_what_was_found(checkpoint: Checkpoint) -> None:
    look = look_at(checkpoint)
    (window,) = look.windows_around(found_at((200, 300), (100, 120, 140, 180)))
    assert window == (slice(78, 142), slice(112, 208))


def test_a_window_stays_within_the_scan(checkpoint: Checkpoint) -> None:
    look = look_at(checkpoint)
    for box, expected in (
        ((0, 5, 0, 5), (slice(0, 64), slice(0, 96))),
        ((195, 200, 295, 300), (slice(136, 200), slice(204, 300))),
    ):
        assert look.windows_around(found_at((200, 300), box)) == [expected]


def test_pieces_share_a_window_while_they_fit_with_a_margin(checkpoint: Checkpoint) -> None:
    look = look_at(checkpoint)
    large = (90, 110, 100, 130)
    (together,) = look.windows_around(found_at((200, 300), large, (95, 100, 140, 164)))
    assert together[1] == slice(84, 180)
    apart = look.windows_around(found_at((200, 300), large, (95, 100, 140, 165)))
    assert [columns.start for _, columns in apart] == [67, 104]  # the larger one first


def test_what_is_larger_than_a_window_gets_several(checkpoint: Checkpoint) -> None:
    look = look_at(checkpoint)
    for box in ((20, 150, 10, 290), (0, 200, 0, 300), (30, 95, 40, 50)):
        found = found_at((200, 300), box)
        shown = np.zeros_like(found)
        windows = look.windows_around(found)
        for window in windows:
            assert shown[window].shape == WINDOWS.size
            shown[window] = True
        assert shown[found].all()
        rows, columns = box[1] - box[0], box[3] - box[2]
        assert len(windows) == -(-rows // 64) * -(-columns // 96)


def test_native_pixels_are_copied(checkpoint: Checkpoint) -> None:
    """Also where the scan is padded by an odd number of pixels."""
    hu = np.random.default_rng(0).integers(-200, 400, (51, 90)).astype(np.int16)
    look = look_at(checkpoint, hu.shape, 0.7)
    assert look.grid.shape == (65, 96)
    (window,) = look.windows_around(np.ones(hu.shape, bool))
    low, high = checkpoint.preprocessing.window_hu
    seen = look.grid.window(hu, slice(0, 65), slice(0, 96))
    expected = (np.clip(hu.astype(np.float32), low, high) - low) / (high - low)
    np.testing.assert_array_equal(seen[7:58, 3:93], expected)
    seen[7:58, 3:93] = 0
    assert not seen.any()
    assert window == (slice(0, 64), slice(0, 96))  # rows 7 to 58 are its


@pytest.mark.parametrize(("pixel_mm", "used_mm"), [(0.3, 0.6), (0.6, 0.6), (0.95, 0.95), (2, 1)])
def test_other_pixels_are_resampled_to_the_nearest_that_were_trained(
    pixel_mm: float, used_mm: float, checkpoint: Checkpoint
) -> None:
    """A disc of 30 mm keeps its size in mm, there and back."""
    shape = (round(240 / pixel_mm), round(180 / pixel_mm))
    y, x = np.mgrid[: shape[0], : shape[1]]
    centre = (round(100 / pixel_mm), round(80 / pixel_mm))
    disc = np.hypot(y - centre[0], x - centre[1]) * pixel_mm <= 15
    look = look_at(checkpoint, shape, pixel_mm)
    hu = np.where(disc, checkpoint.preprocessing.window_hu[1], -1000).astype(np.float32)
    (window,) = look.windows_around(disc)
    seen = look.grid.window(hu, *window)
    assert seen.shape == WINDOWS.size
    assert np.count_nonzero(seen >= 0.5) * used_mm**2 == pytest.approx(np.pi * 15**2, rel=0.04)
    whole = np.zeros(look.grid.shape, np.float32)
    whole[window] = seen
    back = look.grid.reaching(whole[None], 0.5)[0]
    assert np.count_nonzero(back ^ disc) <= 0.06 * np.count_nonzero(disc)


def test_what_is_seen_is_put_where_it_was(checkpoint: Checkpoint) -> None:
    """Overlapping windows are averaged; outside of them is nothing."""
    look = look_at(checkpoint)
    hu = np.full((200, 300), -1000, np.int16)
    hu[100:110, 150:170] = 1000
    around = found_at((200, 300), (90, 120, 60, 200))
    values = iter((0.8, 0.2))

    def network(windows: np.ndarray) -> np.ndarray:
        return np.stack([one * np.float32(next(values)) for one in windows])

    (seen,) = look.at([Wanted(4, hu, around)], network, at_once=1)
    first, second = look.windows_around(around)
    assert (first[1], second[1]) == (slice(60, 156), slice(104, 200))
    assert seen.number == 4
    expected = np.zeros((200, 300), np.float32)
    expected[100:110, 150:156] = 0.5
    expected[100:110, 156:170] = 0.2
    np.testing.assert_allclose(seen.probability, expected, atol=1e-6)


def test_what_counts_is_near_in_mm(checkpoint: Checkpoint) -> None:
    around = found_at((400, 400), (200, 201, 200, 201))
    windows = WINDOWS.model_copy(update={"reach_mm": 10.0})
    look = SecondLook.for_slices((400, 400), (0.5, 2.0), replace(checkpoint, windows=windows))
    ((_, _, near),) = look.at([Wanted(0, np.zeros((400, 400)), around)], lambda w: w, 8)
    y, x = np.nonzero(near)
    assert (y.min(), y.max(), x.min(), x.max()) == (180, 220, 195, 205)
    assert not near[180, 205]


@pytest.mark.parametrize("pixel_mm", [0.8, 0.47])
def test_nothing_counts_where_no_window_was(pixel_mm: float, checkpoint: Checkpoint) -> None:
    """The organ is as high as a window, so that its reach above and below is not seen."""
    side = round(240 / pixel_mm)
    look = look_at(checkpoint, (side, side), pixel_mm)
    grid_mm = max(pixel_mm, 0.6)
    high = int(64 * grid_mm / pixel_mm) - 2 * (grid_mm > pixel_mm)
    around = found_at((side, side), (100, 100 + high, 120, 140))
    (window,) = look.windows_around(around)
    (seen,) = look.at([Wanted(0, np.zeros((side, side)), around)], np.ones_like, 8)
    seen_there = look.grid.part_of_scan(seen.probability, slice(0, side), slice(0, side))
    assert (seen_there[seen.near] > 0.999).all()  # no share of pixels outside the window
    rows, columns = (np.flatnonzero(seen.near.any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1]) == pytest.approx((100, 99 + high), abs=pixel_mm < grid_mm)
    reach = int(20 / pixel_mm)
    assert (columns[0], columns[-1]) == (120 - reach, 139 + reach)
    assert seen.near[around].all()
    mean = mean_of_looks(np.ones(look.grid.shape, np.float32), look.grid, seen, look.grid)
    assert set(np.unique(mean)) <= {np.float32(0), mean.max()}
    assert window[0].stop - window[0].start == 64


@pytest.mark.parametrize("pixel_mm", [0.8, 0.47, 1.3])
@pytest.mark.parametrize("certain", [(1, 0), (0, 1)])
def test_a_certain_look_does_not_win_against_one_that_excludes(
    pixel_mm: float, certain: tuple[float, float], checkpoint: Checkpoint
) -> None:
    """Neither by the rounding of interpolation; a little more than 0 is enough."""
    shape = (150, 140)
    look = look_at(checkpoint, shape, pixel_mm)
    first, second = (np.full(look.grid.shape, each, np.float32) for each in certain)

    def found() -> np.ndarray:
        seen = Seen(0, second, np.ones(shape, bool))
        return found_by_both(mean_of_looks(first, look.grid, seen, look.grid))

    assert not found().any()
    (second if certain[0] else first)[:] = 0.01
    assert found().all()


def test_few_windows_are_in_memory_at_a_time(checkpoint: Checkpoint) -> None:
    look, calls, read = look_at(checkpoint), [], []

    def slices():
        for index in range(20):
            read.append(index)
            yield Wanted(index, np.zeros((200, 300)), found_at((200, 300), (90, 95, 90, 95)))

    def network(windows: np.ndarray) -> np.ndarray:
        calls.append(len(windows))
        return windows

    seen = look.at(slices(), network, at_once=8)
    next(seen)
    assert len(read) == 8
    assert [each.number for each in seen] == list(range(1, 20))
    assert calls == [8, 8, 4]


def test_slices_beyond_the_organ_and_in_its_gaps_are_looked_at() -> None:
    organ = np.zeros((14, 1, 1), bool)
    organ[[4, 5, 8]] = True
    assert guides(organ, 2.5, 5.0) == {
        2: 4, 3: 4, 4: 4, 5: 5, 6: 5, 7: 8, 8: 8, 9: 8, 10: 8,
    }  # fmt: skip
    assert guides(organ, 10.0, 5.0) == {4: 4, 5: 5, 8: 8}
    assert guides(organ & False, 2.5, 5.0) == {}


def test_stored_slices_are_resampled_as_in_training(checkpoint: Checkpoint) -> None:
    settings = checkpoint.preprocessing.model_copy(update={"size": 128})
    stored = replace(checkpoint, preprocessing=settings)
    assert SecondLook.for_stored((128, 128), stored).grid.shape == (128, 128)
    assert SecondLook.for_stored((256, 256), stored).grid.shape == (128, 128)
