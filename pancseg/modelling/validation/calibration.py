"""Estimate calibration slopes and intercepts under bootstrap weights, all resamples at once.

The first weighting gives the estimate itself (see :mod:`.measures`). A value is NaN where
predictions do not vary, where a resample has one class or no event, and where the slope does not
converge.
"""

from __future__ import annotations

import numpy as np

from pancseg.modelling.estimators.risk_sets import RiskSets, risk_sets

_STEPS, _LONGEST, _SETTLED, _LARGEST = 50, 2.0, 1e-9, 1e4


def logistic_line(
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (b,) slopes and intercepts of the class on the logit of its prediction (Cox 1958).

    Args:
        y: (n,) 0 or 1.
        probability: (n,) predicted probabilities of class 1.
        weights: (b, n) bootstrap weights.
    """
    x = _logits(probability)
    if np.ptp(x) < 1e-9:
        return _all_nan(weights), _all_nan(weights)
    slope, intercept = np.zeros((2, len(weights)))
    change = np.full(len(weights), np.inf)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(intercept[:, None] + slope[:, None] * x, -500, 500)))
        residual, curved = weights * (y - p), weights * p * (1 - p)
        g0, g1 = residual.sum(axis=1), residual @ x
        h00, h01, h11 = curved.sum(axis=1), curved @ x, curved @ (x * x)
        determinant = np.maximum(h00 * h11 - h01**2, 1e-12)
        d0 = np.clip((h11 * g0 - h01 * g1) / determinant, -_LONGEST, _LONGEST)
        d1 = np.clip((h00 * g1 - h01 * g0) / determinant, -_LONGEST, _LONGEST)
        intercept, slope = intercept + d0, slope + d1
        change = np.maximum(np.abs(d0), np.abs(d1))
        if (change < _SETTLED).all():
            break
    failed = ~(change < 1e-4)
    return np.where(failed, np.nan, slope), np.where(failed, np.nan, intercept)


def cox_slope(
    y: np.ndarray, score: np.ndarray, strata: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return (b,) coefficients of the predicted log hazard in a Cox model, with Efron's ties.

    Args:
        y: (n,) events and times.
        score: (n,) predicted log hazards.
        strata: (n,) rows of equal value share a baseline hazard (a fold: its rows share a model).
        weights: (b, n) bootstrap weights.
    """
    if np.ptp(score) < 1e-9:
        return _all_nan(weights)
    parts = [_stratum(y, score, np.flatnonzero(strata == s), weights) for s in np.unique(strata)]
    slope, change = np.zeros(len(weights)), np.full(len(weights), np.inf)
    for _ in range(_STEPS):
        gradient, curvature = np.zeros((2, len(weights)))
        for x, w, at_risk in parts:
            hazard = w * np.exp(np.clip(x * slope, -500, 500))
            total = np.maximum(at_risk.totals(hazard), 1e-300)
            mean = at_risk.totals(hazard * x) / total
            square = at_risk.totals(hazard * x * x) / total
            died = at_risk.tied_means(w[at_risk.event])
            gradient += (w * x)[at_risk.event].sum(axis=0) - (died * mean).sum(axis=0)
            curvature += (died * (square - mean**2)).sum(axis=0)
        change = np.clip(gradient / np.maximum(curvature, 1e-12), -_LONGEST, _LONGEST)
        slope = slope + change
        if (np.abs(change) < _SETTLED).all():
            break
    failed = ~(np.abs(change) < 1e-4) | (curvature < 1e-9) | (np.abs(slope) > _LARGEST)
    return np.where(failed, np.nan, slope)


def _stratum(
    y: np.ndarray, score: np.ndarray, rows: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, RiskSets]:
    """Return a stratum's scores (n, 1), weights (n, b), both latest first, and its risk sets."""
    at_risk = risk_sets(y[rows])
    rows = rows[at_risk.order]
    return (score[rows] - score.mean())[:, None], weights[:, rows].T, at_risk


def _logits(probability: np.ndarray) -> np.ndarray:
    """Return log odds of probabilities, clipped to 1e-6 … 1 − 1e-6."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)))


def _all_nan(weights: np.ndarray) -> np.ndarray:
    return np.full(len(weights), np.nan)
