"""Fit a model to each of several completed tables, and average the fits to one model.

Linear models are averaged in their coefficients (Rubin's rule for a point estimate), Cox models
also in the logarithm of their cumulative hazard; forests in their trees, and boosted trees in their
log odds. So what is averaged is saved, printed and validated as one model.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from pancseg.modelling.estimators.cox import CoxElasticNet
from pancseg.modelling.estimators.logistic import LogisticModel
from pancseg.modelling.estimators.survival_forest import MartingaleForest, merged

Shared = list[dict[str, Any]]
"""For each table, results that candidates fitted to it have in common."""


def fit_averaged(
    candidate: BaseEstimator, tables: Sequence[np.ndarray], y: np.ndarray, shared: Shared
) -> Any:
    """Return the average of a candidate's fits to completed tables.

    A selection of columns is made once, by the mean of their scores. What is fitted to selected
    columns shares nothing with other candidates, which may have others.

    Args:
        candidate: unfitted.
        tables: (n, p) each, two or more.
        y: (n,) outcome, the same for all tables.
        shared: one for each table.
    """
    if isinstance(candidate, Pipeline):
        select = clone(candidate.named_steps["select"]).fit_tables(tables, y, shared[0])
        chosen = [select.transform(x) for x in tables]
        model = _fitted(candidate[-1], chosen, y, [{} for _ in tables])
        return Pipeline([("select", select), ("model", model)])
    return _fitted(candidate, tables, y, shared)


def _fitted(
    candidate: BaseEstimator, tables: Sequence[np.ndarray], y: np.ndarray, shared: Shared
) -> Any:
    match candidate:
        case MartingaleForest():
            return clone(candidate).fit_tables(tables, y)
        case HistGradientBoostingClassifier():
            return AveragedBoosting(candidate).fit_tables(tables, y)
        case RandomForestClassifier():
            forests = (
                clone(candidate).set_params(random_state=candidate.random_state + number).fit(x, y)
                for number, x in enumerate(tables)
            )
            return merged(list(forests))
    takes = has_fit_parameter(candidate, "shared")
    more = [{"shared": each} if takes else {} for each in shared]
    fits: list[Any] = [
        clone(candidate).fit(x, y, **words) for x, words in zip(tables, more, strict=True)
    ]
    return _mean_cox(fits) if isinstance(fits[0], CoxElasticNet) else _mean_logistic(fits)


def _mean_logistic(fits: Sequence[LogisticModel]) -> LogisticModel:
    found = copy(fits[0])
    found.coef_ = np.mean([each.coef_ for each in fits], axis=0)
    found.intercept_ = float(np.mean([each.intercept_ for each in fits]))
    return found


def _mean_cox(fits: Sequence[CoxElasticNet]) -> CoxElasticNet:
    """Return the model whose log cumulative hazard of any patient is the mean of the fits'."""
    found = copy(fits[0])
    found.coef_ = np.mean([each.coef_ for each in fits], axis=0)
    found.mean_ = np.mean([each.mean_ for each in fits], axis=0)
    moved = [(found.mean_ - each.mean_) @ each.coef_ for each in fits]
    hazards = [np.log(each.cumulative_hazard_) for each in fits]
    found.cumulative_hazard_ = np.exp(np.mean(hazards, axis=0) + np.mean(moved))
    return found


class AveragedBoosting(ClassifierMixin, BaseEstimator):
    """Boosted trees fitted to each of several completed tables; their log odds are averaged.

    Args:
        model: the unfitted trees.

    Attributes:
        models_: the fitted ones.
        classes_: 0 and 1.
    """

    def __init__(self, model: HistGradientBoostingClassifier) -> None:
        self.model = model

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Fit trees to one table."""
        return self.fit_tables([x], y)

    def fit_tables(self, tables: Sequence[np.ndarray], y: np.ndarray) -> Self:
        """Fit trees to each table."""
        self.models_ = [clone(self.model).fit(x, y) for x in tables]
        self.classes_ = self.models_[0].classes_
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) log odds of class 1."""
        return np.asarray(np.mean([each.decision_function(x) for each in self.models_], axis=0))

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, 2) probabilities of class 0 and 1."""
        p = expit(self.decision_function(x))
        return np.column_stack([1 - p, p])
