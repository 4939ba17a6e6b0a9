"""Give a calibration slope of out-of-fold predictions an interval that holds for new patients.

A bootstrap of patients keeps the predictions, and so takes the slopes of the single folds' models
for better known than they are; where a model is useless, its out-of-fold predictions go against the
outcome, as a fold that has more events leaves fewer to the patients it is predicted from.
"""

from __future__ import annotations

import numpy as np

from pancseg.modelling.validation.measures import Estimate

_NORMAL = 1.96


def slope_estimate(
    resampled: np.ndarray, without_fold: np.ndarray, repeats: int, ranks: Estimate
) -> Estimate:
    """Return a calibration slope and its 95 % interval.

    Its variance is the sum of the bootstrap's and of the jackknife's over outer test folds, taken
    as that of one repeat, because repeats share all of their patients. The interval holds 0 where
    the interval of AUC or C holds 0.5: a model that may rank nobody may have no slope.

    Args:
        resampled: the slope, then its value in each bootstrap resample of patients.
        without_fold: (repeats · folds,) the slope without each outer test fold of each repeat.
        repeats: number of repeats.
        ranks: AUC or C of the model.

    Returns:
        The estimate; its interval is NaN where no resample has a slope.

    Example:
        >>> resampled = np.array([1.0, 0.8, 0.9, 1.1, 1.2])
        >>> found = slope_estimate(resampled, np.full(5, 1.0), 1, Estimate(0.7, 0.6, 0.8))
        >>> round(found.low, 3), round(found.high, 3)
        (0.807, 1.193)
    """
    value = float(resampled[0])
    rest = resampled[1:][~np.isnan(resampled[1:])]
    if not len(rest):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(rest, [2.5, 97.5])
    folds = without_fold[~np.isnan(without_fold)]
    between = repeats * (len(folds) - 1) * folds.var() if len(folds) else 0.0
    half = float(np.hypot((high - low) / 2, _NORMAL * np.sqrt(between)))
    low, high = value - half, value + half
    if ranks.low <= 0.5:
        low, high = min(low, 0.0), max(high, 0.0)
    return Estimate(value, float(low), float(high))
