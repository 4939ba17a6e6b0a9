"""The Cox model as a scikit-learn estimator, and the curve of Kaplan and Meier.

An outcome is an array as :func:`.survival_array.survival_outcome` makes it.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from pancseg.modelling.estimators.cox_solver import newton_cox, null_gradient
from pancseg.modelling.estimators.risk_sets import risk_sets
from pancseg.modelling.estimators.rotation import rotated


class CoxElasticNet(BaseEstimator):
    """A Cox model with an elastic-net penalty, Efron's handling of ties and a baseline hazard.

    Args:
        penalizer: strength of the penalty, per patient; columns are assumed to be scaled.
        l1_ratio: 0 is ridge, 1 is lasso.

    Attributes:
        coef_: (p,) log hazard ratios.
        mean_: (p,) means of the training rows.
        times_: event times, at which the baseline hazard steps up.
        cumulative_hazard_: cumulative baseline hazard from each of these times on, for a patient
            at ``mean_``.
    """

    def __init__(self, penalizer: float = 0.1, l1_ratio: float = 0.5) -> None:
        self.penalizer, self.l1_ratio = penalizer, l1_ratio

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Fit coefficients (0 for a column that does not vary) and the baseline hazard."""
        self.mean_ = x.mean(axis=0) if x.shape[1] else np.zeros(0)
        varied = np.ptp(x, axis=0) > 1e-12 if x.shape[1] else np.zeros(0, bool)
        self.coef_ = np.zeros(x.shape[1])
        if varied.any():
            self.coef_[varied] = newton_cox(x[:, varied], y, self.penalizer, self.l1_ratio)
        return self._with_baseline(x, y)

    def _with_baseline(self, x: np.ndarray, y: np.ndarray) -> Self:
        at_risk = risk_sets(y)
        relative = np.exp(self._log_hazard(x))[at_risk.order]
        self.times_, self.cumulative_hazard_ = at_risk.baseline(relative)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) log partial hazards; higher values mean earlier events."""
        return self._log_hazard(x)

    def predict_survival(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return (n, times) probabilities of being event-free at each time."""
        step = np.searchsorted(self.times_, times, side="right")
        hazard = np.concatenate([[0.0], self.cumulative_hazard_])[step]
        return np.asarray(np.exp(-np.exp(self._log_hazard(x))[:, None] * hazard[None, :]))

    def _log_hazard(self, x: np.ndarray) -> np.ndarray:
        # Clipped so that a patient far outside the training rows does not overflow.
        return np.asarray(np.clip((x - self.mean_) @ self.coef_, -30, 30))


class CoxNet(CoxElasticNet):
    """A Cox model whose elastic-net penalty is a fraction of the one that leaves no column.

    Args:
        fraction: of the penalty from which on all coefficients are 0; below 1 some column is used.
        l1_ratio: share of the lasso; above 0.
    """

    def __init__(self, fraction: float = 0.1, l1_ratio: float = 0.5) -> None:
        self.fraction, self.l1_ratio = fraction, l1_ratio

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Fit coefficients and the baseline hazard."""
        steepest = np.abs(null_gradient(x, y)).max(initial=0.0)
        self.penalizer = self.fraction * steepest / self.l1_ratio
        return super().fit(x, y)


class CoxRidge(CoxElasticNet):
    """A Cox model with a ridge penalty, for any number of columns.

    Args:
        spread: variance of the log hazard between patients that is expected beforehand; each of p
            columns of variance 1 has a normal prior of variance ``spread`` / p.
    """

    def __init__(self, spread: float = 1.0) -> None:
        self.spread = spread

    def fit(self, x: np.ndarray, y: np.ndarray, shared: dict[str, Any] | None = None) -> Self:
        """Fit coefficients and the baseline hazard.

        Args:
            x: (n, p) scaled columns.
            y: (n,) events and times.
            shared: results that candidates fitted to the same rows have in common.
        """
        self.mean_ = x.mean(axis=0)
        scores, basis = rotated(x - self.mean_, shared)
        penalty = max(x.shape[1], 1) / (self.spread * len(x))
        self.coef_ = basis @ newton_cox(scores, y, penalty, 0.0)
        return self._with_baseline(x, y)


class CoxFew(CoxElasticNet):
    """A Cox model of a few columns, none of which is dropped.

    Its ridge penalty, of a tenth of a patient, only keeps columns that order all events finite.

    Args:
        rising: whether the last column's coefficient may not be below 0.
    """

    def __init__(self, rising: bool = False) -> None:
        self.rising = rising

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Fit coefficients and the baseline hazard."""
        self.penalizer, self.l1_ratio = 0.1 / len(x), 0.0
        super().fit(x, y)
        if self.rising and self.coef_[-1] < 0:
            super().fit(np.column_stack([x[:, :-1], np.full(len(x), x[:, -1].mean())]), y)
        return self


class NoPredictors(BaseEstimator):
    """The model of chance: every patient has the Kaplan–Meier curve of the training rows."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Estimate the curve."""
        self.times_, deaths, at_risk = _life_table(y)
        self.survival_ = np.cumprod(1 - deaths / at_risk)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return zeros."""
        return np.zeros(len(x))

    def predict_survival(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return the same curve for every patient, as an (n, times) array."""
        step = np.searchsorted(self.times_, times, side="right")
        return np.tile(np.concatenate([[1.0], self.survival_])[step], (len(x), 1))


def censoring_survival(y: np.ndarray, times: np.ndarray, before: bool = False) -> np.ndarray:
    """Return the probability of being uncensored after each time; at ties events come first.

    An event is seen if its patient was not censored *before* it, so the weight of an event at t is
    1 / G(t−); who outlives a horizon t was not censored by then, and has the weight 1 / G(t). Only
    so do the weighted events sum up to 1 − Kaplan–Meier at ties too (Satten and Datta 2001, Am
    Stat 55:207). R does the same; scikit-survival has 1 / G(t) for both, which counts events as too
    many where patients are censored at the same times.

    Args:
        y: (n,) events and times.
        times: (t,) times.
        before: whether censorings at a time itself are left out: G(t−).
    """
    event, ordered = np.sort(y["time"][y["event"]]), np.sort(y["time"])
    steps, censored = np.unique(y["time"][~y["event"]], return_counts=True)
    ties = np.searchsorted(event, steps, side="right") - np.searchsorted(event, steps, side="left")
    at_risk = len(y) - np.searchsorted(ordered, steps, side="left") - ties
    curve = np.concatenate([[1.0], np.cumprod(1 - censored / at_risk)])
    return np.asarray(curve[np.searchsorted(steps, times, side="left" if before else "right")])


def kaplan_meier(y: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the Kaplan–Meier probability of being event-free at each time."""
    curve = NoPredictors().fit(np.empty((len(y), 0)), y)
    return np.asarray(curve.predict_survival(np.empty((1, 0)), times)[0])


def _life_table(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return event times, the number of events at each, and the number of patients at risk."""
    times, deaths = np.unique(y["time"][y["event"]], return_counts=True)
    at_risk = len(y) - np.searchsorted(np.sort(y["time"]), times, side="left")
    return times, deaths, at_risk
