"""Fit the models of a plan to training rows; inner folds choose the candidate of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from pancseg.modelling.cross_validation.fit_candidate import fit_candidate
from pancseg.modelling.cross_validation.folds import make_folds
from pancseg.modelling.cross_validation.importance import kept_columns, own_weights
from pancseg.modelling.cross_validation.inner_folds import inner_scores, inner_scores_beside
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.modelling.cross_validation.prepared_blocks import (
    column_names,
    prepared_blocks,
    side_by_side,
    training_tables,
    with_score,
)
from pancseg.modelling.estimators.beside import SCORE, BesideScore


@dataclass(frozen=True)
class FittedModel:
    """A model that was fitted on some rows.

    Attributes:
        preparations: one fitted pipeline per block.
        blocks: names of the blocks.
        model: estimator fitted on the prepared columns of all blocks, side by side.
        columns: names of these columns.
        weights: (columns,) coefficient or importance; 0 if the column is not used, 1 if it is used
            by a model that has neither.
        threshold: score that separates high from low risk.
        choice: index of the chosen candidate.
        beside: weights of the few columns and of the score of a model with ``score_of``.
        flat: whether it predicts the same for all that it was fitted to.
    """

    preparations: tuple[Pipeline, ...]
    blocks: tuple[str, ...]
    model: Any
    columns: tuple[str, ...]
    weights: np.ndarray
    threshold: float
    choice: int
    beside: Mapping[str, float] | None = None
    flat: bool = False

    def prepared(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return (n, columns) prepared values that the model sees, from the values by block."""
        if not self.blocks:
            return np.empty((len(next(iter(x.values()))), 0))
        parts = zip(self.blocks, self.preparations, strict=True)
        return np.hstack([preparation.transform(x[name]) for name, preparation in parts])


def fit_specs(plan: ValidationPlan, train: np.ndarray, seed: int) -> dict[str, FittedModel]:
    """Fit every model on the training rows alone; inner folds choose its candidate.

    Args:
        plan: the validation plan, with all rows.
        train: indices of the training rows.
        seed: random seed of the inner folds.
    """
    y = plan.y[train]
    folds = make_folds(plan.strata[train], plan.groups[train], plan.inner, seed)
    inner = inner_scores(plan, train, folds)
    prepared = prepared_blocks(plan, train, plan.blocks)
    found: dict[str, FittedModel] = {}
    for spec in plan.specs:
        scores = inner.scores.get(spec.name)
        if spec.score_of is not None:
            outside = inner.linear[spec.score_of][found[spec.score_of].choice]
            scores = inner_scores_beside(plan, spec, inner, outside, train, folds)
        choice = 0
        if scores is not None:
            losses = [plan.task.loss(y, score, folds) for score in scores]
            choice = int(np.argmin(np.round(losses, 9)))
        if spec.score_of is None:
            x = side_by_side(prepared, spec.blocks, train)
            model = fit_candidate(
                spec.candidates[choice], training_tables(prepared, spec.blocks, train), y
            )
            blocks, beside = spec.blocks, None
        else:
            first = found[spec.score_of]
            blocks = (*first.blocks, *spec.blocks)
            few, x = (side_by_side(prepared, names, train) for names in (spec.blocks, blocks))
            tables = training_tables(prepared, spec.blocks, train)
            last = fit_candidate(spec.candidates[choice], with_score(tables, outside), y)
            width = x.shape[1] - few.shape[1]
            centre = float(plan.task.linear(first.model, x[:, :width]).mean())
            model = BesideScore(first.model, width, few.shape[1], centre, last, plan.task.linear)
            weights = own_weights(last)
            names = [*column_names(prepared, spec.blocks, plan.blocks), SCORE]
            values = np.ones(len(names)) if weights is None else weights
            beside = dict(zip(names, map(float, values), strict=True))
        seen = plan.task.predict(model, x)
        threshold = plan.task.threshold(y, seen if scores is None else scores[choice], seen)
        weights = np.zeros(x.shape[1])
        used, own = kept_columns(model, x.shape[1]), own_weights(model)
        weights[used] = 1.0 if own is None else own[: len(used)]
        found[spec.name] = FittedModel(
            tuple(prepared[name].steps for name in blocks),
            blocks,
            model,
            column_names(prepared, blocks, plan.blocks),
            weights,
            threshold,
            choice,
            beside,
            bool(np.ptp(seen) == 0),
        )
    return found
