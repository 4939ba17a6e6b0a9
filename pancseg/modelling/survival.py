"""Define the models that predict survival, and the measures that they are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from pancseg.modelling.estimators.cox import CoxElasticNet, NoPredictors
from pancseg.modelling.estimators.cox_solver import score_test
from pancseg.modelling.estimators.preparation import Strongest
from pancseg.modelling.estimators.survival_forest import MartingaleForest
from pancseg.modelling.subtype import SIZES, TREE_COLUMNS, Builder
from pancseg.modelling.validation import measures
from pancseg.modelling.validation.nested_cv import OutOfFold, ValidationResult

PENALTIES = (0.3, 0.05)
HORIZONS = (0.25, 0.5, 0.75)
"""Quantiles of the event times at which the time-dependent AUC is computed."""


def elastic_net(events: int, always: int, seed: int) -> tuple[BaseEstimator, ...]:
    """Return Cox models with an elastic-net penalty, those with fewest columns first."""
    sizes = [k for k in SIZES if k <= max(SIZES[0], events // 4)]
    return tuple(
        Pipeline(
            [
                ("select", Strongest(score_test, k, always)),
                ("model", CoxElasticNet(penalty, 0.5)),
            ]
        )
        for k in sizes
        for penalty in PENALTIES
    )


def random_forest(events: int, always: int, seed: int) -> tuple[BaseEstimator, ...]:
    """Return the random forest of martingale residuals."""
    select = Strongest(score_test, TREE_COLUMNS, always)
    return (Pipeline([("select", select), ("model", MartingaleForest(seed=seed))]),)


MODELS: dict[str, Builder] = {"elastic-net": elastic_net, "random-forest": random_forest}


def plain() -> tuple[BaseEstimator, ...]:
    """Return the model for a few chosen columns: Cox with a weak penalty."""
    return (Pipeline([("model", CoxElasticNet(0.01, 0.0))]),)


def chance() -> tuple[BaseEstimator, ...]:
    """Return the model that gives every patient the Kaplan–Meier curve of the training rows."""
    return (NoPredictors(),)


@dataclass(frozen=True)
class SurvivalTask:
    """Prediction of time to an event; scores are log partial hazards.

    Attributes:
        times: (t,) times of the integrated Brier score.
        horizons: (h,) times that the report gives probabilities for.
    """

    times: tuple[float, ...]
    horizons: tuple[float, ...] = ()
    threshold_needs_inner: bool = False

    def predict(self, model: Any, x: np.ndarray) -> np.ndarray:
        """Return (n,) log partial hazards."""
        return np.asarray(model.predict(x))

    def curves(self, model: Any, x: np.ndarray) -> np.ndarray:
        """Return (n, t + h) survival probabilities at ``times``, then at ``horizons``."""
        if isinstance(model, Pipeline):
            x, model = model[:-1].transform(x) if len(model) > 1 else x, model[-1]
        return np.asarray(model.predict_survival(x, np.asarray([*self.times, *self.horizons])))

    def loss(self, y: np.ndarray, score: np.ndarray, fold: np.ndarray) -> float:
        """Return minus Harrell's C, over pairs of patients within an inner fold."""
        parts = [np.flatnonzero(fold == f) for f in np.unique(fold)]
        pairs = ((rows, score[rows], measures.harrell_pairs(y[rows])) for rows in parts)
        return -float(np.nan_to_num(measures.pair_measure(pairs, np.ones((1, len(y))))[0], nan=0.5))

    def threshold(self, y: np.ndarray, inner: np.ndarray, training: np.ndarray) -> float:
        """Return the training rows' median risk."""
        return float(np.median(training))


def time_grid(y: np.ndarray) -> tuple[float, ...]:
    """Return the times of curves and of the integrated Brier score.

    They run from the 5 % to the 90 % quantile of the event times. Using all patients for this is
    no leak: the times are a choice of the evaluation, and no model is fitted to them.
    """
    events = y["time"][y["event"]]
    grid = np.unique(np.quantile(events, np.linspace(0.05, 0.9, 18)))
    return tuple(float(t) for t in grid)


def survival_measures(
    y: np.ndarray,
    found: ValidationResult,
    model: OutOfFold,
    weights: np.ndarray,
    task: SurvivalTask,
) -> dict[str, np.ndarray]:
    """Return each measure under each bootstrap weighting (see :mod:`.validation.measures`)."""
    times = np.asarray(task.times)
    folds = [
        (r, np.flatnonzero(found.folds[r] == f), np.flatnonzero(found.folds[r] != f))
        for r in range(len(found.folds))
        for f in np.unique(found.folds[r])
    ]
    scores = model.score
    result = {
        "Harrell's C": measures.pair_measure(
            ((t, scores[r, t], measures.harrell_pairs(y[t])) for r, t, _ in folds), weights
        ),
        "Uno's C": measures.pair_measure(
            ((t, scores[r, t], measures.uno_pairs(y[t], y[o], times[-1])) for r, t, o in folds),
            weights,
        ),
    }
    for horizon in task.horizons or horizons(y):
        result[f"AUC at {horizon:.3g}"] = measures.pair_measure(
            ((t, scores[r, t], measures.horizon_pairs(y[t], y[o], horizon)) for r, t, o in folds),
            weights,
        )
    if model.curves is not None and len(times) > 1:
        brier, curves = np.zeros(len(y)), model.curves[:, :, : len(times)]
        for r, test, train in folds:
            errors = measures.squared_errors(y[test], y[train], curves[r, test], times)
            brier[test] += measures.integrated(errors, times) / len(found.folds)
        result["integrated Brier"] = measures.mean_measure(brier, weights)
    return result


def chosen_horizons(y: np.ndarray, chosen: Sequence[float]) -> tuple[float, ...]:
    """Return the horizons of a study in rising order.

    Args:
        y: outcomes.
        chosen: times after 0, or none: quartiles of the event times.

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
    """Return the horizons where none were chosen: quartiles of the event times."""
    return [float(t) for t in np.unique(np.quantile(y["time"][y["event"]], HORIZONS))]
