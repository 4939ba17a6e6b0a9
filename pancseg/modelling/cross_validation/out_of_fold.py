"""Predictions for rows that the models were not fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of one model for rows that it was not fitted to.

    Attributes:
        score: (repeats, n).
        threshold: (repeats, n) threshold of the outer fold that a row was tested in.
        curves: (repeats, n, times) survival probabilities, or None.
        weights: for each outer fold, name of a used column → coefficient or importance; of a model
            beside a score, name of each column and ``SCORE``.
        choices: for each outer fold, index of the chosen candidate.
        flat: for each outer fold, whether its model predicts the same for all patients, those that
            it was fitted to included.
    """

    score: np.ndarray
    threshold: np.ndarray
    curves: np.ndarray | None
    weights: tuple[dict[str, float], ...]
    choices: tuple[int, ...]
    flat: tuple[bool, ...] = ()


@dataclass(frozen=True)
class ValidationResult:
    """Out-of-fold predictions of all models on the same folds.

    Attributes:
        folds: (repeats, n) number of the outer fold that a row was tested in.
        models: predictions by name of the model.
    """

    folds: np.ndarray
    models: dict[str, OutOfFold]
