"""Owns the Cox model as a scikit-learn estimator over lifelines, kept as plain arrays once fitted.

An outcome is a structured array with fields ``event`` (bool) and ``time`` (float).
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.exceptions import ConvergenceError, ConvergenceWarning
from sklearn.base import BaseEstimator

from pancseg.modelling.estimators.cox_solver import newton_cox

SURVIVAL = np.dtype([("event", "?"), ("time", "f8")])


def survival_outcome(event: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return events and times as one structured array."""
    found = np.empty(len(time), dtype=SURVIVAL)
    found["event"], found["time"] = event, time
    return found


class CoxElasticNet(BaseEstimator):
    """lifelines' ``CoxPHFitter`` with an elastic-net penalty (Breslow baseline).

    Args:
        penalizer: strength, per patient, as lifelines counts it.
        l1_ratio: 0 ridge, 1 lasso.
        exact: fit by lifelines; False: by :mod:`cox_newton` alone, quick enough for tuning.

    Attributes:
        coef_: (p,) log hazard ratios. ``mean_``: (p,) of the training rows.
        times_, cumulative_hazard_: the baseline's steps, at ``mean_``.
    """

    def __init__(self, penalizer: float = 0.1, l1_ratio: float = 0.5, exact: bool = True) -> None:
        self.penalizer, self.l1_ratio, self.exact = penalizer, l1_ratio, exact

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Fit; a model that does not converge is fitted once more with ten times the penalty."""
        self.mean_ = x.mean(axis=0) if x.shape[1] else np.zeros(0)
        varied = np.ptp(x, axis=0) > 1e-12 if x.shape[1] else np.zeros(0, bool)
        self.coef_ = np.zeros(x.shape[1])
        if varied.any():
            self.coef_[varied] = self._coefficients(x[:, varied], y)
        self._baseline(y, np.exp(self._log_hazard(x)))
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) log partial hazards: the higher, the sooner."""
        return self._log_hazard(x)

    def predict_survival(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return (n, times) probabilities to be event-free at each time."""
        place = np.searchsorted(self.times_, times, side="right")
        hazard = np.concatenate([[0.0], self.cumulative_hazard_])[place]
        return np.asarray(np.exp(-np.exp(self._log_hazard(x))[:, None] * hazard[None, :]))

    def _log_hazard(self, x: np.ndarray) -> np.ndarray:
        # Clipped, as a patient far outside the training rows must not overflow.
        return np.asarray(np.clip((x - self.mean_) @ self.coef_, -30, 30))

    def _coefficients(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        start = newton_cox(x, y, self.penalizer, self.l1_ratio)
        if not self.exact:
            return start
        frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])])
        frame["time"], frame["event"] = y["time"], y["event"].astype(int)
        for penalizer in (self.penalizer, max(self.penalizer, 0.01) * 10):
            model = CoxPHFitter(penalizer=penalizer, l1_ratio=self.l1_ratio)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.filterwarnings("error", ".*failed to converge", ConvergenceWarning)
                try:  # on a copy, as lifelines works in the array that it is given
                    model.fit(frame, "time", "event", initial_point=start.copy())
                except (ConvergenceError, ConvergenceWarning, np.linalg.LinAlgError):
                    continue
            found = model.params_.to_numpy(dtype=float)
            # lifelines rounds the corner of |β|: what the quick solver has as 0 it leaves near 0.
            nothing = np.where(start == 0, 1e-4, 1e-6)
            return np.where(np.abs(found) < nothing, 0.0, found)
        return start

    def _baseline(self, y: np.ndarray, relative: np.ndarray) -> None:
        """Keep Breslow's cumulative baseline hazard."""
        self.times_ = np.unique(y["time"][y["event"]])
        deaths = np.array([(y["time"][y["event"]] == t).sum() for t in self.times_])
        order = np.argsort(y["time"], kind="stable")
        at_risk = np.cumsum(relative[order][::-1])[::-1]
        first = np.searchsorted(y["time"][order], self.times_, side="left")
        self.cumulative_hazard_ = np.cumsum(deaths / at_risk[first])


class NoPredictors(BaseEstimator):
    """Chance: everyone's risk is the same, the Kaplan–Meier curve of the training rows."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Estimate the curve."""
        curve = KaplanMeierFitter().fit(y["time"], y["event"]).survival_function_
        self.times_, self.survival_ = curve.index.to_numpy(float), curve.iloc[:, 0].to_numpy(float)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return zeros."""
        return np.zeros(len(x))

    def predict_survival(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return the same curve for all."""
        place = np.searchsorted(self.times_, times, side="right") - 1
        return np.tile(self.survival_[place.clip(min=0)], (len(x), 1))


def score_test(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the score statistic of each column's own Cox model at zero: (p,), chi-squared.

    For two groups without ties it is the log-rank statistic. Ties as Breslow.
    """
    order = np.argsort(-y["time"], kind="stable")
    time, event, z = y["time"][order], y["event"][order], x[order] - x.mean(axis=0)
    last_of_tie = np.searchsorted(-time, -time, side="right") - 1
    n = np.arange(1.0, len(time) + 1)[last_of_tie][event, None]
    first, second = np.cumsum(z, axis=0)[last_of_tie], np.cumsum(z * z, axis=0)[last_of_tie]
    mean = first[event] / n
    u = (z[event] - mean).sum(axis=0)
    v = (second[event] / n - mean**2).sum(axis=0)
    return np.asarray(np.where(v > 1e-12, u * u / np.maximum(v, 1e-12), 0.0))


def censoring_survival(y: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the probability to be uncensored after each time; events precede at ties.

    As scikit-survival counts it: censorings at a time are in its own value.
    """
    censored = ~y["event"]
    steps = np.unique(y["time"][censored])
    factors = []
    for t in steps:
        ties = (y["time"] == t) & y["event"]
        at_risk = (y["time"] >= t).sum() - ties.sum()
        factors.append(1 - (censored & (y["time"] == t)).sum() / at_risk)
    curve = np.concatenate([[1.0], np.cumprod(factors)])
    return np.asarray(curve[np.searchsorted(steps, times, side="right")])


def kaplan_meier(y: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return Kaplan–Meier's probability to be event-free at each time."""
    curve = NoPredictors().fit(np.empty((len(y), 0)), y)
    return np.asarray(curve.predict_survival(np.empty((1, 0)), times)[0])


def as_frame(y: np.ndarray) -> pd.DataFrame:
    """Return an outcome as a table with columns event (0/1) and time."""
    columns: dict[str, Any] = {"event": y["event"].astype(int), "time": y["time"]}
    return pd.DataFrame(columns)
