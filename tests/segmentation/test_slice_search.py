"""The search looks at few slices and still holds every component of some height, whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from pancseg.segmentation.slice_search import search, step_for

FOUND = st.lists(st.booleans(), min_size=1, max_size=80)


@given(FOUND, st.integers(1, 8))
def test_runs_of_step_slices_or_more_are_looked_at_whole(found: list[bool], step: int) -> None:
    looked_at = search(len(found), step, lambda wanted: [found[i] for i in wanted])
    runs, count = ndimage.label(found)
    for run in range(1, count + 1):
        slices = set(np.flatnonzero(runs == run).tolist())
        if len(slices) >= step:
            assert slices <= set(looked_at)
        assert slices <= set(looked_at) or not slices & set(looked_at)  # whole or not at all


@given(FOUND, st.integers(1, 8))
def test_no_slice_is_looked_at_twice(found: list[bool], step: int) -> None:
    seen: list[int] = []

    def look(wanted: list[int]) -> list[bool]:
        seen.extend(wanted)
        return [found[i] for i in wanted]

    assert search(len(found), step, look) == sorted(seen)
    assert len(set(seen)) == len(seen)


@given(FOUND, st.integers(1, 8))
def test_something_is_found_whenever_there_is_something(found: list[bool], step: int) -> None:
    looked_at = search(len(found), step, lambda wanted: [found[i] for i in wanted])
    assert any(found[i] for i in looked_at) == any(found)


def test_one_looks_at_every_slice_and_thick_slices_leave_no_gap() -> None:
    assert search(5, 1, lambda wanted: [False] * len(wanted)) == [0, 1, 2, 3, 4]
    assert step_for(5.0) == step_for(7.5) == step_for(1.0, least_height_mm=0) == 1
    assert step_for(1.25) == 4


def test_most_slices_of_a_long_scan_are_left_out() -> None:
    found = [100 <= i < 150 for i in range(400)]
    looked_at = search(400, 5, lambda wanted: [found[i] for i in wanted])
    assert set(range(99, 151)) <= set(looked_at)
    assert len(looked_at) < 130
