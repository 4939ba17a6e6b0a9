"""The estimate of the time left, on made-up times."""

from __future__ import annotations

import time

import pytest

from pancseg.running.time_left import TimeLeft


def cohort(new: int, earlier: int = 0) -> TimeLeft:
    """Scans n0, n1, … without earlier rows and e0, e1, … with some."""
    return TimeLeft({f"n{i}": False for i in range(new)} | {f"e{i}": True for i in range(earlier)})


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_equal_scans_take_as_long_as_they_took(workers: int) -> None:
    left = cohort(40)
    for i in range(20):
        left.end(f"n{i}", 60.0)
    assert left.seconds(workers, 0.0) == pytest.approx(20 * 60 / workers)


def test_nothing_is_known_before_every_worker_has_made_a_scan() -> None:
    left = cohort(9)
    seen = [left.seconds(3, 0.0)]
    for i in range(3):
        left.end(f"n{i}", 10.0 + i)
        seen.append(left.seconds(3, 0.0))
    assert seen[:3] == [None, None, None]
    assert seen[3] == pytest.approx(6 * 11 / 3)


def test_two_workers_and_two_scans() -> None:
    left = cohort(2)
    left.end("n0", 30.0)
    assert left.seconds(2, 0.0) is None  # the smaller one may be done
    left.end("n1", 50.0)
    assert left.seconds(2, 0.0) == 0


def test_rows_taken_over_neither_count_nor_spoil_the_estimate() -> None:
    """Of 1,000 patients 900 are unchanged, and finish at once."""
    left = cohort(100, 900)
    for i in range(900):
        left.end(f"e{i}", None)
    assert left.seconds(2, 0.0) is None
    for i in range(10):
        left.end(f"n{i}", 60.0)
    assert left.seconds(2, 0.0) == pytest.approx(90 * 60 / 2)


def test_unchanged_scans_that_are_still_to_come_count_for_nothing() -> None:
    left = cohort(10, 500)
    for i in range(5):
        left.end(f"n{i}", 60.0)
    assert left.seconds(1, 0.0) == pytest.approx(5 * 60)


def test_where_settings_have_changed_earlier_scans_count() -> None:
    left = cohort(0, 100)
    for i in range(10):
        left.end(f"e{i}", 60.0)
    assert left.seconds(1, 0.0) == pytest.approx(90 * 60)
    for i in range(10, 20):  # from here on every second one
        left.end(f"e{i}", None)
    assert left.seconds(1, 0.0) == pytest.approx(80 * 60 / 2)


def test_a_scan_that_hung_for_an_hour_says_nothing_of_the_others() -> None:
    left = cohort(30)
    left.end("n0", 3600.0)
    for i in range(1, 10):
        left.end(f"n{i}", 60.0)
    estimate = left.seconds(1, 0.0)
    assert estimate is not None
    assert 20 * 60 <= estimate <= 20 * 60 * 1.5


def test_large_scans_count_with_their_share() -> None:
    """Every fourth takes three times as long: the median alone would forget them."""
    left = cohort(80)
    for i in range(40):
        left.end(f"n{i}", 180.0 if i % 4 == 0 else 60.0)
    assert left.seconds(1, 0.0) == pytest.approx(40 * 90)


def test_what_workers_have_already_done_is_taken_off() -> None:
    left = cohort(4)
    left.begin("n0", 0.0)
    left.end("n0", 100.0)
    left.begin("n1", 100.0)
    assert left.seconds(1, 130.0) == pytest.approx(300 - 30)
    assert left.seconds(1, 500.0) == pytest.approx(210)  # longer than the first: no negative time


def test_a_run_whose_last_scan_is_overdue_is_not_said_to_be_done() -> None:
    left = cohort(2)
    left.end("n0", 100.0)
    left.begin("n1", 100.0)
    assert left.seconds(1, 900.0) == pytest.approx(10)


def test_the_last_scans_do_not_use_all_workers() -> None:
    left = cohort(10)
    for i in range(8):
        left.begin(f"n{i}", 0.0)
        left.end(f"n{i}", 100.0)
    left.begin("n8", 0.0)
    left.begin("n9", 90.0)
    assert left.seconds(8, 100.0) == pytest.approx(90)  # n9 has only begun


def test_a_scan_that_is_not_of_the_run_changes_nothing() -> None:
    left = cohort(2)
    left.begin("other", 0.0)
    left.end("n0", 10.0)
    assert left.seconds(1, 50.0) == pytest.approx(10)


def test_thirty_thousand_unchanged_scans_cost_no_time() -> None:
    """The estimate is asked for with every stage of every scan."""
    left = cohort(0, 30_000)
    began = time.process_time()
    for i in range(30_000):
        left.begin(f"e{i}", 0.0)
        left.seconds(2, 1.0)
        left.end(f"e{i}", None if i else 60.0)
        left.seconds(2, 1.0)
    assert time.process_time() - began < 30  # a walk over all scans each time: minutes
