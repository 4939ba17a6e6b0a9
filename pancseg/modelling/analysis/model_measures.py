"""Compute the measures of one model: under bootstrap weights, by fold, and of random scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pancseg.modelling import subtype, survival
from pancseg.modelling.cross_validation.out_of_fold import ValidationResult
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.modelling.validation.measures import class_pairs, harrell_pairs, pair_measure

_RANDOM_SCORES = 200


def measured(
    plan: ValidationPlan, validation: ValidationResult, name: str, weights: np.ndarray, kind: str
) -> dict[str, np.ndarray]:
    """Compute each measure of one model under each bootstrap weighting.

    Args:
        plan: the validation plan, for the outcome.
        validation: out-of-fold predictions.
        name: name of the model.
        weights: (b, n) bootstrap weights.
        kind: ``subtype`` or ``survival``.

    Returns:
        Measure → (b,) values.
    """
    model = validation.models[name]
    if kind == "subtype":
        share = float(plan.y.mean())
        return subtype.subtype_measures(plan.y, validation, model, weights, share)
    assert isinstance(plan.task, survival.SurvivalTask)
    threshold = survival.treatment_threshold(plan.y, plan.task.middle)
    return survival.survival_measures(plan.y, validation, model, weights, plan.task, threshold)


def by_fold(
    plan: ValidationPlan, validation: ValidationResult, name: str, kind: str
) -> dict[str, np.ndarray]:
    """Compute each measure of one model within each outer test fold.

    Returns:
        Measure → (repeats · folds,) values; all folds of the first repeat come first.
    """
    model, parts = validation.models[name], []
    for r, folds in enumerate(validation.folds):
        curves = None if model.curves is None else model.curves[r : r + 1]
        predictions = replace(
            model,
            score=model.score[r : r + 1],
            threshold=model.threshold[r : r + 1],
            curves=curves,
        )
        this_repeat = ValidationResult(folds[None], {name: predictions})
        weights = (folds[None] == np.arange(plan.outer)[:, None]).astype(float)
        parts.append(measured(plan, this_repeat, name, weights, kind))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def random_spread(plan: ValidationPlan, validation: ValidationResult, seed: int) -> float:
    """Return the standard deviation of the main measure of random scores, in one repeat."""
    random, y, folds = np.random.default_rng([seed, 3]), plan.y, validation.folds[0]
    pair = class_pairs if y.dtype.names is None else harrell_pairs
    parts = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    comparable = [pair(y[rows]) for rows in parts]
    found = []
    for _ in range(_RANDOM_SCORES):
        score = random.random(len(y))
        pairs = ((rows, score[rows], each) for rows, each in zip(parts, comparable, strict=True))
        found.append(pair_measure(pairs, np.ones((1, len(y))))[0])
    return float(np.nanstd(found))
