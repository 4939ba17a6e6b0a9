"""Find patients whose features are almost the same, and ids that differ in the last letter only."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

_FEWEST_FEATURES, _MOST_FEATURES = 10, 200
_FEWEST_ROWS, _MOST_ROWS = 20, 4000
_NEAR, _WIDE = 5, 15
"""Neighbours by which near and ordinary distances are told apart."""
_LEVEL = 1e-5
"""Strict, as the number of dimensions is itself an estimate, and density varies."""
_LETTER = re.compile(r"(.*\d[ _-]?)[A-Za-z]")
_FEWEST_PAIRS, _LARGEST_STEM = 5, 4


def near_twins(values: pd.DataFrame, groups: np.ndarray) -> list[tuple[str, str]]:
    """Return pairs of ids, of different groups, whose features are far nearer than chance allows.

    The distance of two patients is the mean difference of their ranks. In d dimensions, the ratio
    of a nearest to a k-th nearest distance is below r with a probability of about (k − 1)·r^d. With
    d estimated from the wider neighbours (Levina and Bickel 2004), a pair is named where this is
    below 1e-5 for the whole cohort, on both sides. Features that are all correlated make d small,
    and then only the nearest twins are found.

    Args:
        values: (n, features) numbers; the index is the id.
        groups: (n,) rows with equal values stay in one fold and are not compared.
    """
    n = len(values)
    varied = values.loc[:, values.nunique() > n / 2]
    if varied.shape[1] < _FEWEST_FEATURES or not _FEWEST_ROWS <= n <= _MOST_ROWS:
        return []
    step = max(1, -(-varied.shape[1] // _MOST_FEATURES))
    ranks = rankdata(varied.to_numpy(float)[:, ::step], axis=0, nan_policy="omit") / n
    ranks = np.where(np.isnan(ranks), 0.5, ranks)
    distance = cdist(ranks, ranks, "cityblock") / ranks.shape[1]
    _, codes = np.unique(groups, return_inverse=True)
    distance[codes[:, None] == codes[None, :]] = np.inf
    nearest = np.sort(distance, axis=1)[:, :_WIDE]
    if not np.isfinite(nearest).all() or (nearest[:, _NEAR - 1] <= 0).any():
        return []
    between = np.log(nearest[:, -1:] / nearest[:, _NEAR - 1 : -1])
    dimensions = 1 / max(float(between.mean()), 1e-6)
    ratio = distance / nearest[:, _NEAR - 1 : _NEAR]
    unlikely = n * (_NEAR - 1) * np.minimum(ratio, 1.0) ** dimensions < _LEVEL
    first, second = np.nonzero(np.triu(unlikely & unlikely.T))
    ids = values.index.map(str)
    order = np.argsort(distance[first, second], kind="stable")
    return [(ids[first[k]], ids[second[k]]) for k in order]


def letter_twins(ids: pd.Index[str], groups: np.ndarray) -> list[tuple[str, str]]:
    """Return pairs of ids, of different groups, such as P01a and P01b; fewer than 5 do not count.

    Args:
        ids: (n,) ids.
        groups: (n,) rows with equal values stay in one fold.
    """
    stems: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(map(str, ids)):
        if found := _LETTER.fullmatch(name):
            stems[found[1]].append(row)
    pairs = [
        (str(ids[rows[0]]), str(ids[other]))
        for rows in stems.values()
        if 1 < len(rows) <= _LARGEST_STEM
        for other in rows[1:]
        if groups[other] != groups[rows[0]]
    ]
    return pairs if len(pairs) >= _FEWEST_PAIRS else []
