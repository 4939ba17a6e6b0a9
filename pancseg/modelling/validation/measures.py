"""Compute measures of predictions, with intervals from a bootstrap of patients.

Every measure is a vector over bootstrap weightings. The first weighting has weights of one and
gives the estimate itself. Ranks are compared only between patients of one test fold: two folds have
two models, and their scores have no common scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from pancseg.modelling.estimators.cox import censoring_survival

_BLOCK = 256
"""Events that are compared with all patients at once."""


@dataclass(frozen=True)
class Estimate:
    """A measure and its 95 % percentile interval.

    Attributes:
        value: the measure over all patients.
        low: lower end of the interval; NaN where no resample has a value.
        high: upper end of the interval; NaN likewise.
    """

    value: float
    low: float
    high: float

    def within(self, least: float, most: float) -> Estimate:
        """Return the estimate with its interval clipped to the range of the measure."""
        low, high = np.clip([self.low, self.high], least, most)
        return Estimate(self.value, float(low), float(high))


def estimate(
    resampled: np.ndarray,
    by_fold: np.ndarray | None = None,
    outer: int = 5,
    wider: float | None = None,
) -> Estimate:
    """Return the value and interval of a measure.

    Args:
        resampled: the estimate, then its value in each resample.
        by_fold: its value in each outer test fold of all repeats; None: models were not refitted.
        outer: number of outer folds.
        wider: by how much the interval is wider than the bootstrap's; None: see :func:`widening`.
    """
    value, rest = float(resampled[0]), resampled[1:][~np.isnan(resampled[1:])]
    if not len(rest):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(rest, [2.5, 97.5])
    wider = widening(resampled, by_fold, outer) if wider is None else wider
    return Estimate(
        value, float(value - wider * (value - low)), float(value + wider * (high - value))
    )


def widening(resampled: np.ndarray, by_fold: np.ndarray | None, outer: int) -> float:
    """Return by how much an interval is wider than that of the bootstrap; at least 1.

    The bootstrap keeps predictions fixed and therefore misses the variance that comes from the
    training sample. Nadeau and Bengio (2003, Mach Learn 52:239) estimate that variance from folds
    that share training rows; where their standard deviation is larger, it counts.
    """
    rest = resampled[1:][~np.isnan(resampled[1:])]
    folds = np.empty(0) if by_fold is None else by_fold[~np.isnan(by_fold)]
    if len(folds) < 2 or not len(rest) or rest.std() <= 1e-12:
        return 1.0
    between = (1 / len(folds) + 1 / (outer - 1)) * folds.var(ddof=1)
    return max(1.0, float(np.sqrt(between) / rest.std()))


def unbiased(resampled: np.ndarray) -> np.ndarray:
    """Return resampled values around the estimate: duplicates raise measures of distance.

    Args:
        resampled: the estimate, then its value in each resample.
    """
    rest = resampled[1:]
    return np.append(resampled[:1], rest + (resampled[0] - np.nanmean(rest)))


def bootstrap_weights(groups: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return (1 + resamples, n) weights; rows of one patient always have the same weight."""
    names, member = np.unique(groups, return_inverse=True)
    random = np.random.default_rng(seed)
    counts = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return np.vstack([np.ones(len(groups)), counts[:, member]]).astype(float)


def pair_measure(
    pairs: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], weights: np.ndarray
) -> np.ndarray:
    """Return the share of concordant pairs under each weighting; ties count half.

    Args:
        pairs: for each fold its rows, their scores, and a (rows, rows) array with the weight of
            each pair whose first row should score higher.
        weights: (b, n) bootstrap weights.
    """
    concordant, total = np.zeros(len(weights)), np.zeros(len(weights))
    for rows, score, comparable in pairs:
        higher = np.sign(score[:, None] - score[None, :]) / 2 + 0.5
        w = weights[:, rows]
        concordant += ((w @ (comparable * higher)) * w).sum(axis=1)
        total += ((w @ comparable) * w).sum(axis=1)
    return np.asarray(
        np.divide(concordant, total, out=np.full(len(total), np.nan), where=total > 0)
    )


def auc(y: np.ndarray, score: np.ndarray) -> float:
    """Return the AUC of unweighted rows by their ranks, ties as half; NaN for one class alone.

    It is :func:`pair_measure` of :func:`class_pairs`, without an array of all pairs.

    >>> auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    positive = y == 1
    n1 = int(positive.sum())
    n0 = len(y) - n1
    if not n1 * n0:
        return float("nan")
    return float((rankdata(score)[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def harrell(y: np.ndarray, score: np.ndarray) -> float:
    """Return Harrell's C of unweighted rows, ties of the score as half; NaN without a pair.

    It is :func:`pair_measure` of :func:`harrell_pairs`, without an array of all pairs.

    >>> y = np.array([(True, 1.0), (True, 2.0), (False, 3.0)], [("event", "?"), ("time", "f8")])
    >>> harrell(y, np.array([0.9, 0.2, 0.2]))
    0.8333333333333334
    """
    events, higher, level, total = np.flatnonzero(y["event"]), 0, 0, 0
    for first in range(0, len(events), _BLOCK):
        rows = events[first : first + _BLOCK]
        comparable, own = _outlived(y, rows), score[rows, None]
        total += int(comparable.sum())
        higher += int((comparable & (own > score)).sum())
        level += int((comparable & (own == score)).sum())
    return (higher + level / 2) / total if total else float("nan")


def class_pairs(y: np.ndarray) -> np.ndarray:
    """Return the pairs of the AUC, a positive against a negative, as an (n, n) array of 0 and 1."""
    return np.outer(y == 1, y == 0).astype(float)


def harrell_pairs(y: np.ndarray) -> np.ndarray:
    """Return (n, n) Harrell's pairs: an event against a patient who was event-free for longer."""
    return np.asarray(y["event"][:, None] & _outlived(y, np.arange(len(y))), dtype=float)


def _outlived(y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return (rows, n) whether a patient was event-free for longer than these rows' times."""
    time, own = y["time"], y["time"][rows, None]
    return np.asarray((own < time) | ((own == time) & ~y["event"]))


def uno_pairs(y: np.ndarray, train: np.ndarray, tau: float) -> np.ndarray:
    """Return (n, n) Uno's pairs (2011): Harrell's before ``tau``, weighted for censoring.

    At tied times an event is compared with the censored patients, as in Harrell's pairs.

    Args:
        y: outcome of the test rows.
        train: outcome of the training rows, from which the censoring distribution is estimated.
        tau: events from this time on do not count.
    """
    g = censoring_survival(train, y["time"], before=True)
    used = y["event"] & (y["time"] < tau) & (g > 0)
    weight = np.where(used, 1 / np.where(g > 0, g, 1) ** 2, 0.0)
    return np.asarray(harrell_pairs(y) * weight[:, None])


def horizon_pairs(y: np.ndarray, train: np.ndarray, t: float) -> np.ndarray:
    """Return (n, n) pairs of the cumulative/dynamic AUC at time t, weighted for censoring."""
    g = censoring_survival(train, y["time"], before=True)
    case = y["event"] & (y["time"] <= t) & (g > 0)
    weight = np.where(case, 1 / np.where(g > 0, g, 1), 0.0)
    return np.asarray((y["time"] > t)[None, :] * weight[:, None])


def squared_errors(
    y: np.ndarray, train: np.ndarray, survival: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """Return (n, times) contributions to the Brier score, weighted for censoring (Graf)."""
    g_own = censoring_survival(train, y["time"], before=True)[:, None]
    g_t = censoring_survival(train, times)[None, :]
    died = (y["event"][:, None]) & (y["time"][:, None] <= times[None, :]) & (g_own > 0)
    free = (y["time"][:, None] > times[None, :]) & (g_t > 0)
    safe_own, safe_t = np.where(g_own > 0, g_own, 1.0), np.where(g_t > 0, g_t, 1.0)
    return np.asarray(died * survival**2 / safe_own + free * (1 - survival) ** 2 / safe_t)


def known_weights(y: np.ndarray, train: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return (n, times) weights of the contributions to the Brier score.

    Their mean is about 1, and exactly 1 where the censoring distribution is that of ``y`` itself.
    """
    all_die, none_dies = np.ones((2, len(y), len(times))) * np.array([1.0, 0.0])[:, None, None]
    died = squared_errors(y, train, all_die, times)
    return np.asarray(died + squared_errors(y, train, none_dies, times))


def steadied(errors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return contributions with the same mean, of which resamples vary as the score does.

    How much weight a resample holds is chance, and most of what its plain mean varies by: the
    weights are estimated from the patients themselves, which takes that chance away. Each
    contribution is therefore freed of its weight's distance from the mean (a control variate, the
    linear form of dividing by the weights' sum).

    Args:
        errors: (n, times) contributions to the Brier score.
        weight: (n, times) their weights.
    """
    total = weight.sum(axis=0)
    per_weight = np.divide(errors.sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(errors - per_weight * (weight - weight.mean(axis=0)))


def integrated(errors: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the (n,) means over time of (n, times) values, by the trapezoidal rule."""
    return np.asarray(np.trapezoid(errors, times, axis=1) / (times[-1] - times[0]))


def mean_measure(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (b,) weighted means of the patients' values; patients with NaN do not count."""
    known = ~np.isnan(values)
    total = weights[:, known].sum(axis=1)
    found = weights[:, known] @ values[known]
    return np.asarray(np.divide(found, total, out=np.full(len(total), np.nan), where=total > 0))


def average_precision(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (b,) average precision under each weighting, defined as in scikit-learn."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    w = weights[:, order]
    positive = np.cumsum(w * (y[order] == 1), axis=1)[:, ends]
    called = np.cumsum(w, axis=1)[:, ends]
    precision = np.divide(positive, called, out=np.zeros_like(positive), where=called > 0)
    gained = np.diff(positive, axis=1, prepend=0.0)
    total = positive[:, -1]
    found = (gained * precision).sum(axis=1)
    return np.asarray(np.divide(found, total, out=np.full(len(total), np.nan), where=total > 0))


def random_precision(positives: int, rows: int) -> float:
    """Return the expected average precision of random scores, which is above the prevalence.

    Args:
        positives: number of rows of class 1.
        rows: number of all rows, 2 or more.
    """
    rank = np.arange(1, rows + 1)
    return float(((1 + (rank - 1) * (positives - 1) / (rows - 1)) / rank).mean())


def best_threshold(y: np.ndarray, score: np.ndarray) -> float:
    """Return the threshold with the highest sensitivity + specificity (Youden)."""
    levels = np.unique(score)
    if len(levels) < 2:
        return float(levels[0])
    middles = (levels[1:] + levels[:-1]) / 2
    called = score[None, :] >= middles[:, None]
    sensitivity = called[:, y == 1].mean(axis=1)
    specificity = 1 - called[:, y == 0].mean(axis=1)
    return float(middles[int(np.argmax(sensitivity + specificity))])
