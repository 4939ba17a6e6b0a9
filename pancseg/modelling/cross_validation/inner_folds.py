"""Score the candidates of each model out of the inner folds of some training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pancseg.modelling.cross_validation.fit_candidate import fit_candidate
from pancseg.modelling.cross_validation.plan import ModelSpec, PredictionTask, ValidationPlan
from pancseg.modelling.cross_validation.prepared_blocks import (
    PreparedBlock,
    prepared_blocks,
    side_by_side,
    training_tables,
    with_score,
)
from pancseg.modelling.estimators.averaged import Shared


@dataclass(frozen=True)
class InnerScores:
    """What the inner folds found.

    Attributes:
        scores: model → (candidates, n) out-of-fold scores.
        linear: model whose score others use → (candidates, n) out-of-fold linear predictors, less
            their mean over the rows that were fitted: two folds' models have two intercepts.
        few: for each fold, the prepared blocks that are put beside a score.
    """

    scores: dict[str, np.ndarray]
    linear: dict[str, np.ndarray]
    few: list[dict[str, PreparedBlock]]


def inner_scores(plan: ValidationPlan, train: np.ndarray, folds: np.ndarray) -> InnerScores:
    """Score the candidates of every model without ``score_of`` out of the inner folds.

    A single candidate is scored only where its scores are needed: by the task's threshold, or
    as a column of another model.

    Args:
        plan: the validation plan, with all rows.
        train: (n,) indices of the training rows.
        folds: (n,) inner folds.
    """
    y, n = plan.y[train], len(train)
    beside = [spec for spec in plan.specs if spec.score_of is not None]
    used = {spec.score_of for spec in beside}
    own = [
        spec
        for spec in plan.specs
        if spec.score_of is None
        and (len(spec.candidates) > 1 or _wants_inner_scores(plan.task) or spec.name in used)
    ]
    blocks = {name for spec in (*own, *beside) for name in spec.blocks}
    found = InnerScores(
        {spec.name: np.full((len(spec.candidates), n), np.nan) for spec in own},
        {
            spec.name: np.full((len(spec.candidates), n), np.nan)
            for spec in own
            if spec.name in used
        },
        [],
    )
    for number in range(plan.inner if own else 0):
        fit, judge = folds != number, folds == number
        if not judge.any():
            found.few.append({})
            continue
        prepared = prepared_blocks(plan, train[fit], blocks)
        common: dict[tuple[str, ...], Shared] = {}
        for spec in own:
            x = side_by_side(prepared, spec.blocks, train)
            tables = training_tables(prepared, spec.blocks, train[fit])
            shared = common.setdefault(spec.blocks, [{} for _ in tables])
            for index, candidate in enumerate(spec.candidates):
                model = fit_candidate(candidate, tables, y[fit], shared)
                found.scores[spec.name][index, judge] = plan.task.predict(model, x[judge])
                if spec.name in used:
                    own_scale = plan.task.linear(model, x)
                    centred = own_scale[judge] - own_scale[fit].mean()
                    found.linear[spec.name][index, judge] = centred
        few = {name for spec in beside for name in spec.blocks}
        found.few.append({name: prepared[name] for name in few})
    return found


def inner_scores_beside(
    plan: ValidationPlan,
    spec: ModelSpec,
    inner: InnerScores,
    outside: np.ndarray,
    train: np.ndarray,
    folds: np.ndarray,
) -> np.ndarray:
    """Return (candidates, n) out-of-fold scores of a model of few columns beside a score.

    Args:
        plan: the validation plan, with all rows.
        spec: the model.
        inner: what the inner folds found.
        outside: (n,) the score.
        train: (n,) indices of the training rows.
        folds: (n,) inner folds.
    """
    y = plan.y[train]
    found = np.full((len(spec.candidates), len(outside)), np.nan)
    for number, few in enumerate(inner.few):
        fit, judge = folds != number, folds == number
        if not judge.any():
            continue
        x = np.column_stack([side_by_side(few, spec.blocks, train), outside])
        tables = with_score(training_tables(few, spec.blocks, train[fit]), outside[fit])
        for index, candidate in enumerate(spec.candidates):
            model = fit_candidate(candidate, tables, y[fit])
            found[index, judge] = plan.task.predict(model, x[judge])
    return found


def _wants_inner_scores(task: PredictionTask) -> bool:
    return bool(getattr(task, "threshold_needs_inner", False))
