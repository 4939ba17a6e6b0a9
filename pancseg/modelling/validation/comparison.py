"""Test whether the out-of-fold score of one model adds to that of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit
from scipy.stats import norm

from pancseg.modelling.estimators.cox_solver import newton_cox, partial_loss
from pancseg.modelling.estimators.logistic import newton_logistic
from pancseg.modelling.validation.measures import Estimate


@dataclass(frozen=True)
class Comparison:
    """Model a less model b, which were fitted in the same folds.

    Attributes:
        discrimination: difference in AUC or Harrell's C, where b counts as 0.5 at least.
        brier: difference in the (integrated) Brier score; below 0, a is better.
        net_benefit: difference in net benefit.
        added_p: p-value of :func:`added`; NaN where rows are not patients.
    """

    discrimination: Estimate
    brier: Estimate
    net_benefit: Estimate
    added_p: float


def added(y: np.ndarray, a: np.ndarray, b: np.ndarray, folds: np.ndarray) -> float:
    """Return the p-value of a likelihood-ratio test: does the score of a add to the one of b?

    The smaller model, logistic or Cox, has b's out-of-fold score, the larger one a's too. Within
    each fold scores are centred, as two folds have two models. Out of fold a useless score is
    slightly opposed to the outcome, so only a positive coefficient counts: the test is one-sided.
    The result is that of the median root of the statistic over repeats, which is conservative.

    Args:
        y: (n,) outcome.
        a: (repeats, n) scores.
        b: (repeats, n) scores.
        folds: (repeats, n) folds.
    """
    roots = [_root(y, *(_centred(y, score, fold) for score in (more, base)))
             for more, base, fold in zip(a, b, folds, strict=True)]  # fmt: skip
    root = float(np.median(roots))
    return 1.0 if root == 0 else float(norm.sf(root))


def _centred(y: np.ndarray, score: np.ndarray, fold: np.ndarray) -> np.ndarray:
    found = score if y.dtype.names else logit(np.clip(score, 1e-3, 1 - 1e-3))
    means = np.bincount(fold, found) / np.maximum(np.bincount(fold), 1)
    found = found - means[fold]
    spread = found.std()
    return np.asarray(found / spread if spread > 1e-9 else np.zeros(len(found)))


def _root(y: np.ndarray, more: np.ndarray, base: np.ndarray) -> float:
    """Return the signed root of the likelihood ratio; 0 where the score adds nothing."""
    if not more.any() or abs(more @ base) / len(more) > 1 - 1e-9:
        return 0.0
    x = np.column_stack([base, more])
    with_both, coefficient = _log_likelihood(x, y)
    ratio = 2 * (with_both - _log_likelihood(x[:, :1], y)[0])
    return float(np.sign(coefficient) * np.sqrt(max(ratio, 0.0)))


def _log_likelihood(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the log likelihood of a fitted model, and its last coefficient."""
    weak = 0.1 / len(x)  # keeps a score that separates the classes finite
    if y.dtype.names:
        beta = newton_cox(x, y, weak, 0.0)
        return -partial_loss(x @ beta, y) * len(y), float(beta[-1])
    beta, intercept = newton_logistic(x, y, 0.0, weak)
    eta = x @ beta + intercept
    return float((y * eta - np.logaddexp(0, eta)).sum()), float(beta[-1])
