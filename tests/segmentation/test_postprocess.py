"""One organ: the largest component and large ones near it, small holes filled, cavities kept."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pancseg.segmentation.postprocess import (
    BRIDGE,
    FOUND,
    LARGEST_HOLE_ML,
    WIDEST_GAP_MM,
    one_organ,
)

TEN_MM3 = (2.0, 2.0, 2.5)


def test_the_largest_component_stays_and_small_holes_are_filled() -> None:
    found = np.zeros((12, 40, 40), dtype=bool)
    found[2:10, 5:20, 5:20] = True
    found[5, 10, 10] = False
    found[1:5, 30:35, 30:35] = True
    organ = one_organ(found, TEN_MM3)
    assert organ[5, 10, 10]
    assert organ.sum() == 8 * 15 * 15
    assert not organ[:, 25:].any()


def two_pieces(second: int, gap: int) -> np.ndarray:
    """100 voxels of 1 × 1 × 2.5 mm, and more after a gap of some slices."""
    found = np.zeros((40, 20, 20), dtype=bool)
    found[5:9, 5:10, 5:10] = True
    piece = np.zeros(25, bool)
    piece[:second] = True
    found[9 + gap, 5:10, 5:10] = piece.reshape(5, 5)
    return found


@pytest.mark.parametrize(
    ("second", "gap", "kept"),
    [
        (20, 1, True),  # a fifth, one slice missing between them: 1.25 mm
        (19, 1, False),
        (25, 3, True),  # 2.5 mm
        (25, 4, False),  # 3.125 mm
    ],
)
def test_a_large_piece_near_the_largest_stays(second: int, gap: int, kept: bool) -> None:
    organ = one_organ(two_pieces(second, gap), (1.0, 1.0, 0.625))
    assert organ.sum() == 100 + kept * second


def test_the_gap_is_in_mm_along_every_axis() -> None:
    found = np.zeros((6, 60, 60), dtype=bool)
    found[:, :10, :10] = True
    found[:, :10, 21:30] = True
    # the nearest columns are 9 and 21: twelve pixels
    for x_mm, kept in ((0.25, True), (0.2525, False), (0.125, True)):
        organ = one_organ(found, (x_mm, 1.0, 1.0))
        assert organ[:, :10, 21:30].all() == kept
        assert organ[:, :10, :10].all()
    assert WIDEST_GAP_MM == 3.0


def test_a_piece_near_another_piece_alone_is_not_kept() -> None:
    found = np.zeros((1, 4, 80), dtype=bool)
    for start in (0, 20, 40):
        found[0, :, start : start + 10] = True
    organ = one_organ(found, (0.25, 1.0, 1.0))
    assert organ[0, 0].nonzero()[0].tolist() == [*range(10), *range(20, 30)]


def test_a_large_cavity_is_not_a_hole() -> None:
    found = np.ones((12, 12, 12), dtype=bool)
    found[3:9, 3:9, 3:9] = False
    side = (1000 * 1.01 * LARGEST_HOLE_ML / 6**3) ** (1 / 3)
    assert not one_organ(found, (side, side, side))[5, 5, 5]
    side *= 0.98 ** (1 / 3)
    assert one_organ(found, (side, side, side))[5, 5, 5]


def test_diagonal_neighbours_are_one_component() -> None:
    found = np.zeros((4, 4, 4), dtype=bool)
    found[0, 0, 0] = found[1, 1, 1] = True
    assert one_organ(found, (1.0, 1.0, 1.0)).sum() == 2


def test_nothing_stays_nothing() -> None:
    assert not one_organ(np.zeros((3, 4, 5), dtype=bool), (1.0, 1.0, 1.0)).any()


def levels_of_two_pieces(between: int) -> np.ndarray:
    """Two pieces of one organ that lie 8 voxels apart, and what is in between."""
    levels = np.zeros((30, 9, 9), np.uint8)
    levels[2:8, 2:7, 2:7] = FOUND
    levels[16:20, 2:7, 2:7] = FOUND
    levels[8:16, 4, 4] = between
    return levels


def test_voxels_that_are_nearly_sure_connect_and_close_gaps() -> None:
    levels = levels_of_two_pieces(BRIDGE)
    levels[4:6, 7] = BRIDGE  # beside what is found: no part of it
    alone, joined = (one_organ(each, (1.0, 1.0, 1.0)) for each in (levels_of_two_pieces(0), levels))
    assert alone.sum() == 6 * 25
    assert joined.sum() == 10 * 25 + 8
    np.testing.assert_array_equal(joined, levels_of_two_pieces(FOUND) == FOUND)


def test_voxels_that_only_connect_have_no_volume() -> None:
    """A large region of bridges does not win against a small one that is found."""
    levels = np.full((20, 20, 20), BRIDGE, np.uint8)
    levels[:, 8:11] = 0
    levels[2, 2, 2] = FOUND
    levels[4:7, 14:17, 14:17] = FOUND
    organ = one_organ(levels, (1.0, 1.0, 1.0))
    assert organ.sum() == 27
    assert not one_organ(np.full((4, 4, 4), BRIDGE, np.uint8), (1.0, 1.0, 1.0)).any()


def test_masks_and_levels_without_bridges_are_cleaned_alike() -> None:
    found = np.random.default_rng(1).random((30, 30, 30)) > 0.75
    levels = found.astype(np.uint8) * np.uint8(FOUND)
    before = levels.copy()
    np.testing.assert_array_equal(
        one_organ(levels, (0.8, 0.8, 2.0)), one_organ(found, (0.8, 0.8, 2.0))
    )
    np.testing.assert_array_equal(levels, before)


def test_pieces_beside_each_other_are_joined_by_the_shortest_way() -> None:
    """Both are in the same slices, so that there is no gap along z."""
    levels = np.zeros((5, 9, 20), np.uint8)
    levels[:, 2:7, 2:8] = FOUND
    levels[:, 2:7, 11:16] = FOUND
    levels[:, :, 8:11] = BRIDGE  # a wall of nearly sure voxels, wider than the pieces
    levels[:, 8, :] = BRIDGE
    organ = one_organ(levels, (1.0, 1.0, 1.0))
    assert ndimage.label(organ, np.ones((3, 3, 3)))[1] == 1
    assert organ[levels == FOUND].all()
    added = organ & (levels == BRIDGE)
    assert added.any()
    assert not added[:, 8, :].any()
    assert not added[:, :, [*range(8), *range(11, 20)]].any()
    assert added.sum() <= 3 * 5 * 7


def test_many_pieces_are_noise_and_no_ways_between_them_are_looked_for() -> None:
    levels = np.full((3, 30, 30), BRIDGE, np.uint8)
    levels[1, ::5, ::5] = FOUND  # 36 single voxels
    organ = one_organ(levels, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(organ, levels == FOUND)
