"""Keep one feature of each cluster of features that say nearly the same."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, TransformerMixin

REDUNDANT_RHO = 0.9
_UNSURE = 1e-3
"""More than single precision changes a correlation."""
_BLOCK = 256
"""Columns whose correlations are computed together: they stay in the CPU's cache."""


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
        if p < 2 or len(x) < 2:
            self.kept_ = np.arange(p)
            return self
        ranks = rankdata(x, axis=0)
        ranks -= ranks.mean(axis=0)
        stable = np.full(p, -1.0) if self.stability is None else np.asarray(self.stability)
        stable = np.nan_to_num(stable, nan=-1.0)
        self.kept_ = np.sort(
            [
                cluster[_best(ranks[:, cluster], stable[cluster])]
                for group in _members(_connected(ranks))
                for cluster in _split(ranks, group)
            ]
        )
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the kept columns."""
        return x[:, self.kept_]


def _connected(ranks: np.ndarray) -> np.ndarray:
    """Return (p,) numbers of groups of columns: clusters of average linkage lie within a group.

    Two clusters that merge below a distance have two columns, one in each, that are at most so far
    apart. So columns that no chain of such pairs connects are never in one cluster.

    Args:
        ranks: (n, p) centred ranks.
    """
    length = _deviation(ranks) * np.sqrt(len(ranks) - 1)
    z = np.ascontiguousarray((ranks / length).T, dtype=np.float32)
    p, left, right = len(z), [], []
    for first in range(0, p, _BLOCK):
        for second in range(first, p, _BLOCK):
            rho = np.abs(z[first : first + _BLOCK] @ z[second : second + _BLOCK].T).ravel()
            near = np.flatnonzero(rho >= REDUNDANT_RHO - _UNSURE)
            i, j = np.divmod(near, min(_BLOCK, p - second))
            i, j = first + i, second + j
            unsure = rho[near] < REDUNDANT_RHO + _UNSURE
            exact = _rho_of_pairs(ranks, i[unsure], j[unsure])
            apart = np.flatnonzero(unsure)[1 - exact > 1 - REDUNDANT_RHO]
            left.append(np.delete(i, apart))
            right.append(np.delete(j, apart))
    pairs = np.concatenate(left), np.concatenate(right)
    edges = coo_array((np.ones(len(pairs[0]), bool), pairs), shape=(p, p))
    return np.asarray(connected_components(edges, directed=False)[1])


def _split(ranks: np.ndarray, group: np.ndarray) -> list[np.ndarray]:
    """Return the clusters of a group of columns.

    Args:
        ranks: (n, p) centred ranks of all columns.
        group: indices of the columns to be clustered.
    """
    count, end = len(group), 0
    if count == 1:
        return [group]
    ranks = ranks[:, group]
    distance = np.empty(count * (count - 1) // 2)  # of the first column to all later ones, …
    for first in range(0, count, _BLOCK):
        rho = _rho(ranks[:, first : first + _BLOCK], ranks[:, first:])
        for number, row in enumerate(rho, start=1):
            begin, end = end, end + len(row) - number
            distance[begin:end] = 1 - row[number:]
    tree = linkage(distance, method="average")
    if tree[-1, 2] <= 1 - REDUNDANT_RHO:  # as of most small groups; fcluster takes its time
        return [group]
    numbers = fcluster(tree, 1 - REDUNDANT_RHO, criterion="distance")
    return [group[members] for members in _members(numbers)]


def _best(ranks: np.ndarray, stable: np.ndarray) -> int:
    """Return the column of a cluster to keep, by its columns' centred ranks and ICCs."""
    count = len(stable)
    if count == 1:
        return 0
    blocks = (ranks[:, first : first + _BLOCK] for first in range(0, count, _BLOCK))
    typical = np.concatenate([_rho(block, ranks).mean(axis=1) for block in blocks])
    return int(np.lexsort((np.arange(count), -typical.round(12), -stable))[0])


def _rho_of_pairs(ranks: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return |rho| of each pair (i, j) of columns within a block, by all centred ranks."""
    (a, row), (b, column) = np.unique(i, return_inverse=True), np.unique(j, return_inverse=True)
    return np.asarray(_rho(ranks[:, a], ranks[:, b])[row, column])


def _rho(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return |rho| of each left with each right column, given by their centred ranks.

    It is rounded as the mean of ``numpy.corrcoef`` and its transpose: correlations of ranks are
    often equal, and then the last bit decides which columns are joined first. The sum of products
    has no error, in whatever order it is taken: centred ranks are multiples of ½, and the sum is
    below n³ / 12, thus below 2⁵³ quarters up to 300,000 rows.
    """
    covariance = np.abs(left.T @ right * _share(left))
    a, b = _deviation(left)[:, None], _deviation(right)
    there, back = covariance / a / b, covariance / b / a
    return np.asarray((np.minimum(there, 1.0) + np.minimum(back, 1.0)) / 2)


def _deviation(ranks: np.ndarray) -> np.ndarray:
    """Return columns' standard deviations; infinite where nothing varies, so that rho is 0."""
    found = np.sqrt(np.einsum("ij,ij->j", ranks, ranks) * _share(ranks))
    return np.asarray(np.where(found > 0, found, np.inf))


def _share(ranks: np.ndarray) -> float:
    """Return a row's share of a covariance."""
    return 1 / (len(ranks) - 1)


def _members(numbers: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each group's members, from the number of each member's group."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
