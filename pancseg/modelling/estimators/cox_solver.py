"""Fit a Cox model with an elastic-net penalty by proximal Newton steps, with Efron's ties.

It minimises −log partial likelihood per patient plus
``penalizer`` · (``l1_ratio`` · Σ|β| + (1 − ``l1_ratio``) / 2 · Σβ²), as lifelines'
``CoxPHFitter`` does. Unlike lifelines it does not smooth |β|, so coefficients can be exactly 0.
"""

from __future__ import annotations

import numpy as np

from pancseg.modelling.estimators.risk_sets import RiskSets, risk_sets

_STEPS, _SWEEPS, _SETTLED = 50, 1000, 1e-8
_NO_RISE = 1e-12
_TINY = 1e-300


def newton_cox(x: np.ndarray, y: np.ndarray, penalizer: float, l1_ratio: float) -> np.ndarray:
    """Return (p,) log hazard ratios.

    Args:
        x: (n, p) values; scale columns first, as the penalty treats all coefficients alike.
        y: (n,) with fields ``event`` and ``time``.
        penalizer: strength of the penalty, per patient.
        l1_ratio: 0 is ridge, 1 is lasso.
    """
    at_risk = risk_sets(y)
    z = x[at_risk.order] - x.mean(axis=0)
    l1, l2 = penalizer * l1_ratio, penalizer * (1 - l1_ratio)
    beta = np.zeros(x.shape[1])
    value = _objective(beta, z, at_risk, l1, l2)
    for _ in range(_STEPS):
        gradient, hessian = _derivatives(beta, z, at_risk)
        target = minimum(beta, gradient, hessian, l1, l2)
        step = 1.0
        while True:
            moved = beta + step * (target - beta)
            next_value = _objective(moved, z, at_risk, l1, l2)
            if next_value <= value + _NO_RISE or step < 1e-4:
                break
            step /= 2
        if not next_value <= value + _NO_RISE:
            break
        change = np.abs(moved - beta).max(initial=0.0)
        beta, value = moved, next_value
        if change < _SETTLED:
            break
    return beta


def null_gradient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the (p,) gradient of −log partial likelihood per patient at β = 0."""
    at_risk = risk_sets(y)
    z = x[at_risk.order] - x.mean(axis=0)
    return _derivatives(np.zeros(x.shape[1]), z, at_risk)[0]


def partial_loss(score: np.ndarray, y: np.ndarray) -> float:
    """Return −log partial likelihood per patient of given log hazards."""
    at_risk = risk_sets(y)
    return _objective(np.ones(1), score[at_risk.order, None], at_risk, 0.0, 0.0)


def score_test(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (p,) chi-squared score statistics, each of a Cox model with one column, at β = 0.

    For two groups without ties this is the log-rank statistic.
    """
    at_risk = risk_sets(y)
    z = x[at_risk.order] - x.mean(axis=0)
    total = at_risk.totals(np.ones(len(z)))
    mean = at_risk.totals(z) / total[:, None]
    u = (z[at_risk.event] - mean).sum(axis=0)
    v = at_risk.sums_over_events(1 / total) @ (z * z) - (mean**2).sum(axis=0)
    return np.asarray(np.where(v > 1e-12, u * u / np.maximum(v, 1e-12), 0.0))


def _objective(beta: np.ndarray, z: np.ndarray, at_risk: RiskSets, l1: float, l2: float) -> float:
    eta = z @ beta
    top = eta.max(initial=0.0)
    total = np.log(np.maximum(at_risk.totals(np.exp(eta - top)), _TINY)) + top
    penalty = l1 * np.abs(beta).sum() + l2 / 2 * (beta**2).sum()
    return float((total - eta[at_risk.event]).sum() / len(z) + penalty)


def _derivatives(
    beta: np.ndarray, z: np.ndarray, at_risk: RiskSets
) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and Hessian of the unpenalised part."""
    eta = z @ beta
    w = np.exp(eta - eta.max(initial=0.0))
    total = np.maximum(at_risk.totals(w), _TINY)
    mean = at_risk.totals(w[:, None] * z) / total[:, None]
    # Second moments of all risk sets are summed row by row: one matrix product, not one per event.
    counted = w * at_risk.sums_over_events(1 / total)
    hessian = (z * counted[:, None]).T @ z - mean.T @ mean
    return (mean - z[at_risk.event]).sum(axis=0) / len(z), hessian / len(z)


def minimum(
    beta: np.ndarray,
    gradient: np.ndarray,
    hessian: np.ndarray,
    l1: float | np.ndarray,
    l2: float | np.ndarray,
) -> np.ndarray:
    """Minimise a quadratic model plus penalty: directly without L1, else by coordinates.

    Args:
        beta: (p,) where the model was made.
        gradient: (p,) of the model there.
        hessian: (p, p) of the model.
        l1: weight of |β|, of all coefficients or of each.
        l2: weight of β² / 2, likewise.
    """
    lasso, ridge = (np.broadcast_to(weight, beta.shape) for weight in (l1, l2))
    if not lasso.any():
        curved = hessian + np.diag(ridge)
        try:
            return np.asarray(beta - np.linalg.solve(curved, gradient + ridge * beta))
        except np.linalg.LinAlgError:  # columns that are combinations of others
            return np.asarray(beta - np.linalg.lstsq(curved, gradient + ridge * beta)[0])
    found = beta.copy()
    slope = gradient.copy()  # gradient of the quadratic model at ``found``
    curvature = np.diag(hessian).clip(min=1e-9)
    for _ in range(_SWEEPS):
        largest = 0.0
        for j in range(len(found)):
            wanted = curvature[j] * found[j] - slope[j]
            new = np.sign(wanted) * max(abs(wanted) - lasso[j], 0.0) / (curvature[j] + ridge[j])
            change = new - found[j]
            if change:
                slope += hessian[:, j] * change
                found[j] = new
                largest = max(largest, abs(change))
        if largest < _SETTLED:
            break
    return found
