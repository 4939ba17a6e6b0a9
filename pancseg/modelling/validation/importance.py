"""Owns what a fitted model says of its columns, and what shuffling them says of a silent one.

Knows nothing about folds: whoever calls decides which rows are shuffled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

SHUFFLES = 5
"""Of each column; more of them take time and change little beside the spread over folds."""


def kept_columns(model: Any, width: int) -> np.ndarray:
    """Return which of the ``width`` columns that a model is given its last step sees."""
    selects = isinstance(model, Pipeline) and "select" in model.named_steps
    return np.asarray(model.named_steps["select"].kept_) if selects else np.arange(width)


def own_weights(model: Any) -> np.ndarray | None:
    """Return coefficients or importances of the columns kept; None: the model has neither."""
    last = _last(model)
    own = getattr(last, "coef_", getattr(last, "feature_importances_", None))
    return None if own is None else np.ravel(own)


def permuted_weights(
    model: Any, x: np.ndarray, loss: Callable[[Any, np.ndarray], float], shuffles: int, seed: int
) -> np.ndarray:
    """Return (columns,) mean rise of the loss when a column is shuffled; 0 where none was kept.

    Args:
        model: fitted, on columns as in ``x``.
        x: (n, columns) rows that it has not seen.
        loss: of the model's last step on (n, columns kept); lower is better.
        shuffles: of each column kept.
        seed: of the shuffles.
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
