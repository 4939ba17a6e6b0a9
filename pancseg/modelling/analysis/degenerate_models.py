"""Detect models that use no column or predict the same for everybody, and pairs that are alike."""

from __future__ import annotations

import numpy as np

from pancseg.modelling.cross_validation.out_of_fold import ValidationResult
from pancseg.modelling.estimators.beside import SCORE
from pancseg.modelling.study import BOTH


def empty_models(validation: ValidationResult, name: str) -> tuple[int, int]:
    """Return how many of a model's outer models used no column, and how many there are."""
    weights = validation.models[name].weights
    return sum(not used for used in weights), len(weights)


def flat_share(validation: ValidationResult, name: str) -> float:
    """Return the share of outer models that predict the same for all patients.

    They used no column, or are trees that had too few patients for a single split. A model of a
    rare 0/1 column is none of them, though a fold's patients may all have the same value.
    """
    flat = validation.models[name].flat
    return float(np.mean(flat)) if flat else 0.0


def without_weight(validation: ValidationResult) -> tuple[int, int]:
    """Return in how many of the models clinical + radiomics the score has no weight, and of all."""
    if BOTH not in validation.models:
        return 0, 1
    weights = validation.models[BOTH].weights
    return sum(not used.get(SCORE) for used in weights), len(weights)


def same_scores(validation: ValidationResult, a: str, b: str) -> bool:
    """Return whether two models are both there and have the same out-of-fold scores."""
    models = validation.models
    return a in models and b in models and np.allclose(models[a].score, models[b].score)
