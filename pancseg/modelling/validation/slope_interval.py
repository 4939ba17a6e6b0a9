"""Give a calibration slope of out-of-fold predictions an interval that holds for new patients.

A bootstrap of patients keeps the predictions, and so takes the slopes of single folds' models for
better known than they are. Where a model is useless, its out-of-fold predictions moreover go
against the outcome: what by chance goes with it in the training patients goes the other way in
those left out.
"""

from __future__ import annotations

import numpy as np

from pancseg.modelling.validation.measures import Estimate, estimate
from pancseg.system.text.number_text import printed


def slope_estimate(
    resampled: np.ndarray, without_fold: np.ndarray, outer: int, ranks: Estimate
) -> Estimate:
    """Return a calibration slope and its 95 % interval.

    Like those of other measures, the interval is the bootstrap's, widened where the corrected
    variance over folds is larger (see :func:`.measures.widening`). A fold alone has too few
    patients for a slope; its jackknife pseudo-value takes its place. Where the interval of AUC or C
    holds 0.5, it is extended to hold 0: a model that may rank nobody may have no slope. It is no
    exact 95 % interval then: on noise it holds 0 about as often as that of AUC or C holds 0.5
    (docs/log.md, 2026-12-01).

    Args:
        resampled: the slope, then its value in each bootstrap resample of patients.
        without_fold: (repeats · folds,) the slope without each outer test fold of each repeat.
        outer: number of outer folds.
        ranks: AUC or C of the model.

    Returns:
        The estimate; its interval is NaN where no resample has a slope.

    Example:
        >>> resampled = np.array([1.0, 0.8, 0.9, 1.1, 1.2])
        >>> found = slope_estimate(resampled, np.full(5, 1.0), 5, Estimate(0.7, 0.6, 0.8))
        >>> round(found.low, 2), round(found.high, 2)
        (0.81, 1.19)
    """
    known = without_fold[~np.isnan(without_fold)]
    pseudo_values = len(known) * resampled[0] - (len(known) - 1) * known
    found = estimate(resampled, pseudo_values, outer)
    if printed(ranks.low) <= 0.5 <= printed(ranks.high):
        return Estimate(found.value, min(found.low, 0.0), max(found.high, 0.0))
    return found
