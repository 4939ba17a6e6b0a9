"""Probabilities are smoothed along z, over the slices that went through the network."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from pancseg.segmentation.along_z import LEAST, REACH_MM, SIGMA_MM, Part, reach, smoothed

SHAPE = (6, 7)


def plane(value: float) -> np.ndarray:
    return np.full(SHAPE, value, np.float32)


def parts(volume: np.ndarray) -> list[tuple[int, Part]]:
    return list(enumerate(map(Part.of, volume.astype(np.float32))))


@pytest.mark.parametrize("slice_mm", [0.7, 1.0, 2.5, 5.0, 8.0])
def test_it_is_scipys_gaussian_away_from_the_ends(slice_mm: float) -> None:
    rng = np.random.default_rng(0)
    volume = rng.random((40, *SHAPE)) * (rng.random((40, *SHAPE)) > 0.4)
    volume[volume < LEAST] = 0
    rounded = volume.astype(np.float16).astype(np.float64)
    expected = gaussian_filter1d(rounded, SIGMA_MM / slice_mm, axis=0, radius=reach(slice_mm))
    found = {z: part.in_slice(SHAPE) for z, part in smoothed(parts(volume), range(40), slice_mm)}
    inner = range(10, 30)
    np.testing.assert_allclose([found[z] for z in inner], expected[10:30], atol=1e-6)


def test_slices_that_were_not_looked_at_do_not_count() -> None:
    """Slice 1 is unknown: it takes the mean of its neighbours, and lowers neither of them."""
    seen = [(0, Part.of(plane(1))), (2, Part.of(plane(1)))]
    found = dict(smoothed(seen, range(3), 1.0))
    for z in range(3):
        np.testing.assert_allclose(found[z].in_slice(SHAPE), 1.0)


def test_empty_slices_count_and_give_nothing_where_they_are_alone() -> None:
    seen = [(z, Part.of(plane(z == 5))) for z in range(20)]
    found = {z: float(part.values[0, 0]) for z, part in smoothed(seen, range(20), 1.0)}
    most = int(REACH_MM)
    assert sorted(found) == list(range(max(5 - most, 0), 5 + most + 1))
    weights = np.exp(-0.5 * (np.arange(-most, most + 1) / SIGMA_MM) ** 2)
    assert found[7] == pytest.approx(weights[most + 2] / weights.sum(), rel=1e-5)
    assert found[7] == pytest.approx(found[6] * np.exp(-0.5 * (4 - 1) / SIGMA_MM**2), rel=1e-5)


def test_a_part_is_a_copy_and_holds_what_is_not_zero() -> None:
    whole = plane(0)
    whole[2:4, 3:6] = 0.5
    whole[5, 0] = LEAST / 2
    part = Part.of(whole)
    whole[:] = 9
    assert part.values.shape == (2, 3)
    assert part.in_slice(SHAPE).sum() == pytest.approx(3.0)
    assert not Part.of(plane(0)).in_slice(SHAPE).any()


def test_thick_slices_stay_as_they_are() -> None:
    seen = [(0, Part.of(plane(1))), (1, Part.of(plane(0))), (2, Part.of(plane(0.5)))]
    found = {z: float(part.values[0, 0]) for z, part in smoothed(seen, range(3), REACH_MM + 0.1)}
    assert found == {0: 1.0, 2: 0.5}
