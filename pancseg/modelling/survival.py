"""Define the models that predict survival, and the measures that they are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from pancseg.modelling.algorithm import Algorithm, Candidates, selected
from pancseg.modelling.estimators.cox import CoxFew, CoxNet, CoxRidge, NoPredictors, kaplan_meier
from pancseg.modelling.estimators.cox_solver import partial_loss, score_test
from pancseg.modelling.estimators.survival_forest import MartingaleForest
from pancseg.modelling.subtype import (
    NET_BENEFIT,
    SPREADS,
    TREE_COLUMNS,
    net_settings,
    wide_leaf,
)
from pancseg.modelling.validation import measures
from pancseg.modelling.validation.nested_cv import OutOfFold, ValidationResult
from pancseg.modelling.validation.net_benefit import net_benefit, status_at

HORIZONS = (0.25, 0.5, 0.75)
"""Quantiles of the event times at which models are judged: AUC, net benefit, calibration."""


def _many_linear(smallest: int, seed: int) -> Candidates:
    nets = (selected(score_test, k, CoxNet(fraction)) for k, fraction in net_settings(smallest))
    ridges = (CoxRidge(spread) for spread in SPREADS)
    return (*nets, *ridges)


def _few_linear(smallest: int, seed: int, rising: int = 0) -> Candidates:
    return (CoxFew(rising > 0),)


def _few_in_forest(smallest: int, seed: int, rising: int = 0) -> Candidates:
    return tuple(MartingaleForest(200, leaf, seed, rising > 0) for leaf in (wide_leaf(smallest), 6))


MODELS: dict[str, Algorithm] = {
    "elastic-net": Algorithm(score_test, _few_linear, _many_linear),
    "random-forest": Algorithm(score_test, _few_in_forest, columns=TREE_COLUMNS),
}


def chance() -> Candidates:
    """Return the model that gives every patient the Kaplan–Meier curve of the training rows."""
    return (NoPredictors(),)


@dataclass(frozen=True)
class SurvivalTask:
    """Prediction of time to an event; scores are log partial hazards.

    Attributes:
        times: (t,) times at which survival curves are evaluated.
    """

    times: tuple[float, ...]
    threshold_needs_inner: bool = False

    def predict(self, model: Any, x: np.ndarray) -> np.ndarray:
        """Return (n,) log partial hazards."""
        return np.asarray(model.predict(x))

    def linear(self, model: Any, x: np.ndarray) -> np.ndarray:
        """Return (n,) log partial hazards."""
        return self.predict(model, x)

    def curves(self, model: Any, x: np.ndarray) -> np.ndarray:
        """Return (n, t) survival probabilities at ``times``."""
        if isinstance(model, Pipeline):
            x, model = model[:-1].transform(x) if len(model) > 1 else x, model[-1]
        return np.asarray(model.predict_survival(x, np.asarray(self.times)))

    def loss(self, y: np.ndarray, score: np.ndarray, fold: np.ndarray) -> float:
        """Return −log partial likelihood per patient of log hazards from several inner folds.

        A proper score: unlike Harrell's C it tells predictions that are too extreme from good ones.
        """
        return partial_loss(score, y)

    def threshold(self, y: np.ndarray, inner: np.ndarray, training: np.ndarray) -> float:
        """Return the training rows' median risk."""
        return float(np.median(training))


def time_grid(y: np.ndarray) -> tuple[float, ...]:
    """Return the times of curves and of the integrated Brier score, the horizons among them.

    They run from the 5 % to the 90 % quantile of the event times. Using all patients for this is
    no leak: the times are a choice of the evaluation, and no model is fitted to them.
    """
    events = y["time"][y["event"]]
    grid = np.unique([*np.quantile(events, np.linspace(0.05, 0.9, 18)), *horizons(y)])
    return tuple(float(t) for t in grid)


def horizons(y: np.ndarray) -> list[float]:
    """Return the times at which models are judged: AUC, net benefit, calibration."""
    return [float(t) for t in np.unique(np.quantile(y["time"][y["event"]], HORIZONS))]


def middle_horizon(y: np.ndarray) -> float:
    """Return the horizon of the net benefit."""
    wanted = horizons(y)
    return wanted[len(wanted) // 2]


def risks_at(curves: np.ndarray, y: np.ndarray, time: float) -> np.ndarray:
    """Return the (repeats, n) predicted risks of an event by a time of the grid.

    Args:
        curves: (repeats, n, times) survival probabilities.
        y: (n,) outcomes that the grid was made from.
        time: one of the grid's times.
    """
    grid = np.asarray(time_grid(y))
    return np.asarray(1 - curves[:, :, int(np.argmin(np.abs(grid - time)))])


@dataclass(frozen=True)
class JudgedTimes:
    """Times that survival models are judged at.

    Attributes:
        grid: (t,) times of the curves.
        horizons: times of the AUC.
        horizon: time of the net benefit.
        threshold: risk at that time from which on a patient would be treated.
    """

    grid: np.ndarray
    horizons: tuple[float, ...]
    horizon: float
    threshold: float


def judged_times(y: np.ndarray) -> JudgedTimes:
    """Return the times for a cohort; the threshold is the mean risk at the middle horizon."""
    middle = middle_horizon(y)
    risk = 1 - float(kaplan_meier(y, np.array([middle]))[0])
    grid = np.asarray(time_grid(y))
    return JudgedTimes(grid, tuple(horizons(y)), middle, min(max(risk, 0.01), 0.99))


def survival_measures(
    y: np.ndarray,
    found: ValidationResult,
    model: OutOfFold,
    weights: np.ndarray,
    times: JudgedTimes,
) -> dict[str, np.ndarray]:
    """Return each measure under each bootstrap weighting (see :mod:`.validation.measures`)."""
    folds = [
        (r, np.flatnonzero(found.folds[r] == f), np.flatnonzero(found.folds[r] != f))
        for r in range(len(found.folds))
        for f in np.unique(found.folds[r])
    ]
    scores, grid = model.score, times.grid
    result = {
        "Harrell's C": measures.pair_measure(
            ((t, scores[r, t], measures.harrell_pairs(y[t])) for r, t, _ in folds), weights
        ),
        "Uno's C": measures.pair_measure(
            ((t, scores[r, t], measures.uno_pairs(y[t], y[o], grid[-1])) for r, t, o in folds),
            weights,
        ),
    }
    for horizon in times.horizons:
        result[f"AUC at {horizon:.3g}"] = measures.pair_measure(
            ((t, scores[r, t], measures.horizon_pairs(y[t], y[o], horizon)) for r, t, o in folds),
            weights,
        )
    if model.curves is None:
        return result
    repeats, at = len(found.folds), np.array([times.threshold])
    then = int(np.argmin(np.abs(grid - times.horizon)))
    brier, gained = np.zeros((2, len(y)))
    for r, test, train in folds:
        curves = model.curves[r, test]
        if len(grid) > 1:
            errors = measures.squared_errors(y[test], y[train], curves, grid)
            brier[test] += measures.integrated(errors, grid) / repeats
        status = status_at(y[test], y[train], times.horizon)
        gained[test] += net_benefit(1 - curves[:, then], status, at)[:, 0] / repeats
    if len(grid) > 1:
        result["integrated Brier"] = measures.mean_measure(brier, weights)
    result[NET_BENEFIT] = measures.mean_measure(gained, weights)
    return result
