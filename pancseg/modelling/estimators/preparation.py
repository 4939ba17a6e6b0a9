"""Prepare features for a model with scikit-learn steps that are fitted on training rows alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from pancseg.modelling.estimators.combat import ComBat
from pancseg.modelling.estimators.fences import Filled, Winsorised

ScoreFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
MOST_MISSING = 0.5
"""Largest share of missing values in a feature, over all patients: half."""
FEWEST_DIFFERENT = 0.05
REDUNDANT_RHO = 0.9
_ORDER = "strongest first"
_BLOCK = 256
"""Rows of the correlations that are looked at together, which keeps copies small."""


class Varied(TransformerMixin, BaseEstimator):
    """Keep columns that vary.

    A column is dropped when fewer than 5 % of its values differ from the most frequent one. Gaps
    drop none: whether a column has too many is decided once, on all patients, and not by the
    patients of a fold (:func:`pancseg.modelling.inputs.gaps.without_gaps`).

    Args:
        spared: number of columns at the start that are always kept (the batch).
        fewest_different: smallest share of values that differ from the most frequent one.
    """

    def __init__(self, spared: int = 0, fewest_different: float = FEWEST_DIFFERENT) -> None:
        self.spared, self.fewest_different = spared, fewest_different

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Choose columns from training rows; ``y`` is not used."""
        ordered = np.sort(x, axis=0)  # NaN last
        most = _longest_runs(ordered)
        present = (~np.isnan(x)).sum(axis=0)
        different = present - most
        kept = (different > 0) & (different >= self.fewest_different * present)
        kept[: self.spared] = True
        self.kept_ = np.flatnonzero(kept)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the kept columns."""
        return x[:, self.kept_]


class Unredundant(TransformerMixin, BaseEstimator):
    """Keep one feature of each cluster with Spearman's |rho| above 0.9.

    Clusters are made by average linkage on 1 − |rho|. The feature kept is the one with the highest
    stability (ICC) where that is known, otherwise the one with the highest mean |rho| with its
    cluster; on a tie the first one.

    Args:
        stability: (columns of X) ICC, NaN where unknown; None if no ICC is known.
    """

    def __init__(self, stability: tuple[float, ...] | None = None) -> None:
        self.stability = stability

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Choose columns from training rows; ``y`` is not used."""
        p = x.shape[1]
        if p < 2:
            self.kept_ = np.arange(p)
            return self
        correlation = np.corrcoef(rankdata(x, axis=0), rowvar=False)
        stable = np.full(p, -1.0) if self.stability is None else np.asarray(self.stability)
        stable = np.nan_to_num(stable, nan=-1.0)
        group = _alike(correlation)
        members = np.argsort(group, kind="stable")
        alone = np.bincount(group)[group] == 1
        kept = np.flatnonzero(alone).tolist()
        members = members[~alone[members]]
        for part in np.split(members, np.flatnonzero(np.diff(group[members])) + 1):
            kept += part[_best(_rho(correlation, part), stable[part])].tolist()
        self.kept_ = np.sort(kept)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the kept columns."""
        return x[:, self.kept_]


def _best(rho: np.ndarray, stable: np.ndarray) -> np.ndarray:
    """Return the columns to keep, one of each cluster, of columns with these |rho| and ICCs."""
    p = len(rho)
    if not p:
        return np.arange(0)
    np.fill_diagonal(rho, 1.0)
    tree = linkage(squareform(1 - rho, checks=False), method="average")
    cluster = fcluster(tree, 1 - REDUNDANT_RHO, criterion="distance")
    same = cluster[:, None] == cluster[None, :]
    typical = (rho * same).sum(axis=1) / same.sum(axis=1)
    order = np.lexsort((np.arange(p), -typical.round(12), -stable))
    _, first = np.unique(cluster[order], return_index=True)
    return np.asarray(order[first])


class Strongest(TransformerMixin, BaseEstimator):
    """Keep the ``k`` columns that score highest, each alone, against the training outcome.

    Args:
        score: (x, y) → (p,) scores; higher is stronger.
        k: number of columns.
    """

    def __init__(self, score: ScoreFunction, k: int = 10) -> None:
        self.score, self.k = score, k

    def fit(self, x: np.ndarray, y: np.ndarray, shared: dict[str, Any] | None = None) -> Self:
        """Choose columns from training rows and their outcomes.

        Args:
            x: (n, p) columns.
            y: (n,) outcome.
            shared: results that models fitted to the same columns and rows have in common.
        """
        shared = {} if shared is None else shared
        key = f"{_ORDER}, {self.score.__qualname__}"
        if key not in shared:
            scores = np.nan_to_num(self.score(x, y), nan=-1.0)
            shared[key] = np.lexsort((np.arange(x.shape[1]), -scores))
        self.kept_ = np.sort(shared[key][: self.k])
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the kept columns."""
        return x[:, self.kept_]


class Cleaned(TransformerMixin, BaseEstimator):
    """Drop near-constant columns, fill gaps, pull in values far out, remove batch effects.

    Last, redundant columns are dropped.

    These are one step because :class:`Unredundant` has to know which columns :class:`Varied` kept.

    Args:
        stability: (columns of X without the batch) ICC, as in :class:`Unredundant`.
        batch: whether column 0 of X holds the code of the batch, for :class:`ComBat`.

    Attributes:
        kept_: indices of the kept columns of X, not counting the batch.
    """

    def __init__(self, stability: tuple[float, ...] | None = None, batch: bool = False) -> None:
        self.stability, self.batch = stability, batch

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Fit all parts on training rows; ``y`` is not used.

        Raises:
            ValueError: no column is left.
        """
        spared = int(self.batch)
        self.varied_ = Varied(spared).fit(x)
        if len(self.varied_.kept_) == spared:
            raise ValueError(
                f"no feature is left in a training fold: all {x.shape[1] - spared} are nearly "
                "constant; give features that vary"
            )
        varied = self.varied_.transform(x)
        self.imputer_ = Filled().fit(varied)
        self.fences_ = Winsorised().fit(varied)
        if self.batch:  # a code is no measurement
            self.fences_.low_[0], self.fences_.high_[0] = -np.inf, np.inf
        filled = self.fences_.transform(self.imputer_.transform(varied))
        self.combat_ = ComBat().fit(filled) if self.batch else None
        if self.combat_ is not None:
            filled = self.combat_.transform(filled)
        left = self.varied_.kept_[spared:] - spared
        stability = None if self.stability is None else tuple(np.asarray(self.stability)[left])
        self.unredundant_ = Unredundant(stability).fit(filled)
        self.kept_ = left[self.unredundant_.kept_]
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the kept columns, without gaps, values far out and batch effects."""
        filled = self.fences_.transform(self.imputer_.transform(self.varied_.transform(x)))
        if self.combat_ is not None:
            filled = self.combat_.transform(filled)
        return np.asarray(self.unredundant_.transform(filled))


def preparation(stability: tuple[float, ...] | None, batch: bool) -> Pipeline:
    """Return the steps for radiomics: :class:`Cleaned`, then scaling."""
    return Pipeline([("clean", Cleaned(stability, batch)), ("scale", StandardScaler())])


def plain_preparation() -> Pipeline:
    """Return the steps for a few chosen columns (volume, clinical)."""
    return Pipeline([("fence", Winsorised()), ("impute", Filled()), ("scale", StandardScaler())])


def _longest_runs(ordered: np.ndarray) -> np.ndarray:
    """Return how often the most frequent value occurs in each sorted column (NaN last)."""
    row = np.arange(len(ordered))[:, None]
    begins = np.ones(ordered.shape, bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    length = row + 1 - np.maximum.accumulate(np.where(begins, row, 0), axis=0)
    longest: np.ndarray = np.where(np.isnan(ordered), 0, length).max(axis=0, initial=0)
    return longest


def _alike(correlation: np.ndarray) -> np.ndarray:
    """Return (p,) numbers of groups of columns: clusters of average linkage lie within a group.

    Two clusters that merge below a distance have two columns, one in each, that are at most so far
    apart. So columns that no chain of such pairs connects are never in one cluster.
    """
    left, right = [], []
    for first in range(0, len(correlation), _BLOCK):
        block = slice(first, first + _BLOCK)
        there, back = np.abs(correlation[block, first:]), np.abs(correlation[first:, block].T)
        i, j = np.nonzero(1 - (there + back) / 2 <= 1 - REDUNDANT_RHO)
        left.append(first + i)
        right.append(first + j)
    pairs = np.concatenate(left), np.concatenate(right)
    edges = coo_array((np.ones(len(pairs[0]), bool), pairs), shape=correlation.shape)
    return np.asarray(connected_components(edges, directed=False)[1])


def _rho(correlation: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return |rho| of these columns, symmetric in spite of rounding."""
    found = np.abs(correlation[np.ix_(columns, columns)])
    return np.asarray(np.nan_to_num((found + found.T) / 2).clip(0, 1))
