"""Predict survival with a random forest on martingale residuals and a Cox model of its output."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestRegressor

from pancseg.modelling.estimators.cox import CoxElasticNet
from pancseg.modelling.estimators.risk_sets import risk_sets


class MartingaleForest(BaseEstimator):
    """A random forest on the null model's martingale residuals (Therneau 1990, Biometrika 77:147).

    A residual is a patient's event (0 or 1) minus the number of events expected by then. Trees that
    minimise its squared error thus separate patients who die early from those who live long
    (LeBlanc & Crowley 1992). A Cox model of the out-of-bag predictions turns them into log hazards
    and survival curves.

    Args:
        trees: number of trees.
        smallest_leaf: fewest patients in a leaf.
        seed: random seed of the trees.
        rising: whether the risk may not fall with the last column.

    Attributes:
        forest_: the fitted regressor.
        cox_: the Cox model, whose only column is the forest's prediction.
        feature_importances_: (p,) mean decrease of squared error.
    """

    def __init__(
        self, trees: int = 200, smallest_leaf: int = 6, seed: int = 0, rising: bool = False
    ) -> None:
        self.trees, self.smallest_leaf, self.seed = trees, smallest_leaf, seed
        self.rising = rising

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Fit forest and Cox model on the same rows."""
        return self.fit_tables([x], y)

    def fit_tables(self, tables: Sequence[np.ndarray], y: np.ndarray) -> Self:
        """Fit a forest to each of several completed tables, and one Cox model to their mean.

        Attributes are those of one forest of all trees.
        """
        residuals = martingale_residuals(y)
        forests = [
            RandomForestRegressor(
                self.trees,
                min_samples_leaf=self.smallest_leaf,
                max_features="sqrt",
                oob_score=True,
                random_state=self.seed + number,
                n_jobs=1,
                monotonic_cst=rising_last(x.shape[1]) if self.rising else None,
            ).fit(x, residuals)
            for number, x in enumerate(tables)
        ]
        out_of_bag = np.nan_to_num(np.mean([each.oob_prediction_ for each in forests], axis=0))
        out_of_bag = out_of_bag[:, None]
        self.forest_ = merged(forests)
        self.feature_importances_ = self.forest_.feature_importances_
        self.cox_ = CoxElasticNet(0.0, 0.0).fit(out_of_bag, y)
        if self.cox_.coef_[0] <= 0:  # the forest has learnt nothing: same risk for all
            self.feature_importances_ = np.zeros_like(self.feature_importances_)
            self.cox_ = CoxElasticNet(0.0, 0.0).fit(out_of_bag * 0, y)
        del self.forest_.oob_prediction_
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) log partial hazards; higher values mean earlier events."""
        return self.cox_.predict(self.forest_.predict(x)[:, None])

    def predict_survival(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return (n, times) probabilities of being event-free at each time."""
        return self.cox_.predict_survival(self.forest_.predict(x)[:, None], times)


def merged(forests: Sequence[Any]) -> Any:
    """Return one fitted forest of the trees of several, which predicts the mean of theirs."""
    found = copy(forests[0])
    found.estimators_ = [tree for forest in forests for tree in forest.estimators_]
    found.n_estimators = len(found.estimators_)
    return found


def rising_last(columns: int) -> list[int]:
    """Return scikit-learn's constraints by which predictions may not fall with the last column."""
    return [0] * (columns - 1) + [1]


def martingale_residuals(y: np.ndarray) -> np.ndarray:
    """Return (n,) martingale residuals of the null model, with Efron's handling of ties.

    That is the event minus the cumulative hazard at the patient's time.
    """
    at_risk = risk_sets(y)
    hazard = np.empty(len(y))
    hazard[at_risk.order] = at_risk.sums_over_events(1 / at_risk.totals(np.ones(len(y))))
    return np.asarray(y["event"] - hazard)
