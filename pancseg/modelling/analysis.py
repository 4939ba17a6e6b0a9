"""Carry out a validation plan: check for leaks, cross-validate, compare models, calibrate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from threadpoolctl import threadpool_limits

from pancseg.modelling import subtype, survival
from pancseg.modelling.internal_external import SiteResult
from pancseg.modelling.study import BOTH, CHANCE, CLINICAL, RADIOMICS, VOLUME, ModelSettings
from pancseg.modelling.validation.calibration import cox_slope, logistic_line
from pancseg.modelling.validation.canary import Canary, run_canaries
from pancseg.modelling.validation.measures import Estimate, bootstrap_weights, estimate
from pancseg.modelling.validation.nested_cv import (
    FittedModel,
    ValidationPlan,
    ValidationResult,
    fit_specs,
    validate,
)

COMPARISONS = (
    (RADIOMICS, VOLUME),
    (RADIOMICS, CLINICAL),
    (BOTH, CLINICAL),
)
"""Pairs (a, b) of models whose difference, a minus b, is reported."""
_MOST_REPEATS = 10
"""Calibration uses the predictions of at most this many repeats."""


@dataclass(frozen=True)
class AnalysisResults:
    """Everything that a report is made from.

    Attributes:
        plan: data, folds and models that were compared.
        settings: the choices made beforehand.
        validation: out-of-fold predictions.
        canaries: runs of the declared model on data without a signal, which reveal leaks.
        final: model → the model fitted on all patients.
        measures: model → measure → estimate. Empty when a canary finds a signal, as are the
            attributes below.
        differences: (a, b) → estimate of the main measure of a minus that of b.
        calibration: model → (slope, intercept); see :func:`calibration`.
        verdict: sentences on what radiomics adds.
        sites: performance in each site by models fitted on the others, if that was asked for.
    """

    plan: ValidationPlan
    settings: ModelSettings
    validation: ValidationResult
    canaries: list[Canary]
    final: dict[str, FittedModel]
    measures: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    differences: dict[tuple[str, str], Estimate] = field(default_factory=dict)
    calibration: dict[str, tuple[Estimate, Estimate]] = field(default_factory=dict)
    verdict: tuple[str, ...] = ()
    sites: tuple[SiteResult, ...] = ()

    @property
    def horizons(self) -> tuple[float, ...]:
        """The times that survival is reported for; none for a class."""
        task = self.plan.task
        return task.horizons if isinstance(task, survival.SurvivalTask) else ()

    def event_free_at(self, name: str, horizon: int) -> np.ndarray:
        """Return (repeats, n) out-of-fold probabilities at a horizon, given by its place."""
        curves, task = self.validation.models[name].curves, self.plan.task
        assert curves is not None
        assert isinstance(task, survival.SurvivalTask)
        return np.asarray(curves[:, :, len(task.times) + horizon])

    @property
    def leaks(self) -> bool:
        """Whether a canary found a signal where there is none."""
        return any(canary.sings for canary in self.canaries)


def main_measure(kind: str) -> str:
    """Return the measure that models of a kind, ``subtype`` or ``survival``, are compared by."""
    return "AUC" if kind == "subtype" else "Harrell's C"


def steps_of(settings: ModelSettings) -> int:
    """Return the number of times that :func:`analyse` calls ``tell``."""
    return settings.outer * settings.repeats + 2 * settings.canary


def analyse(
    plan: ValidationPlan,
    settings: ModelSettings,
    workers: int = 1,
    tell: Callable[[str], None] = lambda line: None,
) -> AnalysisResults:
    """Validate and compare the models of a plan, unless a leak is found.

    The results do not depend on the number of workers.

    Args:
        plan: what to validate.
        settings: the choices made beforehand.
        workers: number of processes.
        tell: called with a line after each canary run and each outer fold.
    """
    canaries = run_canaries(plan, RADIOMICS, settings.canary, workers, tell)
    validation = validate(plan, workers, tell)
    with threadpool_limits(1):  # small matrices: threads would mostly wait for each other
        final = fit_specs(plan, np.arange(len(plan.y)), settings.seed)
    if any(canary.sings for canary in canaries):
        return AnalysisResults(plan, settings, validation, canaries, final)
    weights = bootstrap_weights(plan.groups, settings.resamples, settings.seed)
    resampled = {
        name: measured(plan, validation, name, weights, settings.kind) for name in validation.models
    }
    main = main_measure(settings.kind)
    folds = {name: by_fold(plan, validation, name, settings.kind) for name in resampled}
    differences = {
        (a, b): estimate(
            resampled[a][main] - resampled[b][main], folds[a][main] - folds[b][main], plan.outer
        )
        for a, b in COMPARISONS
        if a in resampled and b in resampled
    }
    judged = {
        name: {
            measure: estimate(values, folds[name][measure], plan.outer).within(0, 1)
            for measure, values in found.items()
        }
        for name, found in resampled.items()
    }
    return AnalysisResults(
        plan,
        settings,
        validation,
        canaries,
        final,
        judged,
        differences,
        {
            name: calibration(plan, validation, name, weights)
            for name in validation.models
            if name != CHANCE
        },
        tuple(verdict(judged, differences, main)),
    )


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
        return subtype.subtype_measures(plan.y, validation, model, weights)
    assert isinstance(plan.task, survival.SurvivalTask)
    return survival.survival_measures(plan.y, validation, model, weights, plan.task)


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


def calibration(
    plan: ValidationPlan, validation: ValidationResult, name: str, weights: np.ndarray
) -> tuple[Estimate, Estimate]:
    """Return the calibration slope and intercept of a model's out-of-fold predictions.

    They are fitted once to the predictions of all repeats (ten at most). Predictions are not
    averaged over repeats first: the saved model is a single model, and averages are less extreme.
    Subtype: a logistic regression of the class on the logit of its predicted probability.
    Survival: the slope is the coefficient of the log hazard in a Cox model stratified by fold;
    there is no intercept (NaN).
    """
    scores = validation.models[name].score[:_MOST_REPEATS]
    count = len(scores)
    y, weights = np.tile(plan.y, count), np.tile(weights, (1, count))
    if y.dtype.names is None:
        slope, intercept = logistic_line(y, scores.ravel(), weights)
    else:
        strata = validation.folds[:count] + plan.outer * np.arange(count)[:, None]
        slope = cox_slope(y, scores.ravel(), strata.ravel(), weights)
        intercept = np.full(len(slope), np.nan)
    return estimate(slope), estimate(intercept)


def verdict(
    judged: dict[str, dict[str, Estimate]],
    differences: dict[tuple[str, str], Estimate],
    main: str,
) -> list[str]:
    """Return sentences that say what radiomics adds to volume and clinical variables.

    Args:
        judged: model → measure → estimate.
        differences: (a, b) → estimate of the main measure of a minus that of b.
        main: the main measure (:func:`main_measure`).
    """
    radiomics = judged[RADIOMICS][main]
    sentences = []
    if radiomics.low > 0.5:
        sentences.append(f"Radiomics predicts better than chance ({main} {interval(radiomics)}).")
    else:
        sentences.append(
            "No evidence that radiomics predicts better than chance "
            f"({main} {interval(radiomics)})."
        )
    volume = judged.get(VOLUME, {}).get(main)
    if volume is not None and volume.low > 0.5:
        over_volume = differences[RADIOMICS, VOLUME]
        if radiomics.low <= 0.5:
            sentences.append(
                f"Volume alone predicts better than chance ({main} {interval(volume)})."
            )
        elif over_volume.low <= 0:
            sentences.append(
                "**Explained by volume, as far as these data show**: volume alone reaches "
                f"{interval(volume)}, and radiomics is not shown to be better (difference "
                f"{interval(over_volume)})."
            )
        else:
            sentences.append(
                "More than volume: radiomics is better than volume alone by "
                f"{interval(over_volume)}; volume's {main} is {interval(volume)}."
            )
    if (BOTH, CLINICAL) in differences:
        added = differences[BOTH, CLINICAL]
        says = "adds to" if added.low > 0 else "is not shown to add to"
        sentences.append(
            f"Radiomics {says} the clinical variables (difference in {main} {interval(added)})."
        )
    return sentences


def interval(found: Estimate) -> str:
    """Return an estimate and its interval as text for a sentence."""
    values = (f"{value:.3f}".replace("-", "−") for value in (found.value, found.low, found.high))
    return "{}, 95 % interval {} to {}".format(*values)
