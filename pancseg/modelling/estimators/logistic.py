"""Logistic regression with an elastic-net or ridge penalty, by proximal Newton steps.

The objective is −log likelihood per patient plus λ · (α · Σ|β| + (1 − α) / 2 · Σβ²); the intercept
has no penalty. scikit-learn's solvers have no data-dependent λ, and its elastic net needs hundreds
of passes where Newton needs a few steps.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from pancseg.modelling.estimators.cox_solver import minimum
from pancseg.modelling.estimators.rotation import rotated

_STEPS, _SETTLED, _NO_RISE = 50, 1e-8, 1e-12


def newton_logistic(x: np.ndarray, y: np.ndarray, l1: float, l2: float) -> tuple[np.ndarray, float]:
    """Return (p,) log odds ratios and the intercept.

    Args:
        x: (n, p) values of similar scale.
        y: (n,) class, 0 or 1.
        l1: weight of Σ|β|.
        l2: weight of Σβ² / 2.
    """
    z = np.column_stack([np.ones(len(x)), x])
    free = np.arange(z.shape[1]) == 0
    lasso, ridge = np.where(free, 0.0, l1), np.where(free, 0.0, l2)
    beta = np.zeros(z.shape[1])
    share = np.clip(y.mean(), 1e-6, 1 - 1e-6)
    beta[0] = np.log(share / (1 - share))
    value = _objective(beta, z, y, lasso, ridge)
    for _ in range(_STEPS):
        p = expit(z @ beta)
        gradient = z.T @ (p - y) / len(y)
        curved = np.maximum(p * (1 - p), 1e-6)
        hessian = (z * curved[:, None]).T @ z / len(y)
        target = minimum(beta, gradient, hessian, lasso, ridge)
        step = 1.0
        while True:
            moved = beta + step * (target - beta)
            next_value = _objective(moved, z, y, lasso, ridge)
            if next_value <= value + _NO_RISE or step < 1e-4:
                break
            step /= 2
        if not next_value <= value + _NO_RISE:
            break
        change = np.abs(moved - beta).max()
        beta, value = moved, next_value
        if change < _SETTLED:
            break
    return beta[1:], float(beta[0])


def _objective(
    beta: np.ndarray, z: np.ndarray, y: np.ndarray, lasso: np.ndarray, ridge: np.ndarray
) -> float:
    eta = z @ beta
    loss = (np.logaddexp(0, eta) - y * eta).mean()
    return float(loss + lasso @ np.abs(beta) + ridge @ (beta**2) / 2)


class LogisticModel(ClassifierMixin, BaseEstimator):
    """A fitted logistic regression.

    Attributes:
        coef_: (p,) log odds ratios.
        intercept_: log odds where all columns are 0.
        classes_: 0 and 1.
    """

    coef_: np.ndarray
    intercept_: float

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) log odds of class 1."""
        return np.asarray(x @ self.coef_ + self.intercept_)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, 2) probabilities of class 0 and 1."""
        p = expit(self.decision_function(x))
        return np.column_stack([1 - p, p])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) the more probable class."""
        return (self.decision_function(x) > 0).astype(int)


class LogisticElasticNet(LogisticModel):
    """A logistic regression with an elastic-net penalty.

    Args:
        fraction: of the penalty from which on all coefficients are 0; below 1 some column is used.
        l1_ratio: share of the lasso; above 0.
    """

    def __init__(self, fraction: float = 0.1, l1_ratio: float = 0.5) -> None:
        self.fraction, self.l1_ratio = fraction, l1_ratio

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Fit coefficients and intercept."""
        self.classes_ = np.array([0, 1])
        steepest = np.abs((x - x.mean(axis=0)).T @ (y - y.mean())).max(initial=0.0) / len(y)
        penalty = self.fraction * steepest / self.l1_ratio
        self.coef_, self.intercept_ = newton_logistic(
            x, y, penalty * self.l1_ratio, penalty * (1 - self.l1_ratio)
        )
        return self


class LogisticRidge(LogisticModel):
    """A logistic regression with a ridge penalty, for any number of columns.

    Args:
        spread: variance of the log odds between patients that is expected beforehand; each of p
            columns of variance 1 has a normal prior of variance ``spread`` / p.
    """

    def __init__(self, spread: float = 1.0) -> None:
        self.spread = spread

    def fit(self, x: np.ndarray, y: np.ndarray, shared: dict[str, Any] | None = None) -> Self:
        """Fit coefficients and intercept.

        Args:
            x: (n, p) scaled columns.
            y: (n,) class, 0 or 1.
            shared: results that candidates fitted to the same rows have in common.
        """
        self.classes_ = np.array([0, 1])
        centre = x.mean(axis=0)
        scores, basis = rotated(x - centre, shared)
        l2 = max(x.shape[1], 1) / (self.spread * len(x))
        beta, intercept = newton_logistic(scores, y, 0.0, l2)
        self.coef_ = basis @ beta
        self.intercept_ = float(intercept - centre @ self.coef_)
        return self


class LogisticFew(LogisticModel):
    """A logistic regression of a few columns, none of which is dropped.

    Its ridge penalty, of a tenth of a patient, only keeps columns that separate the classes finite.

    Args:
        rising: whether the last column's coefficient may not be below 0.
    """

    def __init__(self, rising: bool = False) -> None:
        self.rising = rising

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Fit coefficients and intercept."""
        self.classes_ = np.array([0, 1])
        weak = 0.1 / len(x)
        self.coef_, self.intercept_ = newton_logistic(x, y, 0.0, weak)
        if self.rising and self.coef_[-1] < 0:
            others, self.intercept_ = newton_logistic(x[:, :-1], y, 0.0, weak)
            self.coef_ = np.append(others, 0.0)
        return self
