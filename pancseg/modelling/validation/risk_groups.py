"""Describe groups of high and low predicted risk: hazard ratio, median survival, at risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pancseg.modelling.cross_validation.out_of_fold import OutOfFold
from pancseg.modelling.validation.calibration import cox_slope
from pancseg.modelling.validation.kaplan_meier import median_time
from pancseg.modelling.validation.measures import Estimate, estimate

_TIMES = 5


@dataclass(frozen=True)
class RiskGroup:
    """Patients of high or low risk.

    Attributes:
        rows: (n,) whether a row is in the group.
        median: median survival with its 95 % interval; NaN where the curve stays above 0.5.
        at_risk: numbers at risk at :attr:`RiskGroups.times`.
    """

    rows: np.ndarray
    median: Estimate
    at_risk: tuple[int, ...]


@dataclass(frozen=True)
class RiskGroups:
    """Patients above and below the threshold, out of fold.

    Attributes:
        high: above the median risk of the training patients in most repeats.
        low: the others.
        ratio: hazard ratio of high against low, of each repeat's groups; above 1, the high group
            has the event earlier.
        times: times at which patients at risk are counted.
    """

    high: RiskGroup
    low: RiskGroup
    ratio: Estimate
    times: tuple[float, ...]


def above_threshold(model: OutOfFold) -> np.ndarray:
    """Return (n,) whether the risk exceeds the training median in most repeats."""
    return np.asarray(is_high(model).mean(axis=0) > 0.5)


def is_high(model: OutOfFold) -> np.ndarray:
    """Return (repeats, n) whether the risk exceeds the training median.

    A patient with the very values of the median one is not above it, which rounding must not hide:
    scores that are the same sum may differ in their last bits.
    """
    equal = np.isclose(model.score, model.threshold, rtol=1e-9, atol=1e-12)
    return np.asarray((model.score > model.threshold) & ~equal)


def risk_groups(
    y: np.ndarray, model: OutOfFold, strata: np.ndarray, weights: np.ndarray, wider: float
) -> RiskGroups | None:
    """Return the groups of a model's out-of-fold predictions; None if all patients are in one.

    There is no log-rank p-value: groups of one cross-validation are not independent of the outcomes
    that their models were fitted to, so that on noise p < 0.05 in a fifth of tables. The interval
    of the hazard ratio is widened as that of Harrell's C instead.

    Args:
        y: (n,) events and times.
        model: out-of-fold predictions.
        strata: (repeats, n) rows of equal value share a baseline hazard.
        weights: (b, n) bootstrap weights.
        wider: by how much intervals are wider than the bootstrap's.
    """
    high = above_threshold(model)
    if high.all() or not high.any():
        return None
    repeats = len(strata)
    each = is_high(model)[:repeats].astype(float)
    logs = cox_slope(np.tile(y, repeats), each.ravel(), strata.ravel(), np.tile(weights, repeats))
    found = estimate(logs, wider=wider)
    ratio = Estimate(*(float(np.exp(v)) for v in (found.value, found.low, found.high)))
    times = tuple(np.linspace(0, np.quantile(y["time"], 0.9), _TIMES))
    high_group, low_group = (_group(y, rows, times) for rows in (high, ~high))
    return RiskGroups(high_group, low_group, ratio, tuple(map(float, times)))


def _group(y: np.ndarray, rows: np.ndarray, times: tuple[float, ...]) -> RiskGroup:
    at_risk = tuple(int((y["time"][rows] >= time).sum()) for time in times)
    return RiskGroup(rows, median_time(y[rows]), at_risk)
