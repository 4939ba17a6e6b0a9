"""What is cross-validated: the columns, the models, what they predict, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline


class PredictionTask(Protocol):
    """What is predicted.

    * ``predict`` returns one score per row; higher scores mean the event or the positive class.
    * ``linear`` returns the score on the scale of a linear predictor: log odds or log hazards.
    * ``curves`` returns survival probabilities (rows, times), or None for classes.
    * ``loss`` judges a candidate by its out-of-fold scores of training rows; lower is better.
    * ``threshold`` returns the score that separates high from low risk, from the inner out-of-fold
      scores and the scores of the training rows.
    """

    def predict(self, model: Any, x: np.ndarray) -> np.ndarray: ...  # noqa: D102
    def linear(self, model: Any, x: np.ndarray) -> np.ndarray: ...  # noqa: D102
    def curves(self, model: Any, x: np.ndarray) -> np.ndarray | None: ...  # noqa: D102
    def loss(self, y: np.ndarray, score: np.ndarray, fold: np.ndarray) -> float: ...  # noqa: D102
    def threshold(  # noqa: D102
        self, y: np.ndarray, inner: np.ndarray, training: np.ndarray
    ) -> float: ...


@dataclass(frozen=True)
class FeatureBlock:
    """Columns that are prepared together.

    Attributes:
        x: (n, p) values; column 0 is the batch where ``names`` has one entry fewer.
        names: names of the columns, without the batch.
        preparation: unfitted steps.
    """

    x: np.ndarray
    names: tuple[str, ...]
    preparation: Pipeline


@dataclass(frozen=True)
class ModelSpec:
    """A model to be judged.

    Attributes:
        name: its name in the report.
        blocks: names of the feature blocks whose prepared columns it sees, side by side.
        candidates: unfitted estimators, the simplest first; the inner folds choose one.
        shuffles: number of shuffles of each column among the held-out rows, to weigh the columns of
            a model with neither coefficients nor importances; 0: they are not weighed.
        score_of: name of an earlier model, without such a score of its own, whose score is one more
            column, the last: its inner out-of-fold score where this model is trained.
    """

    name: str
    blocks: tuple[str, ...]
    candidates: tuple[BaseEstimator, ...]
    shuffles: int = 0
    score_of: str | None = None


@dataclass(frozen=True)
class ValidationPlan:
    """The data, models and folds of a validation.

    Attributes:
        y: (n,) outcome.
        strata: (n,) integers that folds are balanced by; odd ones have the event or class 1.
        groups: (n,) rows with equal values stay in one fold.
        blocks: columns by name.
        specs: the models to be judged.
        task: what is predicted.
        outer: number of outer folds.
        inner: number of inner folds.
        repeats: number of times that the folds are drawn.
        seed: random seed of folds and models.
    """

    y: np.ndarray
    strata: np.ndarray
    groups: np.ndarray
    blocks: Mapping[str, FeatureBlock]
    specs: Sequence[ModelSpec]
    task: PredictionTask
    outer: int = 5
    inner: int = 5
    repeats: int = 5
    seed: int = 0


def only(plan: ValidationPlan, name: str) -> ValidationPlan:
    """Return the plan with the model ``name`` alone."""
    specs = [spec for spec in plan.specs if spec.name == name]
    blocks = {block: plan.blocks[block] for spec in specs for block in spec.blocks}
    return replace(plan, specs=specs, blocks=blocks)
