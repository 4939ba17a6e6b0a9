"""Correct the calibration of a saved model by new patients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from pancseg.modelling.estimators.cox import CoxElasticNet
from pancseg.modelling.validation.calibration import in_the_large, logistic_line


class ClassRecalibration(NamedTuple):
    """Corrections of a model of a class.

    Attributes:
        shift: to be added to the log odds, where the slope is kept.
        intercept: of the corrected log odds, intercept + slope × log odds.
        slope: likewise.
    """

    shift: float
    intercept: float
    slope: float


def recalibrated_class(y: np.ndarray, log_odds: np.ndarray) -> ClassRecalibration:
    """Return the corrections that fit new patients best."""
    one = np.ones((1, len(y)))
    slope, intercept = logistic_line(y, expit(log_odds), one)
    return ClassRecalibration(
        float(in_the_large(y, expit(log_odds), one)[0]), float(intercept[0]), float(slope[0])
    )


class SurvivalRecalibration(NamedTuple):
    """A corrected survival model: event-free = baseline ** exp(slope × (log hazard − centre)).

    Attributes:
        slope: factor of the log hazard.
        centre: mean log hazard of the new patients.
        baseline: (horizons,) probability of being event-free at ``centre``.
    """

    slope: float
    centre: float
    baseline: np.ndarray


def recalibrated_survival(
    y: np.ndarray, log_hazard: np.ndarray, horizons: np.ndarray
) -> SurvivalRecalibration:
    """Return the slope and baseline survival that fit new patients best (Breslow's estimate)."""
    x = log_hazard[:, None]
    fitted = CoxElasticNet(0.0, 0.0).fit(x, y)
    centre = float(fitted.mean_[0])
    at_centre = fitted.predict_survival(np.array([[centre]]), horizons)[0]
    return SurvivalRecalibration(float(fitted.coef_[0]), centre, at_centre)
