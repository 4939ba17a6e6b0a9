"""Validate models by repeated nested cross-validation, fitting everything on training rows.

Rows of one patient stay in one fold. What differs between subtype and survival is in a
:class:`.PredictionTask`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import delayed
from threadpoolctl import threadpool_limits

from pancseg.modelling.cross_validation.fitted_models import fit_specs
from pancseg.modelling.cross_validation.folds import outer_folds, outer_seed
from pancseg.modelling.cross_validation.importance import own_weights, permuted_weights
from pancseg.modelling.cross_validation.out_of_fold import OutOfFold, ValidationResult
from pancseg.modelling.cross_validation.parallel import in_processes
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.system.processes.python_child import safe_children


def validate(
    plan: ValidationPlan, workers: int = 1, tell: Callable[[str], None] = lambda line: None
) -> ValidationResult:
    """Return out-of-fold predictions; they do not depend on the number of workers.

    Args:
        plan: what to validate.
        workers: number of processes.
        tell: called with a line after each outer fold.
    """
    n = len(plan.y)
    folds = np.array([outer_folds(plan, repeat) for repeat in range(plan.repeats)])
    outer = [(r, f) for r in range(plan.repeats) for f in range(plan.outer)]
    jobs = (delayed(_outer_fold)(plan, folds[r] == f, outer_seed(plan, r, f)) for r, f in outer)
    results = []
    with safe_children():
        for (r, f), result in zip(outer, in_processes(jobs, workers), strict=True):
            results.append(result)
            tell(f"repeat {r + 1}, fold {f + 1}")
    models = {}
    for spec in plan.specs:
        parts = [result[spec.name] for result in results]
        score, threshold = np.empty((2, plan.repeats, n))
        first = parts[0].curves
        curves = None if first is None else np.empty((plan.repeats, n, first.shape[1]))
        for (r, f), part in zip(outer, parts, strict=True):
            rows = folds[r] == f
            score[r, rows], threshold[r, rows] = part.score, part.threshold
            if curves is not None:
                curves[r, rows] = part.curves
        models[spec.name] = OutOfFold(
            score,
            threshold,
            curves,
            tuple(part.weights for part in parts),
            tuple(part.choice for part in parts),
            tuple(part.flat for part in parts),
        )
    return ValidationResult(folds, models)


@dataclass(frozen=True)
class _Part:
    """Predictions of one model in one outer fold."""

    score: np.ndarray
    threshold: float
    curves: np.ndarray | None
    weights: dict[str, float]
    choice: int
    flat: bool


def _outer_fold(plan: ValidationPlan, test: np.ndarray, seed: int) -> dict[str, _Part]:
    with threadpool_limits(1):
        fitted = fit_specs(plan, np.flatnonzero(~test), seed)
        found = {}
        values = {name: block.x[test] for name, block in plan.blocks.items()}
        for spec in plan.specs:
            model = fitted[spec.name]
            x = model.prepared(values)
            weights = model.weights
            if spec.shuffles and own_weights(model.model) is None:
                loss = _held_out_loss(plan, test)
                weights = permuted_weights(model.model, x, loss, spec.shuffles, seed)
            used = np.flatnonzero(model.weights)
            named = {model.columns[j]: float(weights[j]) for j in used}
            found[spec.name] = _Part(
                plan.task.predict(model.model, x),
                model.threshold,
                plan.task.curves(model.model, x),
                named if model.beside is None else dict(model.beside),
                model.choice,
                model.flat,
            )
        return found


def _held_out_loss(plan: ValidationPlan, test: np.ndarray) -> Callable[[Any, np.ndarray], float]:
    """Return a function (model, prepared columns of the held-out rows) → loss."""
    y = plan.y[test]
    one_fold = np.zeros(len(y))
    return lambda model, x: plan.task.loss(y, plan.task.predict(model, x), one_fold)
