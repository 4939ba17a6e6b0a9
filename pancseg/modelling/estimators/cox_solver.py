"""Owns a quick elastic-net Cox fit for few columns: proximal Newton steps, Breslow's ties.

Minimises what lifelines minimises (−log partial likelihood per patient plus the penalty) and takes
milliseconds where lifelines takes half a second; it tunes penalties and gives lifelines its start.
"""

from __future__ import annotations

import numpy as np

_STEPS, _SWEEPS, _ENOUGH = 30, 200, 1e-7


def newton_cox(x: np.ndarray, y: np.ndarray, penalizer: float, l1_ratio: float) -> np.ndarray:
    """Return (p,) log hazard ratios of centred columns x: (n, p)."""
    order = np.argsort(-y["time"], kind="stable")
    time, event, z = y["time"][order], y["event"][order], x[order] - x.mean(axis=0)
    risk_set = (np.searchsorted(-time, -time, side="right") - 1)[event]
    l1, l2 = penalizer * l1_ratio, penalizer * (1 - l1_ratio)
    beta = np.zeros(x.shape[1])
    value = _objective(beta, z, event, risk_set, l1, l2)
    for _ in range(_STEPS):
        gradient, hessian = _derivatives(beta, z, event, risk_set)
        target = _quadratic(beta, gradient, hessian, l1, l2)
        step = 1.0
        while True:
            moved = beta + step * (target - beta)
            next_value = _objective(moved, z, event, risk_set, l1, l2)
            if next_value <= value + 1e-12 or step < 1e-4:
                break
            step /= 2
        change = np.abs(moved - beta).max(initial=0.0)
        if next_value > value + 1e-12:
            break
        beta, value = moved, next_value
        if change < _ENOUGH:
            break
    return beta


def _objective(
    beta: np.ndarray, z: np.ndarray, event: np.ndarray, risk_set: np.ndarray, l1: float, l2: float
) -> float:
    eta = z @ beta
    top = eta.max(initial=0.0)
    total = np.log(np.cumsum(np.exp(eta - top))[risk_set]) + top
    penalty = l1 * np.abs(beta).sum() + l2 / 2 * (beta**2).sum()
    return float((total - eta[event]).sum() / len(z) + penalty)


def _derivatives(
    beta: np.ndarray, z: np.ndarray, event: np.ndarray, risk_set: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and Hessian of the unpenalised part."""
    eta = z @ beta
    w = np.exp(eta - eta.max(initial=0.0))
    total = np.cumsum(w)[risk_set]
    mean = np.cumsum(w[:, None] * z, axis=0)[risk_set] / total[:, None]
    # Sum over events of the weighted second moments: each row counts in all its risk sets.
    share = np.zeros(len(z))
    np.add.at(share, risk_set, 1 / total)
    counted = w * np.cumsum(share[::-1])[::-1]
    hessian = (z * counted[:, None]).T @ z - mean.T @ mean
    return (mean - z[event]).sum(axis=0) / len(z), hessian / len(z)


def _quadratic(
    beta: np.ndarray, gradient: np.ndarray, hessian: np.ndarray, l1: float, l2: float
) -> np.ndarray:
    """Minimise the quadratic model and the penalty by coordinates."""
    found = beta.copy()
    slope = gradient.copy()  # of the quadratic at ``found``
    curvature = np.diag(hessian).clip(min=1e-9)
    for _ in range(_SWEEPS):
        largest = 0.0
        for j in range(len(found)):
            wanted = curvature[j] * found[j] - slope[j]
            new = np.sign(wanted) * max(abs(wanted) - l1, 0.0) / (curvature[j] + l2)
            change = new - found[j]
            if change:
                slope += hessian[:, j] * change
                found[j] = new
                largest = max(largest, abs(change))
        if largest < _ENOUGH:
            break
    return found
