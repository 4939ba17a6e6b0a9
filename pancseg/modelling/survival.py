"""Define the models that predict survival, and the measures that they are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from pancseg.modelling.algorithm import Algorithm, Candidates, selected
from pancseg.modelling.cross_validation.out_of_fold import OutOfFold, ValidationResult
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
from pancseg.modelling.times import named_time
from pancseg.modelling.validation import measures
from pancseg.modelling.validation.net_benefit import net_benefit, status_at

HORIZONS = (0.25, 0.5, 0.75)
"""Quantiles of the event times that are the horizons where none were chosen."""


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
        times: (t,) times of the integrated Brier score.
        horizons: (h,) times at which models are judged (AUC, net benefit, calibration) and that the
            report gives probabilities for.
        middle: the one of them that net benefit is judged at (:func:`middle_horizon`).
    """

    times: tuple[float, ...]
    horizons: tuple[float, ...]
    middle: float
    threshold_needs_inner: bool = False

    def event_free(self, curves: np.ndarray, horizon: float) -> np.ndarray:
        """Return the probabilities at a horizon, of curves that :meth:`curves` returned.

        Args:
            curves: (…, t + h) survival probabilities.
            horizon: one of ``horizons``.
        """
        return np.asarray(curves[..., len(self.times) + self.horizons.index(horizon)])

    def predict(self, model: Any, x: np.ndarray) -> np.ndarray:
        """Return (n,) log partial hazards."""
        return np.asarray(model.predict(x))

    def linear(self, model: Any, x: np.ndarray) -> np.ndarray:
        """Return (n,) log partial hazards."""
        return self.predict(model, x)

    def curves(self, model: Any, x: np.ndarray) -> np.ndarray:
        """Return (n, t + h) survival probabilities at ``times``, then at ``horizons``."""
        if isinstance(model, Pipeline):
            x, model = model[:-1].transform(x) if len(model) > 1 else x, model[-1]
        return np.asarray(model.predict_survival(x, np.asarray([*self.times, *self.horizons])))

    def loss(self, y: np.ndarray, score: np.ndarray, fold: np.ndarray) -> float:
        """Return −log partial likelihood per patient of log hazards from several inner folds.

        A proper score: unlike Harrell's C it tells predictions that are too extreme from good ones.
        """
        return partial_loss(score, y)

    def threshold(self, y: np.ndarray, inner: np.ndarray, training: np.ndarray) -> float:
        """Return the training rows' median risk."""
        return float(np.median(training))


def time_grid(y: np.ndarray) -> tuple[float, ...]:
    """Return the times of the integrated Brier score.

    They run from the 5 % to the 90 % quantile of the event times. Using all patients for this is
    no leak: the times are a choice of the evaluation, and no model is fitted to them.
    """
    events = y["time"][y["event"]]
    shares = np.linspace(0.05, 0.9, 18).round(2)  # 0.5 and not a little less: as the horizons'
    grid = np.unique(np.quantile(events, shares))
    return tuple(float(t) for t in grid)


def chosen_horizons(y: np.ndarray, chosen: Sequence[float]) -> tuple[float, ...]:
    """Return the horizons of a study in rising order.

    Args:
        y: outcomes.
        chosen: times after 0, or none: quartiles of the event times, those after 0.

    Raises:
        ValueError: a horizon before the first event, or after the longest follow-up.
    """
    if not chosen:
        return tuple(horizons(y))
    first, longest = float(y["time"][y["event"]].min()), float(y["time"].max())
    for time in chosen:
        if not first <= time < longest:
            raise ValueError(
                f"`horizons`: {time:g} is not within the follow-up; the first event is at "
                f"{first:g} and the longest follow-up is {longest:g}"
            )
    return tuple(sorted(set(map(float, chosen))))


def horizons(y: np.ndarray) -> list[float]:
    """Return the horizons where none were chosen: quartiles of the event times.

    Those at 0 are left out: of times in whole years a quarter of the events may be at 0, where no
    model predicts anything. Without any other the horizon is the first time after 0.
    """
    found = np.unique(np.quantile(y["time"][y["event"]], HORIZONS))
    later = found[found > 0]
    return [float(t) for t in later] or [float(y["time"][y["time"] > 0].min())]


def middle_horizon(y: np.ndarray, chosen: Sequence[float]) -> float:
    """Return the middle one of the horizons; where none were chosen, the median event time.

    If that is 0 it is no horizon, and the middle one of the others counts.

    Args:
        y: outcomes.
        chosen: times after 0, or none.
    """
    found = chosen_horizons(y, chosen)
    median = float(np.quantile(y["time"][y["event"]], 0.5))
    return median if not chosen and median in found else found[len(found) // 2]


def treatment_threshold(y: np.ndarray, time: float) -> float:
    """Return the mean risk by a time, from which on a patient would be treated."""
    risk = 1 - float(kaplan_meier(y, np.array([time]))[0])
    return min(max(risk, 0.01), 0.99)


def survival_measures(
    y: np.ndarray,
    found: ValidationResult,
    model: OutOfFold,
    weights: np.ndarray,
    task: SurvivalTask,
    threshold: float,
) -> dict[str, np.ndarray]:
    """Return each measure under each bootstrap weighting (see :mod:`.validation.measures`).

    Args:
        y: (n,) events and times.
        found: the validation, for its folds.
        model: out-of-fold predictions of the model.
        weights: (b, n) bootstrap weights.
        task: the times that the curves are of.
        threshold: risk by the middle horizon from which on a patient would be treated.
    """
    folds = [
        (r, np.flatnonzero(found.folds[r] == f), np.flatnonzero(found.folds[r] != f))
        for r in range(len(found.folds))
        for f in np.unique(found.folds[r])
    ]
    scores, grid = model.score, np.asarray(task.times)
    result = {
        "Harrell's C": measures.pair_measure(
            ((t, scores[r, t], measures.harrell_pairs(y[t])) for r, t, _ in folds), weights
        ),
        "Uno's C": measures.pair_measure(
            ((t, scores[r, t], measures.uno_pairs(y[t], y[o], grid[-1])) for r, t, o in folds),
            weights,
        ),
    }
    for horizon in task.horizons:
        result[f"AUC at {named_time(horizon)}"] = measures.pair_measure(
            ((t, scores[r, t], measures.horizon_pairs(y[t], y[o], horizon)) for r, t, o in folds),
            weights,
        )
    if model.curves is None:
        return result
    repeats, at = len(found.folds), np.array([threshold])
    errors, weight = np.zeros((2, repeats, len(y), len(grid)))
    gained = np.zeros(len(y))
    for r, test, train in folds:
        curves = model.curves[r, test]
        if len(grid) > 1:
            at_times = curves[:, : len(grid)]
            errors[r, test] = measures.squared_errors(y[test], y[train], at_times, grid)
            weight[r, test] = measures.known_weights(y[test], y[train], grid)
        status = status_at(y[test], y[train], task.middle)
        risk = 1 - task.event_free(curves, task.middle)
        gained[test] += net_benefit(risk, status, at)[:, 0] / repeats
    if len(grid) > 1:
        steady = [measures.steadied(*each) for each in zip(errors, weight, strict=True)]
        brier = measures.integrated(np.mean(steady, axis=0), grid)
        result["integrated Brier"] = measures.mean_measure(brier, weights)
    result[NET_BENEFIT] = measures.mean_measure(gained, weights)
    return result
