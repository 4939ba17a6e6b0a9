"""Donors of predictive mean matching: the nearest, ties broken at random, without a large array."""

import tracemalloc

import numpy as np
import pytest

from pancseg.modelling.estimators.chained import Chained
from pancseg.modelling.estimators.mean_matching import matched


def alone(n=200, gaps=0.3, seed=0):
    """One column that relates to a class alone: the predictions of all rows of a class agree."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, n)
    x = random.normal(size=(n, 1)) + y[:, None]
    x[random.random(n) < gaps] = np.nan
    return x, y


@pytest.mark.parametrize("seed", range(3))
def test_rows_with_equal_predictions_are_equally_likely_donors(seed):
    """Before: 10 of about 140 known rows gave the values of all ten tables."""
    x, y = alone(seed=seed)
    gap = np.isnan(x[:, 0])
    tables = Chained(10, seed).fit(x, y).taken_tables()
    drawn = np.array([each[gap, 0] for each in tables])
    assert len(np.unique(drawn)) > 0.9 * (~gap).sum()
    assert min(len(np.unique(each)) for each in drawn) > 30  # of 53 to 67, drawn with replacement
    for value in (0, 1):
        mine = drawn[:, y[gap] == value]
        known = x[~gap & (y == value), 0]
        assert mine.mean() == pytest.approx(known.mean(), abs=0.2)
        assert mine.std() == pytest.approx(known.std(), rel=0.15)
    again = np.array([each[gap, 0] for each in Chained(10, seed).fit(x, y).taken_tables()])
    np.testing.assert_array_equal(drawn, again)


def test_memory_grows_with_the_rows_and_not_with_their_square():
    x, y = alone(n=6000, gaps=0.5)
    tracemalloc.start()
    try:
        Chained(5).fit(x, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20  # distances of 5 x 3000 x 3000 pairs would take 343 MiB


def shares(known, wanted, draws=4000):
    """How often each known row is taken by a row whose prediction is ``wanted``."""
    taken = matched(np.array(known), np.full(draws, wanted), np.random.default_rng(0))
    return np.bincount(taken, minlength=len(known)) / draws


@pytest.mark.parametrize("wanted", [-9.0, 0.1, 2.7, 9.0])
def test_each_of_the_five_nearest_is_taken_as_often(wanted):
    known = np.random.default_rng(1).normal(size=40)
    nearest = np.argsort(np.abs(known - wanted))[:5]
    expected = np.zeros(40)
    expected[nearest] = 0.2
    np.testing.assert_allclose(shares(known, wanted), expected, atol=0.03)


def test_a_tie_for_the_last_places_is_broken_at_random():
    """Three rows are nearer than eight that tie for the other two places."""
    known = [1.0, 0.0, 1.1, *[2.0] * 8, 5.0, -5.0]
    expected = [0.2, 0.2, 0.2, *[0.05] * 8, 0, 0]
    np.testing.assert_allclose(shares(known, 0.9), expected, atol=0.03)


def test_predictions_that_differ_by_rounding_alone_are_equal():
    known = 0.3 + np.arange(12) * 1e-16
    np.testing.assert_allclose(shares(known, 0.3), 1 / 12, atol=0.03)


def test_fewer_known_rows_than_donors_are_all_used():
    np.testing.assert_allclose(shares([1.0, 2.0, 7.0], 3.0), 1 / 3, atol=0.03)
