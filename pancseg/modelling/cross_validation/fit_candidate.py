"""Fit one candidate estimator to prepared columns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from pancseg.modelling.estimators.averaged import Shared, fit_averaged


def fit_candidate(
    candidate: BaseEstimator,
    tables: Sequence[np.ndarray],
    y: np.ndarray,
    shared: Shared | None = None,
) -> Any:
    """Return a candidate fitted to one table, or the average of its fits to several.

    Args:
        candidate: unfitted estimator; a copy of it is fitted.
        tables: prepared columns (n, columns) of the training rows, one table per imputation.
        y: (n,) outcome of these rows.
        shared: for each table, what candidates fitted to it have in common; kept for the next.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of solvers: models are judged by their predictions
        if len(tables) > 1:
            return fit_averaged(candidate, tables, y, shared or [{} for _ in tables])
        model, words = clone(candidate), {}
        if shared is not None:
            # of a pipeline the first step alone: later ones see the columns that it selected
            steps = model.steps[:1] if isinstance(model, Pipeline) else [("", model)]
            takes = (name for name, step in steps if has_fit_parameter(step, "shared"))
            words = {f"{name}__shared" if name else "shared": shared[0] for name in takes}
        return model.fit(tables[0], y, **words)
