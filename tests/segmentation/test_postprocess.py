"""One organ: the largest component, its small holes filled, its large cavities kept."""

from __future__ import annotations

import numpy as np

from pancseg.segmentation.postprocess import LARGEST_HOLE_ML, one_organ


def test_the_largest_component_stays_and_small_holes_are_filled() -> None:
    found = np.zeros((12, 40, 40), dtype=bool)
    found[2:10, 5:20, 5:20] = True
    found[5, 10, 10] = False
    found[1:5, 30:35, 30:35] = True
    organ = one_organ(found, voxel_ml=0.01)
    assert organ[5, 10, 10]
    assert organ.sum() == 8 * 15 * 15
    assert not organ[:, 25:].any()


def test_a_large_cavity_is_not_a_hole() -> None:
    found = np.ones((12, 12, 12), dtype=bool)
    found[3:9, 3:9, 3:9] = False
    voxel_ml = 1.01 * LARGEST_HOLE_ML / 6**3
    assert not one_organ(found, voxel_ml)[5, 5, 5]
    assert one_organ(found, voxel_ml * 0.98)[5, 5, 5]


def test_diagonal_neighbours_are_one_component() -> None:
    found = np.zeros((4, 4, 4), dtype=bool)
    found[0, 0, 0] = found[1, 1, 1] = True
    assert one_organ(found, 0.001).sum() == 2


def test_nothing_stays_nothing() -> None:
    assert not one_organ(np.zeros((3, 4, 5), dtype=bool), 0.001).any()
