"""A methods paragraph to paste into a paper: what was done, with every definition and version."""

from __future__ import annotations

from pancseg.modelling.analysis import AnalysisResults
from pancseg.modelling.estimators.preparation import FEWEST_DIFFERENT, MOST_MISSING, REDUNDANT_RHO
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.parts import Section, counted
from pancseg.modelling.study import BOTH, CLINICAL, VOLUME, Endpoint
from pancseg.modelling.survival import SurvivalTask
from pancseg.tables.html_page import escape_markdown

_ALGORITHMS = {
    ("elastic-net", "subtype"): "logistic regression with an elastic-net penalty (l1 ratio 0.5)",
    ("elastic-net", "survival"): "Cox regression with an elastic-net penalty (l1 ratio 0.5, "
    "Efron's handling of ties)",
    ("random-forest", "subtype"): "a random forest of 200 trees",
    ("random-forest", "survival"): "a random forest of martingale residuals, calibrated by Cox "
    "regression",
    ("gradient-boosting", "subtype"): "gradient-boosted trees of depth 2",
}


def methods_section(
    results: AnalysisResults, joined: JoinedTable, endpoint: Endpoint, made_by: str
) -> Section:
    """Return the section with the paragraphs.

    Args:
        results: the analysis.
        joined: the rows analysed.
        endpoint: their outcomes.
        made_by: the versions used.
    """
    lines = [
        "To paste into a paper. What stands in square brackets is yours to fill in.",
        _data(joined, endpoint),
        _models(results, joined),
        _validation(results),
        _measures(results),
        _uncertainty(results, made_by),
    ]
    return Section("Methods, ready to paste", lines)


def _data(joined: JoinedTable, endpoint: Endpoint) -> str:
    if endpoint.kind == "survival":
        time, event = map(escape_markdown, endpoint.columns)
        outcome = f"the time to [event] (columns {time} and {event}), censored at [last contact]"
    else:
        rest, positive = map(escape_markdown, endpoint.classes)
        outcome = f"{positive} against {rest}"
    clinical = ", ".join(map(escape_markdown, joined.origin.levels))
    beside = f" Clinical variables were {clinical}." if clinical else ""
    return (
        f"From [hospital, years], {joined.size()} with {joined.features.shape[1]} radiomics "
        f"features were analysed. The outcome was {outcome}.{beside}"
    )


def _models(results: AnalysisResults, joined: JoinedTable) -> str:
    settings = results.settings
    spec = results.plan.specs[0]
    names = {spec.name for spec in results.plan.specs}
    others = [name for name in (VOLUME, CLINICAL, BOTH) if name in names]
    compared = f" It was compared with models of {', '.join(others)}." if others else ""
    combat = (
        " Effects of the scanner or site were removed by ComBat, estimated on the training rows."
        if joined.batch is not None
        else ""
    )
    stable = (
        "the one with the highest ICC"
        if settings.stability_sha256 is not None
        else "the one most correlated with its cluster"
    )
    criterion = "Harrell's C" if settings.kind == "survival" else "the log loss"
    chosen = (
        f" Number of features and penalty were chosen among {len(spec.candidates)} candidates by "
        f"{criterion} in the inner folds."
        if len(spec.candidates) > 1
        else ""
    )
    algorithm = _ALGORITHMS.get((settings.model, settings.kind), settings.model)
    return (
        f"The model, declared before the analysis, was {algorithm}. Features with more than "
        f"{MOST_MISSING:.0%} of values missing, or in which fewer than {FEWEST_DIFFERENT:.0%} of "
        "values differ from the most frequent one, were dropped; missing values were replaced by "
        f"the median.{combat} Of features with Spearman's |rho| above {REDUNDANT_RHO} (average "
        f"linkage) {stable} was kept. Features were scaled to z-scores, and those most strongly "
        f"associated with the outcome, each alone, were selected.{chosen} All of these steps were "
        f"fitted on training rows only.{compared}"
    )


def _validation(results: AnalysisResults) -> str:
    settings = results.settings
    return (
        f"Performance was estimated by nested cross-validation with {settings.outer} outer and "
        f"{settings.inner} inner folds, stratified by the outcome, repeated "
        f"{counted(settings.repeats, 'time')} (random seed {settings.seed}); all rows of a patient "
        "were in the same fold. The final model was fitted in the same way to all patients."
        + (
            f" To detect leaks the pipeline was run {settings.canary} times each on permuted "
            "outcomes and on noise."
            if settings.canary
            else ""
        )
    )


def _measures(results: AnalysisResults) -> str:
    task = results.plan.task
    if not isinstance(task, SurvivalTask):
        return (
            "The AUC counts pairs of patients of the same test fold, ties as half, over all "
            "repeats. PR-AUC is the average precision, averaged over test folds. The Brier score "
            "is the mean squared difference between probability and class. Sensitivity and "
            "specificity are at the threshold with the highest Youden index (sensitivity + "
            "specificity − 1) among the inner out-of-fold predictions of the training rows. The "
            "calibration slope is that of a logistic regression of the class on the logit of the "
            "out-of-fold probability."
        )
    unit = results.settings.time_unit or "[time units]"
    horizons = ", ".join(f"{time:.4g}" for time in task.horizons)
    return (
        "Harrell's C counts pairs of patients of the same test fold of which the earlier time is "
        "an event, ties of the score as half; at tied times an event counts as earlier than a "
        f"censoring. Uno's C counts events before τ = {task.times[-1]:.4g} {unit} (the 90 % "
        "quantile of the event times), weighted by the inverse squared probability of being "
        "uncensored, which is estimated on the training rows. The time-dependent AUC is cumulative "
        f"(cases) and dynamic (controls) at {horizons} {unit}, with the same weighting. The "
        "integrated Brier score (Graf et al. 1999) is the mean over the time from "
        f"{task.times[0]:.4g} to {task.times[-1]:.4g} {unit} (5 % to 90 % quantile of the event "
        f"times; {len(task.times)} points, trapezoidal rule). The calibration slope is the "
        "coefficient of the out-of-fold log hazard in a Cox model stratified by fold. Median "
        "follow-up is by reverse Kaplan–Meier. High risk is a log hazard above the training median."
    )


def _uncertainty(results: AnalysisResults, made_by: str) -> str:
    return (
        f"The 95 % intervals are percentiles of {results.settings.resamples} bootstrap resamples "
        "of patients, with predictions kept, and widened where the corrected variance over folds "
        "of Nadeau and Bengio (2003) was larger. No p-value was adjusted for multiple testing "
        f"[say which were looked at]. Software: {made_by}."
    )
