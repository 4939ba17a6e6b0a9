"""Weigh the columns of a fitted model: by its coefficients or importances, else by permutation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from pancseg.modelling.estimators.beside import BesideScore

SHUFFLES = 5
"""Shuffles of each column; more take time and change little compared with the spread over folds."""


def kept_columns(model: Any, width: int) -> np.ndarray:
    """Return indices of those of the model's ``width`` columns that its last step uses."""
    if isinstance(model, BesideScore):
        few = np.arange(model.width, width)
        return np.concatenate([kept_columns(model.first, model.width), few])
    selects = isinstance(model, Pipeline) and "select" in model.named_steps
    return np.asarray(model.named_steps["select"].kept_) if selects else np.arange(width)


def own_weights(model: Any) -> np.ndarray | None:
    """Return coefficients or importances of the kept columns; None if the model has neither.

    Beside a score, those of the score's model are multiplied by the score's own.
    """
    if isinstance(model, BesideScore):
        first, last = own_weights(model.first), own_weights(model.last)
        return None if first is None or last is None else np.append(first * last[-1], last[:-1])
    last = _last(model)
    found = getattr(last, "coef_", getattr(last, "feature_importances_", None))
    return None if found is None else np.ravel(found)


def permuted_weights(
    model: Any, x: np.ndarray, loss: Callable[[Any, np.ndarray], float], shuffles: int, seed: int
) -> np.ndarray:
    """Return (columns,) mean rise of the loss when a column is shuffled; 0 for columns not kept.

    Args:
        model: fitted on columns as in ``x``.
        x: (n, columns) rows that the model has not seen; the caller chooses them.
        loss: loss of the model's last step on (n, kept columns); lower is better.
        shuffles: number of shuffles of each kept column.
        seed: random seed of the shuffles.
    """
    kept = kept_columns(model, x.shape[1])
    found = permutation_importance(
        _last(model),
        x[:, kept],
        None,
        scoring=lambda last, values, y: -loss(last, values),
        n_repeats=shuffles,
        random_state=seed,
    )
    weights = np.zeros(x.shape[1])
    weights[kept] = found.importances_mean
    return weights


def _last(model: Any) -> Any:
    return model[-1] if isinstance(model, Pipeline) else model
