"""Where a second look's windows are placed: all pieces are shown, by no more windows than tiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.segmentation.look_windows import LookWindows
from pancseg.segmentation.second_look import SecondLook
from pancseg.segmentation.window_placement import MOST_PIECES, windows_around


def look_with(size: tuple[int, int], shape: tuple[int, int]) -> SecondLook:
    windows = LookWindows(size=size, pixel_mm=(0.6, 1.0))
    checkpoint = replace(load_checkpoint("monet_phantom"), windows=windows)
    return SecondLook.for_slices(shape, (0.8, 0.8), checkpoint)


def shown_by(windows: list[tuple[slice, slice]], look: SecondLook) -> np.ndarray:
    shown = np.zeros(look.grid.shape, bool)
    for window in windows:
        assert shown[window].shape == look.windows.size
        shown[window] = True
    return shown


@pytest.mark.parametrize("share", [0.0005, 0.005, 0.1, 0.3])
@pytest.mark.parametrize("size", [(192, 256), (64, 64), (16, 32)])
def test_specks_everywhere_get_no_more_windows_than_tile_the_slice(
    size: tuple[int, int], share: float
) -> None:
    look = look_with(size, (512, 512))
    specks = np.random.default_rng(0).random((512, 512)) < share
    windows = look.windows_around(specks)
    assert shown_by(windows, look)[specks].all()
    assert len(windows) <= -(-512 // size[0]) * -(-512 // size[1])


@settings(max_examples=30, deadline=None)
@given(arrays(bool, (40, 50), elements=st.booleans(), fill=st.just(False)))
def test_all_that_was_found_is_shown(found: np.ndarray) -> None:
    look = look_with((16, 32), (40, 50))
    windows = look.windows_around(found)
    assert shown_by(windows, look)[found].all()
    assert len(windows) <= 3 * 2


def test_as_many_pieces_as_are_told_apart_are_placed_by_themselves() -> None:
    """One more, and the windows lie side by side."""
    look = look_with((16, 16), (512, 512))
    found = np.zeros((512, 512), bool)
    rows = np.arange(MOST_PIECES) * 5
    found[rows, 100] = True
    assert look.windows_around(found)[0] == (slice(0, 16), slice(92, 108))
    shared = len(look.windows_around(found))
    assert shared == MOST_PIECES // 2  # two pieces, 5 pixels apart, fit into the 8 in the middle
    found[500, 100] = True
    assert len(look.windows_around(found)) == -(-501 // 16)


def test_small_windows_are_shared_too() -> None:
    pieces = [((20, 23), (20, 23)), ((24, 27), (24, 27)), ((60, 62), (60, 62))]
    first, second = windows_around(pieces, (16, 16), (100, 100))
    assert first == (slice(16, 32), slice(16, 32))
    assert second == (slice(53, 69), slice(53, 69))


def test_nothing_found_needs_no_window() -> None:
    assert look_with((16, 16), (40, 50)).windows_around(np.zeros((40, 50), bool)) == []
