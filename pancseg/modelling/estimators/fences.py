"""Fill gaps and pull in values far outside their column, by what the training rows say."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

FAR_OUT = 3.0
"""Tukey's "far out": more than this many interquartile ranges beyond the quartiles."""
_TAIL = 0.05


class Filled(TransformerMixin, BaseEstimator):
    """Replace missing values by the median of the training rows; in 0/1 columns by their mean.

    Zero would make a patient of unknown category one of the reference category. A column without
    any value is filled with zeros.

    Attributes:
        statistics_: (p,) what replaces a missing value.
    """

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Take medians and means from training rows; ``y`` is not used."""
        gaps = np.isnan(x).any(axis=0)
        self.statistics_ = np.zeros(x.shape[1])
        if len(x):
            self.statistics_[~gaps] = _typical(x[:, ~gaps])
        for j in np.flatnonzero(gaps):
            known = x[~np.isnan(x[:, j]), j]
            self.statistics_[j] = _typical(known[:, None])[0] if len(known) else 0.0
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the values without gaps."""
        return np.asarray(np.where(np.isnan(x), self.statistics_, x))


class Winsorised(TransformerMixin, BaseEstimator):
    """Move values beyond a column's fences onto them, so that one typing error hides nothing.

    The fences are those of :func:`fences`, of the training rows.

    Attributes:
        low_, high_: (p,) fences; infinite where a column has none.
    """

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Take fences from training rows; ``y`` is not used."""
        self.low_, self.high_ = fences(x)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the values between the fences."""
        return np.asarray(np.clip(x, self.low_, self.high_))


def fences(x: np.ndarray, reach: float = FAR_OUT) -> tuple[np.ndarray, np.ndarray]:
    """Return (p,) lower and upper fences of the columns of (n, p) values; gaps do not count.

    They are ``reach`` interquartile ranges beyond the quartiles (Tukey 1977), but leave at most one
    value in twenty outside on each side: a column with many zeros keeps its values. Where the
    quartiles are equal, the range of the middle 90 % counts instead; where that is zero, too, there
    are no fences. The fences of a column without values are infinite.
    """
    low, high = np.full((2, x.shape[1]), np.inf)
    low = -low
    gaps = np.isnan(x).any(axis=0)
    if len(x):
        low[~gaps], high[~gaps] = _fences(x[:, ~gaps], reach)
    for j in np.flatnonzero(gaps):
        known = x[~np.isnan(x[:, j]), j]
        if len(known):
            (low[j],), (high[j],) = _fences(known[:, None], reach)
    return low, high


def _fences(x: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Return fences of columns without gaps."""
    values = np.sort(x, axis=0)
    edge = int(_TAIL * (len(values) - 1))
    edge = max(edge, 1) if len(values) > 2 else edge
    least, most = values[edge], values[-1 - edge]
    first, third = np.quantile(values, [0.25, 0.75], axis=0)
    spread = np.where(third > first, third - first, most - least)
    low = np.minimum(first - reach * spread, least)
    high = np.maximum(third + reach * spread, most)
    return np.where(spread > 0, low, -np.inf), np.where(spread > 0, high, np.inf)


def _typical(values: np.ndarray) -> np.ndarray:
    """Return (p,) medians of columns without gaps; of 0/1 columns their means."""
    binary = ((values == 0) | (values == 1)).all(axis=0)
    typical: np.ndarray = np.where(binary, values.mean(axis=0), np.median(values, axis=0))
    return typical
