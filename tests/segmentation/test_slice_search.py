"""The search looks at few slices and still holds every component of some height, whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from pancseg.segmentation.slice_search import Steps, search

FOUND = st.lists(st.booleans(), min_size=1, max_size=80)
STEPS = st.builds(
    lambda times, then: Steps(times * then, then), st.integers(1, 4), st.integers(1, 4)
)


@given(FOUND, STEPS)
def test_runs_as_high_as_the_first_step_are_looked_at_whole(
    found: list[bool], steps: Steps
) -> None:
    count, reach = len(found), steps.then
    looked_at = set(search(count, steps, lambda wanted: [found[i] for i in wanted], reach))
    dense = {i for i in range(count) if steps.meet(i, count)}
    runs, number = ndimage.label(found)
    for run in range(1, number + 1):
        slices = set(np.flatnonzero(runs == run).tolist())
        if len(slices) >= steps.first:
            assert slices & dense
            assert slices & dense <= looked_at
        shown = slices & dense
        assert shown <= looked_at or not shown & looked_at  # whole or not at all


@given(FOUND, STEPS)
def test_no_slice_is_looked_at_twice(found: list[bool], steps: Steps) -> None:
    seen: list[int] = []

    def look(wanted: list[int]) -> list[bool]:
        seen.extend(wanted)
        return [found[i] for i in wanted]

    assert search(len(found), steps, look, steps.then) == sorted(seen)
    assert len(set(seen)) == len(seen)


@given(FOUND, STEPS)
def test_something_is_found_whenever_there_is_something(found: list[bool], steps: Steps) -> None:
    looked_at = search(len(found), steps, lambda wanted: [found[i] for i in wanted], steps.then)
    assert any(found[i] for i in looked_at) == any(found)


@given(st.floats(0.1, 10))
def test_slices_are_two_millimetres_apart_at_most_unless_the_scan_has_no_others(mm: float) -> None:
    steps = Steps.of(mm)
    assert steps.then == 1 or steps.then * mm <= 2.0 + 1e-6
    assert steps.first % steps.then == 0
    assert steps.first == steps.then or steps.first * mm <= 15.0 + 1e-6


def test_one_looks_at_every_slice_and_thick_slices_leave_no_gap() -> None:
    assert search(5, Steps(1, 1), lambda wanted: [False] * len(wanted)) == [0, 1, 2, 3, 4]
    assert Steps.of(8.0) == Steps.of(15.0) == Steps.of(1.0, least_height_mm=0) == Steps(1, 1)
    assert Steps.of(1.25) == Steps(12, 1)


def test_most_slices_of_a_long_scan_are_left_out() -> None:
    found = [100 <= i < 150 for i in range(400)]
    looked_at = search(400, Steps(5, 1), lambda wanted: [found[i] for i in wanted])
    assert set(range(99, 151)) <= set(looked_at)
    assert len(looked_at) < 130


def test_of_thin_slices_every_other_is_looked_at() -> None:
    found = [100 <= i < 150 for i in range(400)]
    steps = Steps.of(1.0)
    looked_at = search(400, steps, lambda wanted: [found[i] for i in wanted], 6)
    assert {i for i in range(95, 155) if i % 2 == 1} <= set(looked_at)
    assert all(i % 2 == 1 for i in looked_at)
    assert len(looked_at) < 60


@given(st.floats(0.3, 10), st.floats(-4e-4, 4e-4))
def test_noise_in_the_spacing_does_not_move_the_slices(mm: float, noise: float) -> None:
    mm = round(mm, 3)
    assert Steps.of(mm + noise) == Steps.of(mm)


@given(st.floats(0.2, 3), st.floats(0.2, 30))
def test_what_must_be_found_meets_a_slice(mm: float, height_mm: float) -> None:
    steps = Steps.of(mm, height_mm)
    assert steps.first == 1 or steps.first * round(mm, 3) <= height_mm + 1e-6
