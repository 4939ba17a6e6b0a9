"""Carry out a validation plan: check for leaks, cross-validate, compare models, calibrate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from pancseg.modelling import subtype, survival
from pancseg.modelling.estimators.beside import SCORE
from pancseg.modelling.internal_external import SiteResult
from pancseg.modelling.optimism import Corrected, corrected_for_optimism
from pancseg.modelling.settings import ModelSettings, timed, unit_of
from pancseg.modelling.study import BOTH, CHANCE, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.validation.calibration import (
    SmoothCurve,
    cox_slope,
    in_the_large,
    logistic_line,
    smooth_curve,
)
from pancseg.modelling.validation.canary import Canary, run_canaries
from pancseg.modelling.validation.comparison import Comparison, added
from pancseg.modelling.validation.limits import honest
from pancseg.modelling.validation.measures import (
    Estimate,
    bootstrap_weights,
    class_pairs,
    estimate,
    harrell_pairs,
    pair_measure,
    random_precision,
    widening,
)
from pancseg.modelling.validation.nested_cv import (
    FittedModel,
    ValidationPlan,
    ValidationResult,
    fit_specs,
    validate,
)
from pancseg.modelling.validation.net_benefit import class_status, decision_curve, status_at
from pancseg.modelling.validation.observed_expected import observed_over_expected
from pancseg.modelling.validation.risk_groups import RiskGroups, risk_groups
from pancseg.modelling.validation.slope_interval import slope_estimate
from pancseg.modelling.verdict import HowCompared, interval, verdict
from pancseg.system.text.number_text import percent

COMPARISONS = (
    (RADIOMICS, VOLUME),
    (RADIOMICS, SINGLE),
    (RADIOMICS, CLINICAL),
    (BOTH, CLINICAL),
)
"""Pairs (a, b) of models whose difference, a minus b, is reported."""
MOST_REPEATS = 10
"""Calibration uses the predictions of at most this many repeats."""
_RANDOM_SCORES = 200
_CANARY_FOLD, _SAMPLE = 0.4, 0.6
"""Work for radiomics alone, and for the models that are corrected, in a fold of all models.

They lie between those measured on 200 × 5,000: on the study's columns 0.34 and 0.53, on columns
that correlate highly 0.58 and 0.72 (docs/log.md, 2026-12-01).
"""


@dataclass(frozen=True)
class Calibration:
    """How well predicted risks fit what was observed.

    Attributes:
        slope: of the outcome on the linear predictor; below 1, predictions are too extreme.
        intercept: log odds with the slope fixed at 1 (calibration-in-the-large); NaN for survival.
        ratios: horizon → observed over expected; the only horizon of a class is 0.
        curves: horizon → smoothed curve; none where predictions do not vary.
    """

    slope: Estimate
    intercept: Estimate
    ratios: dict[float, Estimate]
    curves: dict[float, SmoothCurve]


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
        comparisons: (a, b) → model a less model b.
        calibration: model → :class:`Calibration`.
        corrected: model → AUC or C, and Brier score → corrected for optimism by the bootstrap.
        decision: net benefit with its interval by model and threshold.
        groups: patients of high and low risk; None for a class, or if all are in one group.
        verdict: sentences on what radiomics adds, and on what speaks against it.
        doubts: those of them that come first, as they put every number in doubt.
        sites: performance in each site by models fitted on the others, if that was asked for.
    """

    plan: ValidationPlan
    settings: ModelSettings
    validation: ValidationResult
    canaries: list[Canary]
    final: dict[str, FittedModel]
    measures: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    comparisons: dict[tuple[str, str], Comparison] = field(default_factory=dict)
    calibration: dict[str, Calibration] = field(default_factory=dict)
    corrected: dict[str, dict[str, Corrected]] = field(default_factory=dict)
    decision: pd.DataFrame = field(default_factory=pd.DataFrame)
    groups: RiskGroups | None = None
    verdict: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    sites: tuple[SiteResult, ...] = ()

    @property
    def horizons(self) -> tuple[float, ...]:
        """The times that survival is reported for; none for a class."""
        task = self.plan.task
        return task.horizons if isinstance(task, survival.SurvivalTask) else ()

    @property
    def middle(self) -> float:
        """The horizon of net benefit and of the risks that are shown; for survival alone."""
        assert isinstance(self.plan.task, survival.SurvivalTask)
        return self.plan.task.middle

    def event_free_at(self, name: str, horizon: int) -> np.ndarray:
        """Return (repeats, n) out-of-fold probabilities at a horizon, given by its place."""
        curves, task = self.validation.models[name].curves, self.plan.task
        assert curves is not None
        assert isinstance(task, survival.SurvivalTask)
        return task.event_free(curves, task.horizons[horizon])

    @property
    def leaks(self) -> bool:
        """Whether a canary found a signal where there is none."""
        return any(canary.sings for canary in self.canaries)

    @property
    def differences(self) -> dict[tuple[str, str], Estimate]:
        """(a, b) → difference in the main measure, a minus b."""
        return {pair: found.discrimination for pair, found in self.comparisons.items()}


def main_measure(kind: str) -> str:
    """Return the measure that models of a kind, ``subtype`` or ``survival``, are compared by."""
    return "AUC" if kind == "subtype" else "Harrell's C"


def brier_measure(kind: str) -> str:
    """Return the name of the Brier score of a kind, ``subtype`` or ``survival``."""
    return "Brier" if kind == "subtype" else "integrated Brier"


def steps_of(settings: ModelSettings, leaks: bool = False) -> list[float]:
    """Return the work of each step that :func:`analyse` tells of, in its turn.

    The unit is an outer fold of all models. A canary runs through all outer folds of one of the
    models, a bootstrap sample is one fold of the models that are corrected.

    Args:
        settings: the choices made beforehand.
        leaks: whether a canary found a leak; then nothing is corrected.
    """
    canary, fold, sample = _CANARY_FOLD * settings.outer, 1.0, _SAMPLE
    return [
        *[canary] * (2 * settings.canary),
        *[fold] * (settings.outer * settings.repeats),
        *[sample] * (0 if leaks else samples_of(settings)),
    ]


def samples_of(settings: ModelSettings) -> int:
    """Return the number of bootstrap samples of the correction for optimism.

    There are as many as outer folds in all repeats, so that the correction costs less than the
    cross-validation does, whatever is asked for.
    """
    return settings.outer * settings.repeats


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


def is_tested(results: AnalysisResults) -> bool:
    """Return whether a likelihood-ratio test was made: not where patients have several rows."""
    return any(not np.isnan(one.added_p) for one in results.comparisons.values())


def analyse(
    plan: ValidationPlan,
    settings: ModelSettings,
    workers: int = 1,
    tell: Callable[[str], None] = lambda line: None,
    against: tuple[str, ...] = (),
    leaked: Callable[[], None] = lambda: None,
) -> AnalysisResults:
    """Validate and compare the models of a plan, unless a leak is found.

    The results do not depend on the number of workers.

    Args:
        plan: what to validate.
        settings: the choices made beforehand.
        workers: number of processes.
        tell: called with a line after each canary run, outer fold and bootstrap sample.
        against: sentences on what the tables have that speaks against the result; they follow the
            verdict.
        leaked: called where a canary found a leak, so that no bootstrap sample will follow.
    """
    canaries = run_canaries(plan, RADIOMICS, settings.canary, workers, tell)
    leaks = any(canary.sings for canary in canaries)
    if leaks:
        leaked()
    validation = validate(plan, workers, tell)
    with threadpool_limits(1):  # small matrices: threads would mostly wait for each other
        final = fit_specs(plan, np.arange(len(plan.y)), settings.seed)
    if leaks:
        return AnalysisResults(plan, settings, validation, canaries, final)
    corrected = corrected_for_optimism(plan, final, samples_of(settings), workers, tell)
    judge = _Judge(plan, settings, validation)
    main = main_measure(settings.kind)
    judged = {name: judge.estimates(name) for name in validation.models}
    compared = {
        (a, b): judge.compared(a, b)
        for a, b in COMPARISONS
        if a in validation.models and b in validation.models
    }
    models = [name for name in validation.models if name != CHANCE]
    groups = None
    if settings.kind == "survival":
        model, strata = validation.models[RADIOMICS], judge.strata
        groups = risk_groups(plan.y, model, strata, judge.weights, judge.wider(RADIOMICS))
    return AnalysisResults(
        plan,
        settings,
        validation,
        canaries,
        final,
        judged,
        compared,
        {name: calibration(judge, name, judged[name][main]) for name in models},
        corrected,
        decision_curves(judge, models),
        groups,
        (
            *verdict(
                judged,
                compared,
                main,
                HowCompared(
                    empty_models(validation, RADIOMICS),
                    settings.model == "elastic-net",
                    benefit_at(plan, settings),
                    _same_scores(validation, SINGLE, VOLUME),
                    without_weight(validation),
                    brier_measure(settings.kind),
                ),
            ),
            *against,
        ),
    )


def benefit_at(plan: ValidationPlan, settings: ModelSettings) -> str:
    """Return the threshold of the net benefit, and for survival its horizon, as text."""
    if not isinstance(plan.task, survival.SurvivalTask):
        return f"threshold {percent(plan.y.mean())}"
    risk = survival.treatment_threshold(plan.y, plan.task.middle)
    time = timed(plan.task.middle, unit_of(settings.time_unit))
    return f"threshold {percent(risk)}, by {time}"


def _same_scores(validation: ValidationResult, a: str, b: str) -> bool:
    models = validation.models
    return a in models and b in models and np.allclose(models[a].score, models[b].score)


class _Judge:
    """Measures of the models of one validation under the same bootstrap weights."""

    def __init__(
        self, plan: ValidationPlan, settings: ModelSettings, validation: ValidationResult
    ) -> None:
        self.plan, self.settings, self.validation = plan, settings, validation
        self.weights = bootstrap_weights(plan.groups, settings.resamples, settings.seed)
        self.main = main_measure(settings.kind)
        self.brier = brier_measure(settings.kind)
        kind, names = settings.kind, list(validation.models)
        self.values = {n: measured(plan, validation, n, self.weights, kind) for n in names}
        self.folds = {n: by_fold(plan, validation, n, kind) for n in names}
        self._random = random_spread(plan, validation, settings.seed)

    @property
    def strata(self) -> np.ndarray:
        """(repeats, n) outer fold and repeat, of ten repeats at most."""
        folds = self.validation.folds[:MOST_REPEATS]
        return np.asarray(folds + self.plan.outer * np.arange(len(folds))[:, None])

    def wider(self, name: str) -> float:
        """Return by how much intervals of a model are wider than the bootstrap's."""
        return widening(self.values[name][self.main], self.folds[name][self.main], self.plan.outer)

    def estimates(self, name: str) -> dict[str, Estimate]:
        """Return the estimate of each measure of a model."""
        found = {}
        for measure, values in self.values[name].items():
            one = estimate(values, self.folds[name][measure], self.plan.outer)
            if measure == self.main and name != CHANCE:
                one = self._no_surer_than_random(name, one)
            one = honest(one, measure, self.plan.y, self.plan.groups)
            found[measure] = one if measure == subtype.NET_BENEFIT else one.within(0, 1)
        if name == CHANCE and self.settings.kind == "subtype":
            expected = random_precision(int(self.plan.y.sum()), len(self.plan.y))
            found["PR-AUC"] = Estimate(expected, float("nan"), float("nan"))
        return found

    def _no_surer_than_each(self, a: str, b: str, difference: float) -> Estimate:
        """Return the interval of a difference that is the same in every resample.

        Two models in perfect order do not differ in these patients; in others each may fall to the
        lower end of its own interval.
        """
        far = [found.value - found.low for found in (self._main_of(a), self._main_of(b))]
        return Estimate(difference, difference - far[0], difference + far[1])

    def _same_order(self, a: str, b: str) -> bool:
        """Return whether two models rank each fold's patients alike, neither perfectly nor flat.

        They are one model under two names: its difference from itself is certain.
        """
        if flat_share(self.validation, a) or not 0 < self.values[a][self.main][0] < 1:
            return False
        more, base = (self.validation.models[name].score for name in (a, b))
        return all(
            np.array_equal(rankdata(more[repeat, rows]), rankdata(base[repeat, rows]))
            for repeat, folds in enumerate(self.validation.folds)
            for rows in (folds == fold for fold in np.unique(folds))
        )

    def _main_of(self, name: str) -> Estimate:
        return self.estimates(name)[self.main]

    def _no_surer_than_random(self, name: str, found: Estimate) -> Estimate:
        """Widen an interval where models predict the same for all: that is not certainty.

        The share of such models counts as random ranks would.
        """
        reach = 1.96 * self._random * flat_share(self.validation, name)
        low, high = min(found.low, found.value - reach), max(found.high, found.value + reach)
        return Estimate(found.value, low, high)

    def compared(self, a: str, b: str) -> Comparison:
        """Return model a less model b.

        In AUC or C a model b below 0.5 counts as 0.5: out of fold a useless model ranks patients
        the wrong way round, and that is no merit of model a. As model a may rank them so too, the
        upper end of the interval is not below that of the plain difference.
        """
        parts = []
        for measure in (self.main, self.brier, subtype.NET_BENEFIT):
            if measure not in self.values[a]:  # the integrated Brier score needs two times
                parts.append(Estimate(*[float("nan")] * 3))
                continue
            base = self.values[b][measure]
            if measure == self.main:
                base = np.maximum(base, 0.5)
            values = self.values[a][measure] - base
            folds = self.folds[a][measure] - self.folds[b][measure]
            one = estimate(values, folds, self.plan.outer)
            if measure == self.main:
                if one.low == one.high and not self._same_order(a, b):
                    one = self._no_surer_than_each(a, b, one.value)
                plain = self.values[a][measure] - self.values[b][measure]
                plain_high = estimate(plain, folds, self.plan.outer).high
                one = replace(one, high=max(one.high, plain_high))
            parts.append(one)
        p = float("nan")
        if len(np.unique(self.plan.groups)) == len(self.plan.y):
            more, base = (self.validation.models[name].score for name in (a, b))
            p = added(self.plan.y, more, base, self.validation.folds)
        return Comparison(parts[0], parts[1], parts[2], p)


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


def calibration(judge: _Judge, name: str, ranks: Estimate) -> Calibration:
    """Return the calibration of a model's out-of-fold predictions.

    It is of the predictions of all repeats (ten at most). Predictions are not averaged over repeats
    first: the saved model is a single model, and averages are less extreme. Subtype: the slope of a
    logistic regression of the class on the logit of its predicted probability, and the intercept
    with the slope fixed at 1. Survival: the slope is the coefficient of the log hazard in a Cox
    model stratified by fold. The interval of the slope is that of :mod:`.slope_interval`; the
    intercept's is the bootstrap's (measured: docs/log.md, 2026-12-01).

    Args:
        judge: has the predictions.
        name: of the model.
        ranks: AUC or C of the model.
    """
    plan, validation = judge.plan, judge.validation
    model = validation.models[name]
    scores = model.score[:MOST_REPEATS]
    count = len(scores)
    y, weights = np.tile(plan.y, count), np.tile(judge.weights, (1, count))
    strata = judge.strata.ravel()
    without_fold = (strata != np.arange(count * plan.outer)[:, None]).astype(float)
    ratios, curves = {}, {}
    for horizon, risk, status in risks(judge, name):
        mean = risk.mean(axis=0)
        ratios[horizon] = estimate(observed_over_expected(plan.y, mean, judge.weights, horizon))
        curve = smooth_curve(risk, status, judge.weights)
        if curve is not None:
            curves[horizon] = curve
    if y.dtype.names is None:
        slope, _ = logistic_line(y, scores.ravel(), weights)
        folds, _ = logistic_line(y, scores.ravel(), without_fold)
        intercept = in_the_large(y, scores.ravel(), weights)
    else:
        slope = cox_slope(y, scores.ravel(), strata, weights)
        folds = cox_slope(y, scores.ravel(), strata, without_fold)
        intercept = np.full(len(slope), np.nan)
    by_slope = slope_estimate(slope, folds, plan.outer, ranks)
    return Calibration(by_slope, estimate(intercept), ratios, curves)


def risks(judge: _Judge, name: str) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Return horizon, (repeats, n) predicted risks and (repeats, n, 2) status at each horizon."""
    plan, model = judge.plan, judge.validation.models[name]
    task = plan.task
    if model.curves is None or not isinstance(task, survival.SurvivalTask):
        risk = model.score[:MOST_REPEATS]
        return [(0.0, risk, np.tile(class_status(plan.y), (len(risk), 1, 1)))]
    curves = model.curves[:MOST_REPEATS]
    found = []
    for horizon in task.horizons:
        status = np.zeros((*curves.shape[:2], 2))
        for repeat, folds in enumerate(judge.validation.folds[: len(curves)]):
            for fold in np.unique(folds):
                test = folds == fold
                status[repeat, test] = status_at(plan.y[test], plan.y[~test], horizon)
        found.append((horizon, 1 - task.event_free(curves, horizon), status))
    return found


def decision_curves(judge: _Judge, names: list[str]) -> pd.DataFrame:
    """Return net benefit and its interval by model and threshold.

    Each repeat's predictions are judged on their own, as the saved model is a single model. For
    survival the risk is that at the middle horizon.

    Returns:
        Columns ``model``, ``threshold``, ``net_benefit``, ``low_95``, ``high_95``.
    """
    task = judge.plan.task
    at = task.middle if isinstance(task, survival.SurvivalTask) else 0.0
    parts = []
    for name in [*names, "all"]:
        _, risk, status = next(
            part for part in risks(judge, RADIOMICS if name == "all" else name) if part[0] == at
        )
        wider = 1.0 if name == "all" else judge.wider(name)
        parts.append(decision_curve(name, risk, status, judge.weights, wider))
    return pd.concat(parts, ignore_index=True)


__all__ = ["AnalysisResults", "analyse", "interval", "verdict"]
