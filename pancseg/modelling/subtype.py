"""Define the models that predict a class, and the measures that they are judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from pancseg.modelling.estimators.preparation import Strongest
from pancseg.modelling.validation.measures import (
    average_precision,
    best_threshold,
    class_pairs,
    mean_measure,
    pair_measure,
)
from pancseg.modelling.validation.nested_cv import OutOfFold, ValidationResult

Builder = Callable[[int, int, int], tuple[BaseEstimator, ...]]
"""A function that returns a model's candidates, the simplest first; the inner folds choose one.

Its arguments are the number of training patients in the smaller class (or with an event), the
number of clinical columns at the end that no selection drops, and the random seed.
"""
SIZES, TREE_COLUMNS = (2, 5, 15), 50
"""Number of columns that a linear model and a tree model may select."""
STRENGTHS = (0.05, 0.5)
"""Inverse strengths of the penalty: scikit-learn's ``C``."""


def auc_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance of each column's AUC from 0.5, as a (p,) array."""
    positive = y == 1
    n1, n0 = positive.sum(), (~positive).sum()
    ranks = rankdata(x, axis=0)[positive].sum(axis=0)
    return np.asarray(np.abs((ranks - n1 * (n1 + 1) / 2) / (n1 * n0) - 0.5))


def _with_selection(model: BaseEstimator, k: int, always: int) -> Pipeline:
    return Pipeline([("select", Strongest(auc_distance, k, always)), ("model", model)])


def elastic_net(smallest: int, always: int, seed: int) -> tuple[BaseEstimator, ...]:
    """Return logistic regressions with an elastic-net penalty, those with fewest columns first."""
    sizes = [k for k in SIZES if k <= max(SIZES[0], smallest // 4)]
    return tuple(
        _with_selection(
            LogisticRegression(
                C=c, l1_ratio=0.5, solver="saga", max_iter=500, tol=1e-3, random_state=seed
            ),
            k,
            always,
        )
        for k in sizes
        for c in STRENGTHS
    )


def random_forest(smallest: int, always: int, seed: int) -> tuple[BaseEstimator, ...]:
    """Return the random forest (the model of Kaissis 2020, J Clin Med 9:724)."""
    forest = RandomForestClassifier(200, min_samples_leaf=3, random_state=seed, n_jobs=1)
    return (_with_selection(forest, TREE_COLUMNS, always),)


def gradient_boosting(smallest: int, always: int, seed: int) -> tuple[BaseEstimator, ...]:
    """Return gradient-boosted shallow trees."""
    trees = HistGradientBoostingClassifier(
        max_iter=60, max_depth=2, min_samples_leaf=10, early_stopping=False, random_state=seed
    )
    return (_with_selection(trees, TREE_COLUMNS, always),)


MODELS: dict[str, Builder] = {
    "elastic-net": elastic_net,
    "random-forest": random_forest,
    "gradient-boosting": gradient_boosting,
}


def plain() -> tuple[BaseEstimator, ...]:
    """Return the model for a few chosen columns: logistic regression with a weak penalty."""
    return (Pipeline([("model", LogisticRegression(C=10.0))]),)


def chance() -> tuple[BaseEstimator, ...]:
    """Return the model that gives every patient the share of class 1 in the training rows."""
    return (DummyClassifier(strategy="prior"),)


@dataclass(frozen=True)
class SubtypeTask:
    """Prediction of a class, 1 or 0; scores are probabilities of class 1.

    Attributes:
        threshold_needs_inner: whether :meth:`threshold` uses the inner out-of-fold scores.
    """

    threshold_needs_inner: bool = True

    def predict(self, model: Any, x: np.ndarray) -> np.ndarray:
        """Return (n,) probabilities of class 1."""
        return np.asarray(model.predict_proba(x)[:, 1])

    def curves(self, model: Any, x: np.ndarray) -> None:
        """Return None: a class has no survival curves."""
        return

    def loss(self, y: np.ndarray, score: np.ndarray, fold: np.ndarray) -> float:
        """Return the log loss, a proper scoring rule."""
        p = np.clip(score, 1e-6, 1 - 1e-6)
        return float(-np.mean(np.where(y == 1, np.log(p), np.log(1 - p))))

    def threshold(self, y: np.ndarray, inner: np.ndarray, training: np.ndarray) -> float:
        """Return Youden's threshold for the inner out-of-fold probabilities."""
        return best_threshold(y, inner)


def subtype_measures(
    y: np.ndarray, found: ValidationResult, model: OutOfFold, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute each measure of one model under each bootstrap weighting.

    Args:
        y: (n,) class, 1 or 0.
        found: the validation, for its folds.
        model: out-of-fold predictions of the model.
        weights: (b, n) bootstrap weights.

    Returns:
        Measure → (b,) values (see :mod:`pancseg.modelling.validation.measures`).
    """
    folds = [
        (model.score[r], np.flatnonzero(found.folds[r] == f))
        for r in range(len(found.folds))
        for f in np.unique(found.folds[r])
    ]
    pairs = ((rows, score[rows], class_pairs(y[rows])) for score, rows in folds)
    precision = [average_precision(y[rows], score[rows], weights[:, rows]) for score, rows in folds]
    called = (model.score >= model.threshold).mean(axis=0)
    brier = ((model.score - y) ** 2).mean(axis=0)
    return {
        "AUC": pair_measure(pairs, weights),
        "PR-AUC": _mean_of(precision),
        "Brier": mean_measure(brier, weights),
        "sensitivity": mean_measure(np.where(y == 1, called, np.nan), weights),
        "specificity": mean_measure(np.where(y == 0, 1 - called, np.nan), weights),
    }


def _mean_of(parts: list[np.ndarray]) -> np.ndarray:
    """Return the mean over folds; folds without a row of class 1 (NaN) do not count."""
    stack = np.array(parts)
    present = ~np.isnan(stack)
    count = present.sum(axis=0)
    total = np.where(present, stack, 0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))
