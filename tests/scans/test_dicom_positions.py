"""Positions of slices are judged against the best even grid, not from gap to gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_series import write_series
from hypothesis import given
from hypothesis import strategies as st

from pancseg import UnusableCase, read_scan
from pancseg.scans.dicom.stack import _even_grid


def positions(
    first: float, gap: float, count: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    made = np.zeros((count, 3))
    made[:, 2] = first + gap * np.arange(count)
    return made


@pytest.mark.parametrize("gap", [0.625, 1.25, 0.7])
@pytest.mark.parametrize("first", [-900.0, -812.37])
def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(
    first: float, gap: float, tmp_path: Path
) -> None:
    rounded = [round(first + gap * number, 1) for number in range(10)]
    write_series(tmp_path, rounded, "1.2.826.111")
    image = read_scan(tmp_path)
    assert image.GetSize() == (5, 6, 10)
    assert image.GetSpacing()[2] == pytest.approx(gap, abs=0.005)
    last_mm = image.TransformIndexToPhysicalPoint((0, 0, 9))[2]
    assert image.GetOrigin()[2] == pytest.approx(rounded[0], abs=0.07)
    assert last_mm == pytest.approx(rounded[-1], abs=0.07)


@given(
    st.floats(-1000, 1000), st.floats(0.4, 8), st.integers(2, 400), st.sampled_from((1, 2, 3, 6))
)
def test_rounding_makes_no_series_uneven(
    first: float, gap: float, count: int, decimals: int
) -> None:
    exact = positions(first, gap, count)
    origin_mm, gap_mm = _even_grid(exact.round(decimals))
    assert abs(gap_mm - gap) * (count - 1) < 0.2
    assert np.abs(origin_mm - exact[0]).max() < 0.12


@given(st.floats(-1000, 1000), st.floats(0.5, 5), st.integers(3, 300), st.data())
def test_a_missing_slice_is_seen(first: float, gap: float, count: int, data: st.DataObject) -> None:
    missing = data.draw(st.integers(1, count - 2))
    even = positions(first, gap, count)
    if count > 3:
        with pytest.raises(UnusableCase, match="not evenly spaced"):
            _even_grid(np.delete(even, missing, axis=0).round(1))


@pytest.mark.parametrize(
    "gaps",
    [
        [1, 1, 1.3, 1, 1],
        [1.25, 1.25, 1.0, 1.5, 1.25],
        [2, 2, 4, 2],
        [1, 3],
        [5, 5, 5.4, 5, 5],
        [1.0] * 50 + [1.02] * 50,  # each gap is the one before, and all are 0.25 mm off the grid
    ],
)
def test_positions_off_the_grid_are_refused(gaps: list[float]) -> None:
    made = np.zeros((len(gaps) + 1, 3))
    made[1:, 2] = np.cumsum(gaps)
    with pytest.raises(UnusableCase, match=r"not evenly spaced .* expected at most") as caught:
        _even_grid(made)
    assert caught.value.code == "uneven_slices"


def test_a_slice_moved_sideways_is_refused() -> None:
    made = positions(0, 2, 9)
    made[4, 0] = 0.3
    with pytest.raises(UnusableCase, match=r"0\.1\d mm off an even grid, expected at most 0\.09"):
        _even_grid(made)


def test_positions_that_are_even_keep_the_grid_from_end_to_end() -> None:
    """As ITK has it, so that masks drawn elsewhere are on the same grid to the last bit."""
    made = positions(-801.2, 1.5, 40).round(1)
    origin_mm, gap_mm = _even_grid(made)
    assert origin_mm.tolist() == made[0].tolist()
    assert gap_mm == (made[-1, 2] - made[0, 2]) / 39
