"""Every count equals pyradiomics's C code, on random regions, in 3-D and in planes."""

from __future__ import annotations

import numpy as np
import pytest
from radiomics import cMatrices

from pancseg.features.neighbours import neighbours
from pancseg.features.texture_matrices import (
    co_occurrence,
    dependence,
    grey_levels,
    run_lengths,
    tone_difference,
    zone_sizes,
)

ONE = np.array([1])


def random_region(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a small region and its grey levels, some of which do not occur."""
    rng = np.random.default_rng(seed)
    inside = rng.random(rng.integers(1, 7, 3)) < rng.uniform(0.3, 1)
    inside.flat[[0, -1]] = True
    return inside, rng.integers(1, 6, inside.shape) * 2 - 1


@pytest.mark.parametrize("plane", [None, 0, 1, 2])
@pytest.mark.parametrize("seed", range(12))
def test_counts_equal_pyradiomics(seed: int, plane: int | None) -> None:
    inside, levels = random_region(seed)
    around = neighbours(inside, plane=plane)
    if not around.steps:
        return  # pyradiomics refuses a region without any direction
    found = grey_levels(levels[inside], around)
    top, flat = int(found.present[-1]), (plane is not None, plane or 0)
    rows = found.present - 1

    theirs, _ = cMatrices.calculate_glcm(levels, inside, ONE, top, *flat)
    both_ways = [m + m.transpose(0, 2, 1, 3) for m in (co_occurrence(found), theirs)]
    np.testing.assert_array_equal(both_ways[0], both_ways[1][:, rows][:, :, rows])

    ours = run_lengths(found, lone=False)
    theirs, _ = cMatrices.calculate_glrlm(levels, inside, top, max(inside.shape), *flat)
    np.testing.assert_array_equal(ours, theirs[:, rows, : ours.shape[2]])
    assert ours.sum() == theirs.sum()

    ours, sizes = zone_sizes(found)
    theirs = cMatrices.calculate_glszm(levels, inside, top, int(inside.sum()), *flat)
    np.testing.assert_array_equal(ours, theirs[:, rows][:, :, sizes.astype(int) - 1])
    assert ours.sum() == theirs.sum()

    for tolerance in (0, 2):
        ours, sizes = dependence(found, tolerance)
        theirs = cMatrices.calculate_gldm(levels, inside, ONE, top, tolerance, *flat)
        np.testing.assert_array_equal(ours, theirs[:, rows][:, :, sizes.astype(int) - 1])
        assert ours.sum() == theirs.sum()

    theirs = cMatrices.calculate_ngtdm(levels, inside, ONE, top, *flat)
    ours = tone_difference(found, isolated=True)
    np.testing.assert_allclose(ours, theirs[:, rows], rtol=1e-12)


def test_slices_counted_apart_add_up_to_those_counted_together() -> None:
    inside, levels = random_region(3)
    apart, together = (
        grey_levels(levels[inside], neighbours(inside, plane=0, by_slice=by))
        for by in (True, False)
    )
    assert apart.around.slices == len(inside)
    for count in (co_occurrence, lambda g: run_lengths(g, lone=True)):
        summed = count(apart).sum(axis=0, keepdims=True)
        np.testing.assert_array_equal(summed, count(together))
    np.testing.assert_array_equal(zone_sizes(apart)[0].sum(axis=0), zone_sizes(together)[0][0])


def test_a_voxel_without_neighbours_counts_for_pyradiomics_only() -> None:
    inside = np.zeros((5, 5, 5), bool)
    inside[0, 0, 0] = inside[2, 2, 2] = inside[2, 2, 3] = True
    found = grey_levels(np.array([1, 2, 3]), neighbours(inside))
    numbers = [tone_difference(found, isolated=i)[0, :, 0].tolist() for i in (True, False)]
    assert numbers == [[1, 1, 1], [0, 1, 1]]


def test_a_direction_without_neighbours_has_runs_of_one_for_ibsi_only() -> None:
    inside = np.eye(4, dtype=bool)[None].repeat(2, axis=0)
    found = grey_levels(np.ones(8, int), neighbours(inside))
    runs = [run_lengths(found, lone=lone)[0, 0, 0] for lone in (False, True)]
    along_x = found.around.steps.index((0, 0, 1))
    assert (runs[0][along_x], runs[1][along_x]) == (0, 8)
