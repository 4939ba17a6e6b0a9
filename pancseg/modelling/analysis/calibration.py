"""Calibrate the out-of-fold predictions of a model against what was observed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pancseg.modelling.analysis.performance import MOST_REPEATS, Judge
from pancseg.modelling.analysis.predicted_risks import risks
from pancseg.modelling.validation.calibration import (
    SmoothCurve,
    cox_slope,
    in_the_large,
    logistic_line,
    smooth_curve,
)
from pancseg.modelling.validation.measures import Estimate, estimate
from pancseg.modelling.validation.observed_expected import observed_over_expected
from pancseg.modelling.validation.slope_interval import slope_estimate


@dataclass(frozen=True)
class Calibration:
    """How well predicted risks fit what was observed.

    Attributes:
        slope: of the outcome on the linear predictor; below 1, predictions are too extreme.
        intercept: log odds with the slope fixed at 1 (calibration-in-the-large); NaN for survival.
        ratios: horizon → observed over expected; the only horizon of a class is 0.
        curves: horizon → smoothed curve; none where predictions do not vary.
    """

    slope: Estimate
    intercept: Estimate
    ratios: dict[float, Estimate]
    curves: dict[float, SmoothCurve]


def calibration(judge: Judge, name: str, ranks: Estimate) -> Calibration:
    """Return the calibration of a model's out-of-fold predictions.

    It is of the predictions of all repeats (ten at most). Predictions are not averaged over repeats
    first: the saved model is a single model, and averages are less extreme. Subtype: the slope of a
    logistic regression of the class on the logit of its predicted probability, and the intercept
    with the slope fixed at 1. Survival: the slope is the coefficient of the log hazard in a Cox
    model stratified by fold. The interval of the slope is that of :mod:`.slope_interval`; the
    intercept's is the bootstrap's (measured: docs/log.md, 2026-12-01).

    Args:
        judge: has the predictions.
        name: of the model.
        ranks: AUC or C of the model.
    """
    plan, validation = judge.plan, judge.validation
    model = validation.models[name]
    scores = model.score[:MOST_REPEATS]
    count = len(scores)
    y, weights = np.tile(plan.y, count), np.tile(judge.weights, (1, count))
    strata = judge.strata.ravel()
    without_fold = (strata != np.arange(count * plan.outer)[:, None]).astype(float)
    ratios, curves = {}, {}
    for horizon, risk, status in risks(judge, name):
        mean = risk.mean(axis=0)
        ratios[horizon] = estimate(observed_over_expected(plan.y, mean, judge.weights, horizon))
        curve = smooth_curve(risk, status, judge.weights)
        if curve is not None:
            curves[horizon] = curve
    if y.dtype.names is None:
        slope, _ = logistic_line(y, scores.ravel(), weights)
        folds, _ = logistic_line(y, scores.ravel(), without_fold)
        intercept = in_the_large(y, scores.ravel(), weights)
    else:
        slope = cox_slope(y, scores.ravel(), strata, weights)
        folds = cox_slope(y, scores.ravel(), strata, without_fold)
        intercept = np.full(len(slope), np.nan)
    by_slope = slope_estimate(slope, folds, plan.outer, ranks)
    return Calibration(by_slope, estimate(intercept), ratios, curves)
