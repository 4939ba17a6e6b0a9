"""The interval of a calibration slope: wider where folds differ, and with 0 where ranks fail."""

from __future__ import annotations

import numpy as np
import pytest

from pancseg.modelling.validation.calibration import logistic_line
from pancseg.modelling.validation.measures import Estimate, estimate
from pancseg.modelling.validation.slope_interval import slope_estimate

RANKS = Estimate(0.7, 0.6, 0.8)
RESAMPLED = np.concatenate([[1.0], np.linspace(0.5, 1.5, 401)])


def test_folds_that_agree_leave_the_bootstraps_interval() -> None:
    found = slope_estimate(RESAMPLED, np.full(5, 1.0), 5, RANKS)
    assert (found.low, found.high) == pytest.approx((0.525, 1.475))


@pytest.mark.parametrize("repeats", [1, 3])
def test_folds_that_differ_widen_it_as_nadeau_and_bengio_say(repeats: int) -> None:
    # a fold of one of three repeats moves the slope a third as far
    without = 1 + np.tile([-0.2, -0.1, 0.0, 0.1, 0.2], repeats) / repeats
    values = 1 + (5 * repeats - 1) * (1 - without)  # of single folds, if they had a slope
    variance = (1 / (5 * repeats) + 1 / 4) * values.var(ddof=1)
    wider = np.sqrt(variance) / RESAMPLED[1:].std()
    assert wider > 1
    found = slope_estimate(RESAMPLED, without, 5, RANKS)
    assert (found.low, found.high) == pytest.approx((1 - 0.475 * wider, 1 + 0.475 * wider))


def test_a_skewed_slope_has_a_skewed_interval() -> None:
    resampled = np.concatenate([[1.0], np.exp(np.linspace(-1, 1, 401))])
    found = slope_estimate(resampled, np.full(5, 1.0), 5, RANKS)
    assert found.high - 1 > 1.5 * (1 - found.low)


@pytest.mark.parametrize(("low", "holds"), [(0.49, True), (0.5, True), (0.51, False)])
def test_a_model_that_may_rank_nobody_may_have_no_slope(low: float, holds: bool) -> None:
    for sign in (1, -1):
        found = slope_estimate(sign * RESAMPLED, np.full(5, sign * 1.0), 5, Estimate(0.6, low, 0.7))
        assert (found.low <= 0 <= found.high) == holds
        assert found.low <= found.value <= found.high


def test_a_model_that_ranks_the_wrong_way_round_has_a_slope_below_0() -> None:
    """AUC and slope say the same: before, the slope's interval held 0 beside an AUC below 0.5."""
    for high, upper in ((0.49, -0.525), (0.5, 0.0)):
        found = slope_estimate(-RESAMPLED, np.full(5, -1.0), 5, Estimate(0.4, 0.3, high))
        assert (found.low, found.high) == pytest.approx((-1.475, upper))


def test_folds_and_resamples_without_a_slope_are_left_out() -> None:
    some = slope_estimate(np.append(RESAMPLED, np.nan), np.array([1.0, np.nan, 1.0]), 5, RANKS)
    assert some == slope_estimate(RESAMPLED, np.full(2, 1.0), 5, RANKS)
    none = slope_estimate(np.array([1.0, np.nan]), np.full(5, np.nan), 5, RANKS)
    assert none.value == 1
    assert np.isnan([none.low, none.high]).all()


def test_it_holds_the_slope_of_useless_models() -> None:
    """Noise, one variable, five repeats: the bootstrap alone holds 0 in about two of three."""
    random = np.random.default_rng(5)
    held, alone = [], []
    for _ in range(60):
        y = (random.random(60) < 1 / 3).astype(float)
        x = random.normal(size=60)
        folds = np.empty((5, 60), int)
        for repeat, each in np.ndindex(5, 2):  # stratified by the class, as the command's
            rows = random.permutation(np.flatnonzero(y == each))
            folds[repeat, rows] = np.arange(len(rows)) % 5
        p = np.empty((5, 60))
        for repeat, fold in np.ndindex(5, 5):
            test = folds[repeat] == fold
            part = x[~test] - x[~test].mean()
            slope = (part * y[~test]).sum() / (part * part).sum() / 0.22  # one step from 0
            p[repeat, test] = 1 / (1 + np.exp(0.7 - slope * (x[test] - x[~test].mean())))
        weights = np.vstack([np.ones(60), random.multinomial(60, np.full(60, 1 / 60), 200)])
        without = np.concatenate(
            [np.tile(folds != f, 1) | (np.arange(5)[:, None] != r) for r, f in np.ndindex(5, 5)]
        ).reshape(25, -1)
        y5 = np.tile(y, 5)
        resampled, _ = logistic_line(y5, p.ravel(), np.tile(weights, (1, 5)))
        less, _ = logistic_line(y5, p.ravel(), without.astype(float))
        ranks = _auc(y, p, folds, weights)
        found = slope_estimate(resampled, less, 5, ranks)
        held.append(found.low <= 0 <= found.high)
        low, high = np.nanpercentile(resampled[1:], [2.5, 97.5])
        alone.append(low <= 0 <= high)
    assert np.mean(held) >= 0.9
    assert np.mean(alone) < 0.85


def _auc(y: np.ndarray, p: np.ndarray, folds: np.ndarray, weights: np.ndarray) -> Estimate:
    """AUC within folds, over all repeats, with the interval that a report gives it."""
    above = np.zeros((len(y), len(y)))
    pairs, by_fold = np.zeros_like(above), []
    for score, fold in zip(p, folds, strict=True):
        same = (fold[:, None] == fold) & (y[:, None] > y)
        won = same * ((score[:, None] > score) + 0.5 * (score[:, None] == score))
        pairs, above = pairs + same, above + won
        by_fold += [won[fold == f].sum() / same[fold == f].sum() for f in range(5)]
    over, total = ((weights @ m * weights).sum(axis=1) for m in (above, pairs))
    return estimate(over / total, np.array(by_fold), 5)
