"""Define the models that predict a class, and the measures that they are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit
from scipy.stats import rankdata
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from pancseg.modelling.algorithm import Algorithm, Candidates, selected
from pancseg.modelling.cross_validation.out_of_fold import OutOfFold, ValidationResult
from pancseg.modelling.estimators.logistic import LogisticElasticNet, LogisticFew, LogisticRidge
from pancseg.modelling.estimators.survival_forest import rising_last
from pancseg.modelling.validation.measures import (
    average_precision,
    best_threshold,
    class_pairs,
    mean_measure,
    pair_measure,
)
from pancseg.modelling.validation.net_benefit import class_status, net_benefit

SIZES, TREE_COLUMNS = (2, 5, 15), 50
"""Number of columns that a linear model and a tree model may select."""
FRACTIONS = (0.5, 0.1, 0.01)
"""Penalties of the elastic net, as fractions of the one that leaves no column.

The last one is for the fewest columns only: on 5 or 15 it was chosen by chance and overfitted.
"""
SPREADS = (0.02, 0.1, 0.5)
"""Variances of the log odds or log hazards that the ridge on all columns expects."""
FEWEST_IN_WIDE_LEAF = 10
NET_BENEFIT = "net benefit"


def auc_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance of each column's AUC from 0.5, as a (p,) array."""
    positive = y == 1
    n1, n0 = positive.sum(), (~positive).sum()
    ranks = rankdata(x, axis=0)[positive].sum(axis=0)
    return np.asarray(np.abs((ranks - n1 * (n1 + 1) / 2) / (n1 * n0) - 0.5))


def sizes(smallest: int) -> list[int]:
    """Return the numbers of columns that so many patients of the smaller class allow."""
    return [k for k in SIZES if k <= max(SIZES[0], smallest // 4)]


def net_settings(smallest: int) -> list[tuple[int, float]]:
    """Return the numbers of columns and penalties of the elastic net."""
    return [
        (k, fraction)
        for k in sizes(smallest)
        for fraction in (FRACTIONS if k == SIZES[0] else FRACTIONS[:-1])
    ]


def wide_leaf(smallest: int) -> int:
    """Return the size of a leaf that smooths a single column."""
    return max(FEWEST_IN_WIDE_LEAF, smallest // 4)


def _many_linear(smallest: int, seed: int) -> Candidates:
    nets = (
        selected(auc_distance, k, LogisticElasticNet(fraction))
        for k, fraction in net_settings(smallest)
    )
    ridges = (LogisticRidge(spread) for spread in SPREADS)
    return (*nets, *ridges)


def _few_linear(smallest: int, seed: int, rising: int = 0) -> Candidates:
    return (LogisticFew(rising > 0),)


def _few_in_forest(smallest: int, seed: int, rising: int = 0) -> Candidates:
    return tuple(
        RandomForestClassifier(
            200,
            min_samples_leaf=leaf,
            random_state=seed,
            n_jobs=1,
            monotonic_cst=rising_last(rising) if rising else None,
        )
        for leaf in (wide_leaf(smallest), 3)
    )


def _few_boosted(smallest: int, seed: int, rising: int = 0) -> Candidates:
    trees = HistGradientBoostingClassifier(
        max_iter=60,
        max_depth=2,
        min_samples_leaf=10,
        early_stopping=False,
        random_state=seed,
        monotonic_cst=rising_last(rising) if rising else None,
    )
    return (trees,)


MODELS: dict[str, Algorithm] = {
    "elastic-net": Algorithm(auc_distance, _few_linear, _many_linear),
    # the model of Kaissis 2020, J Clin Med 9:724
    "random-forest": Algorithm(auc_distance, _few_in_forest, columns=TREE_COLUMNS),
    "gradient-boosting": Algorithm(auc_distance, _few_boosted, columns=TREE_COLUMNS),
}


def chance() -> Candidates:
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

    def linear(self, model: Any, x: np.ndarray) -> np.ndarray:
        """Return (n,) log odds of class 1, between -7 and 7 where the model has none of its own."""
        if hasattr(model, "decision_function"):
            return np.asarray(model.decision_function(x))
        return np.asarray(logit(np.clip(self.predict(model, x), 1e-3, 1 - 1e-3)))

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
    y: np.ndarray, found: ValidationResult, model: OutOfFold, weights: np.ndarray, threshold: float
) -> dict[str, np.ndarray]:
    """Compute each measure of one model under each bootstrap weighting.

    Args:
        y: (n,) class, 1 or 0.
        found: the validation, for its folds.
        model: out-of-fold predictions of the model.
        weights: (b, n) bootstrap weights.
        threshold: risk from which on a patient would be treated, for the net benefit.

    Returns:
        Measure → (b,) values (see :mod:`pancseg.modelling.validation.measures`). PR-AUC is of all
        patients of a repeat: in a fold with few positives even random scores get much.
    """
    folds = [
        (model.score[r], np.flatnonzero(found.folds[r] == f))
        for r in range(len(found.folds))
        for f in np.unique(found.folds[r])
    ]
    pairs = ((rows, score[rows], class_pairs(y[rows])) for score, rows in folds)
    precision = [average_precision(y, score, weights) for score in model.score]
    called = (model.score >= model.threshold).mean(axis=0)
    brier = ((model.score - y) ** 2).mean(axis=0)
    at, status = np.array([threshold]), class_status(y)
    gained = np.mean([net_benefit(score, status, at)[:, 0] for score in model.score], axis=0)
    return {
        "AUC": pair_measure(pairs, weights),
        "PR-AUC": np.mean(precision, axis=0),
        "Brier": mean_measure(brier, weights),
        NET_BENEFIT: mean_measure(gained, weights),
        "sensitivity": mean_measure(np.where(y == 1, called, np.nan), weights),
        "specificity": mean_measure(np.where(y == 0, 1 - called, np.nan), weights),
    }
