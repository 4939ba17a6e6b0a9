"""Remove effects of scanner or site on location and scale (ComBat), fitted on training rows.

Johnson, Li and Rabinovic 2007 (Biostatistics 8:118), parametric empirical Bayes. There are no
covariates; in particular the outcome is never one.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

FEWEST_ROWS = 5
"""Fewest training rows of a batch; fewer give no usable variance."""
_ROUNDS, _ENOUGH = 200, 1e-6


class ComBat(TransformerMixin, BaseEstimator):
    """Remove batch effects; column 0 of X holds the code of the batch and is dropped.

    Attributes:
        batches_: codes of the batches in the training rows.
        mean_: (p,) grand mean.
        scale_: (p,) pooled standard deviation.
        shift_: (batches, p) empirical-Bayes location.
        spread_: (batches, p) empirical-Bayes standard deviation.
    """

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Estimate batch effects from training rows; ``y`` is not used.

        Raises:
            ValueError: a batch with fewer than ``FEWEST_ROWS`` rows.
        """
        batch, values = x[:, 0].astype(int), x[:, 1:]
        self.batches_, counts = np.unique(batch, return_counts=True)
        if counts.min() < FEWEST_ROWS:
            raise ValueError(
                f"`batch`: a scanner or site has {counts.min()} patients in a training fold; at "
                f"least {FEWEST_ROWS} are needed: merge it with another or leave it out"
            )
        members = [batch == b for b in self.batches_]
        means = np.array([values[rows].mean(axis=0) for rows in members])
        self.mean_ = counts @ means / counts.sum()
        residuals = values - means[np.searchsorted(self.batches_, batch)]
        scale = np.sqrt((residuals**2).mean(axis=0))
        self.scale_ = np.where(scale > 1e-12, scale, 1.0)
        z = (values - self.mean_) / self.scale_
        found = [_shrunken(z[rows]) for rows in members]
        self.shift_ = np.array([shift for shift, _ in found])
        self.spread_ = np.array([spread for _, spread in found])
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return (n, p) values without the batches' shifts and spreads.

        Raises:
            ValueError: a batch that was not in the training rows.
        """
        batch = x[:, 0].astype(int)
        index = np.searchsorted(self.batches_, batch).clip(max=len(self.batches_) - 1)
        unseen = self.batches_[index] != batch
        if unseen.any():
            raise ValueError(
                f"`batch`: {int(unseen.sum())} patients are of a scanner or site that the model "
                "has not seen, so ComBat cannot harmonise them; leave them out, or fit a model "
                "without `batch`"
            )
        z = (x[:, 1:] - self.mean_) / self.scale_
        z = (z - self.shift_[index]) / self.spread_[index]
        return np.asarray(z * self.scale_ + self.mean_)


def _shrunken(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch's location and standard deviation, shrunk towards their mean over features."""
    n = len(z)
    mean, variance = z.mean(axis=0), z.var(axis=0, ddof=1)
    variance = np.where(variance > 1e-12, variance, 1.0)
    if len(mean) < 2:
        return mean, np.sqrt(variance)
    prior_mean, prior_variance = mean.mean(), mean.var(ddof=1)
    m, s2 = variance.mean(), variance.var(ddof=1)
    if prior_variance < 1e-12 or s2 < 1e-12:
        return mean, np.sqrt(variance)
    shape, scale = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
    shift, spread = mean, variance
    for _ in range(_ROUNDS):
        next_shift = (n * prior_variance * mean + spread * prior_mean) / (
            n * prior_variance + spread
        )
        squares = ((z - next_shift) ** 2).sum(axis=0)
        next_spread = (scale + squares / 2) / (n / 2 + shape - 1)
        moved = max(np.abs(next_shift - shift).max(), np.abs(next_spread - spread).max())
        shift, spread = next_shift, next_spread
        if moved < _ENOUGH:
            break
    return shift, np.sqrt(spread)
