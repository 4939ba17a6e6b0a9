"""The methods paragraph that defines every measure."""

from __future__ import annotations

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.report.parts import in_most
from pancseg.modelling.settings import unit_of
from pancseg.modelling.survival import SurvivalTask
from pancseg.modelling.times import named_time, timed
from pancseg.modelling.words import listed

_ICI = (
    "ICI is the mean distance of the smooth calibration curve (local linear, span 0.75) from the "
    "diagonal."
)


def measures_text(results: AnalysisResults) -> str:
    """Return the definition of every measure that the report shows."""
    task, repeats = results.plan.task, results.settings.repeats
    if not isinstance(task, SurvivalTask):
        pooled = "" if repeats == 1 else ", predictions of up to ten repeats pooled"
        return (
            "The AUC counts pairs of patients of the same test fold, ties as half, over all "
            "repeats. PR-AUC is the average precision of all patients of a repeat, averaged over "
            "repeats; that of random scores (the row of chance) is somewhat above the prevalence. "
            "The Brier score is the mean squared difference between probability and class. Net "
            "benefit is at the share of the class in the cohort. Sensitivity and specificity are "
            "at the threshold with the highest Youden index (sensitivity + specificity − 1) among "
            "the inner out-of-fold predictions of the training rows. The calibration slope is "
            "that of a logistic regression of the class on the logit of the out-of-fold "
            f"probability{pooled}; calibration in the large is its intercept with the slope fixed "
            f"at 1. {_ICI}"
        )
    unit = results.settings.time_unit or f"[{unit_of(None)}]"
    horizons = listed([named_time(time) for time in task.horizons])
    strata = "fold" if repeats == 1 else "repeat and fold (ten repeats at most)"
    groups = "the groups" if repeats == 1 else "each repeat's groups"
    competing = (
        " Competing events count as censored, in the models and in all of these measures: hazards "
        "are cause-specific, and risks are those without competing events, if these are "
        "independent of the event. "
        "Predictions were not calibrated against cumulative incidence. How often the event occurs "
        "is by Aalen and Johansen, the subdistribution hazard ratio of the score (centred by fold, "
        "averaged over repeats) by Fine and Gray."
        if results.settings.competing
        else ""
    )
    return (
        "Harrell's C counts pairs of patients of the same test fold of which the earlier time is "
        "an event, ties of the score as half; at tied times an event counts as earlier than a "
        f"censoring. Uno's C counts events before τ = {timed(task.times[-1], unit)} (the 90 % "
        "quantile of the event times), weighted by the inverse squared probability of being "
        "uncensored, which is estimated on the training rows. The time-dependent AUC is cumulative "
        f"(cases) and dynamic (controls) at {horizons} {unit}, each case weighted by the inverse "
        "probability of being uncensored. The "
        "integrated Brier score (Graf et al. 1999) is the mean over the time from "
        f"{named_time(task.times[0])} to {timed(task.times[-1], unit)} (5 % to 90 % quantile of "
        f"the event times; {len(task.times)} points, trapezoidal rule). Net benefit is of the risk "
        f"by {timed(task.middle, unit)}, at the mean risk of the cohort by then (Kaplan–Meier), "
        "weighted for censoring. The calibration slope is the coefficient of the out-of-fold log "
        f"hazard in a Cox model stratified by {strata}, with Efron's ties; observed / expected is "
        "the risk by a horizon (1 − Kaplan–Meier) over the mean predicted one. Weighted for "
        "censoring means by the inverse probability of being uncensored, of an event just before "
        "it, of an event-free patient at the horizon (Kaplan–Meier curve of the censoring in the "
        "training rows, at ties events first). "
        f"{_ICI} Median follow-up is by reverse Kaplan–Meier. High risk is a log hazard above the "
        f"training median{in_most(repeats)}; the hazard ratio is of {groups}, in such a model."
        f"{competing}"
    )
