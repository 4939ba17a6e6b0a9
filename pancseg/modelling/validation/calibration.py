"""Estimate calibration slopes and intercepts under bootstrap weights, all resamples at once.

The first weighting gives the estimate itself (see :mod:`.measures`). A value is NaN where
predictions do not vary, where a resample has one class or no event, and where the slope does not
converge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pancseg.modelling.estimators.risk_sets import RiskSets, risk_sets
from pancseg.modelling.validation.measures import Estimate, estimate, unbiased

_SPAN, _POINTS = 0.75, 40
SMOOTHED = 200
"""Resamples that smooth curves use."""
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


def in_the_large(y: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (b,) intercepts of the class on the logit of its prediction with the slope fixed at 1.

    Above 0, the class is more frequent than predicted: calibration-in-the-large.

    Args:
        y: (n,) 0 or 1.
        probability: (n,) predicted probabilities of class 1.
        weights: (b, n) bootstrap weights.
    """
    x = _logits(probability)
    found, change = np.zeros(len(weights)), np.full(len(weights), np.inf)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(found[:, None] + x, -500, 500)))
        curved = (weights * p * (1 - p)).sum(axis=1)
        change = (weights * (y - p)).sum(axis=1) / np.maximum(curved, 1e-12)
        change = np.clip(change, -_LONGEST, _LONGEST)
        found = found + change
        if (np.abs(change) < _SETTLED).all():
            break
    return np.where(np.abs(change) < 1e-4, found, np.nan)


@dataclass(frozen=True)
class SmoothCurve:
    """Observed against predicted risk, smoothed.

    Attributes:
        risk: (g,) predicted risks.
        observed: (g,) smoothed observed risk.
        low: (g,) lower end of its pointwise 95 % interval.
        high: (g,) upper end.
        ici: integrated calibration index, the mean distance of the curve from the diagonal over
            patients (Austin and Steyerberg 2019, Stat Med 38:4051).
    """

    risk: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ici: Estimate


def smooth_curve(risk: np.ndarray, status: np.ndarray, weights: np.ndarray) -> SmoothCurve | None:
    """Return the calibration curve by local linear regression (span 0.75, tricube weights).

    It is that of R's ``loess`` with ``degree = 1`` and ``surface = "direct"``, at 40 risks from the
    1 % to the 99 % quantile.

    Args:
        risk: (repeats, n) predicted risks.
        status: (repeats, n, 2) weights of a patient with and without the event; both 0 where it is
            not known (see :mod:`.net_benefit`).
        weights: (b, n) bootstrap weights, of which 200 are used.

    Returns:
        The curve; None where predictions do not vary.
    """
    if np.ptp(risk) < 1e-9:
        return None
    weights = weights[: 1 + SMOOTHED]
    low, high = np.quantile(risk, [0.01, 0.99])
    grid = np.linspace(low, high, _POINTS)
    nearest = max(int(_SPAN * risk.size), 1)
    known, died = status.sum(axis=2), status[:, :, 0]
    sums = np.zeros((5, _POINTS, risk.shape[1]))
    for g, at in enumerate(grid):
        distance = risk - at
        reach = max(np.partition(np.abs(distance), nearest - 1, axis=None)[nearest - 1], 1e-6)
        kernel = (1 - np.clip(np.abs(distance) / reach, 0, 1) ** 3) ** 3
        for k in range(3):
            sums[k, g] = (kernel * known * distance**k).sum(axis=0)
        for k in range(2):
            sums[3 + k, g] = (kernel * died * distance**k).sum(axis=0)
    s0, s1, s2, t0, t1 = (weights @ part.T for part in sums)
    determinant = s0 * s2 - s1**2
    usable = determinant > 1e-9 * np.maximum(s0 * s2, 1e-300)
    with np.errstate(all="ignore"):
        curves = np.where(usable, (s2 * t0 - s1 * t1) / determinant, t0 / s0).clip(0, 1)
    ends = np.full((2, _POINTS), np.nan)
    near = ~np.isnan(curves[1:]).all(axis=0)  # between two risks alone there is nobody
    ends[:, near] = np.nanpercentile(curves[1:, near], [2.5, 97.5], axis=0)
    apart = np.empty((len(weights), risk.shape[1]))
    for b, curve in enumerate(curves):
        apart[b] = np.abs(np.interp(risk, grid, curve) - risk).mean(axis=0)
    total = weights.sum(axis=1)
    ici = (weights * apart).sum(axis=1) / total
    index = estimate(unbiased(ici)).within(0, 1)
    return SmoothCurve(grid, curves[0], ends[0], ends[1], index)


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
