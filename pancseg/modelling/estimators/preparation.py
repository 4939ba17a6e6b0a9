"""Owns what is done to features before a model, as scikit-learn steps: all fitted on training rows.

Knows nothing about files or about how folds are made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from pancseg.modelling.estimators.combat import ComBat

ScoreFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
MOST_MISSING = 0.3
FEWEST_DIFFERENT = 0.05
REDUNDANT_RHO = 0.9


class Varied(TransformerMixin, BaseEstimator):
    """Keep columns that vary and are mostly there.

    A column goes when more than 30 % of it is missing or when all but 5 % of its values are one.
    The first ``spared`` columns stay (the batch).
    """

    def __init__(self, spared: int = 0, fewest_different: float = FEWEST_DIFFERENT) -> None:
        self.spared, self.fewest_different = spared, fewest_different

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Look at training rows."""
        missing = np.isnan(x)
        ordered = np.sort(x, axis=0)  # NaN last
        most = np.array([_longest_run(ordered[:, j]) for j in range(x.shape[1])])
        present = (~missing).sum(axis=0)
        different = present - most
        kept = (different > 0) & (different >= self.fewest_different * present)
        kept &= missing.mean(axis=0) <= MOST_MISSING
        kept[: self.spared] = True
        self.kept_ = np.flatnonzero(kept)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the columns kept."""
        return x[:, self.kept_]


class Unredundant(TransformerMixin, BaseEstimator):
    """Of each cluster of features with Spearman's |rho| above 0.9 keep one.

    Average linkage on 1 − |rho|. The one kept has the highest stability (ICC) where that is known,
    otherwise the highest mean |rho| with its cluster; the first one on a tie.

    Args:
        stability: (columns of X) ICC, NaN where unknown; None: nothing is known.
    """

    def __init__(self, stability: tuple[float, ...] | None = None) -> None:
        self.stability = stability

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Look at training rows; the outcome is not looked at."""
        p = x.shape[1]
        if p < 2:
            self.kept_ = np.arange(p)
            return self
        ranks = rankdata(x, axis=0)
        rho = np.abs(np.corrcoef(ranks, rowvar=False))
        rho = np.nan_to_num((rho + rho.T) / 2).clip(0, 1)
        np.fill_diagonal(rho, 1.0)
        tree = linkage(squareform(1 - rho, checks=False), method="average")
        cluster = fcluster(tree, 1 - REDUNDANT_RHO, criterion="distance")
        same = cluster[:, None] == cluster[None, :]
        typical = (rho * same).sum(axis=1) / same.sum(axis=1)
        stable = np.full(p, -1.0) if self.stability is None else np.asarray(self.stability)
        stable = np.nan_to_num(stable, nan=-1.0)
        order = np.lexsort((np.arange(p), -typical.round(12), -stable))
        _, first = np.unique(cluster[order], return_index=True)
        self.kept_ = np.sort(order[first])
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the columns kept."""
        return x[:, self.kept_]


class Strongest(TransformerMixin, BaseEstimator):
    """Keep the ``k`` columns that score highest alone against the training outcome.

    Args:
        score: (x, y) → (p,) scores, higher is stronger.
        k: how many.
        always: so many columns at the end (clinical ones) stay beside the k.
    """

    def __init__(self, score: ScoreFunction, k: int = 10, always: int = 0) -> None:
        self.score, self.k, self.always = score, k, always

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Look at training rows and their outcome."""
        first = x.shape[1] - self.always
        scores = np.nan_to_num(self.score(x[:, :first], y), nan=-1.0)
        order = np.lexsort((np.arange(first), -scores))
        self.kept_ = np.concatenate([np.sort(order[: self.k]), np.arange(first, x.shape[1])])
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the columns kept."""
        return x[:, self.kept_]


class Cleaned(TransformerMixin, BaseEstimator):
    """:class:`Varied`, then :class:`Unredundant` with the stability of the columns left.

    One step, as the second has to know which columns the first one kept. ``kept_`` are columns of
    the features, the batch not counted.
    """

    def __init__(self, stability: tuple[float, ...] | None = None, batch: bool = False) -> None:
        self.stability, self.batch = stability, batch

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Fit all steps before scaling on training rows.

        Raises:
            ValueError: no column is left.
        """
        spared = int(self.batch)
        self.varied_ = Varied(spared).fit(x)
        if len(self.varied_.kept_) == spared:
            raise ValueError(
                f"no feature is left in a training fold: all {x.shape[1] - spared} are nearly "
                f"constant or more than {MOST_MISSING:.0%} empty"
            )
        self.imputer_ = SimpleImputer(strategy="median")
        filled = self.imputer_.fit_transform(self.varied_.transform(x))
        self.combat_ = ComBat().fit(filled) if self.batch else None
        if self.combat_ is not None:
            filled = self.combat_.transform(filled)
        left = self.varied_.kept_[spared:] - spared
        stability = None if self.stability is None else tuple(np.asarray(self.stability)[left])
        self.unredundant_ = Unredundant(stability).fit(filled)
        self.kept_ = left[self.unredundant_.kept_]
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the columns kept, without missing values and batch effects."""
        filled = self.imputer_.transform(self.varied_.transform(x))
        if self.combat_ is not None:
            filled = self.combat_.transform(filled)
        return np.asarray(self.unredundant_.transform(filled))


def preparation(stability: tuple[float, ...] | None, batch: bool) -> Pipeline:
    """Return the steps for radiomics: near-constant, imputation, ComBat, redundancy, scaling."""
    return Pipeline([("clean", Cleaned(stability, batch)), ("scale", StandardScaler())])


def plain_preparation() -> Pipeline:
    """Return the steps for a few chosen columns (volume, clinical): imputation and scaling."""
    return Pipeline(
        [("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
         ("scale", StandardScaler())]
    )  # fmt: skip


def _longest_run(ordered: np.ndarray) -> int:
    """Return how often the most frequent number stands in a sorted column (NaN last)."""
    values = ordered[~np.isnan(ordered)]
    if not len(values):
        return 0
    edges = np.flatnonzero(np.diff(values) > 0)
    return int(np.diff(np.concatenate([[-1], edges, [len(values) - 1]])).max())
