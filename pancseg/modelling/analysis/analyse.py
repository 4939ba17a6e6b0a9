"""Carry out a validation plan: check for leaks, cross-validate, compare models, calibrate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from pancseg.modelling.analysis.calibration import calibration
from pancseg.modelling.analysis.decision_curves import decision_curves
from pancseg.modelling.analysis.degenerate_models import empty_models, same_scores, without_weight
from pancseg.modelling.analysis.measure_names import benefit_at, brier_measure, main_measure
from pancseg.modelling.analysis.performance import Judge
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.analysis.workload import samples_of
from pancseg.modelling.cross_validation.fitted_models import fit_specs
from pancseg.modelling.cross_validation.nested_cv import validate
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.modelling.optimism import corrected_for_optimism
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import BOTH, CHANCE, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.validation.canary import run_canaries
from pancseg.modelling.validation.risk_groups import risk_groups
from pancseg.modelling.verdict import HowCompared, verdict

COMPARISONS = (
    (RADIOMICS, VOLUME),
    (RADIOMICS, SINGLE),
    (RADIOMICS, CLINICAL),
    (BOTH, CLINICAL),
)
"""Pairs (a, b) of models whose difference, a minus b, is reported."""


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
    judge = Judge(plan, settings, validation)
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
                    same_scores(validation, SINGLE, VOLUME),
                    without_weight(validation),
                    brier_measure(settings.kind),
                ),
            ),
            *against,
        ),
    )
