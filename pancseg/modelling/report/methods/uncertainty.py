"""The methods paragraph on intervals and tests, and on when radiomics is called better."""

from __future__ import annotations

import numpy as np

from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.analysis.results import AnalysisResults, is_tested
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.methods.validation import group_name, has_groups
from pancseg.modelling.study import VOLUME
from pancseg.modelling.verdict import LEVEL
from pancseg.modelling.words import the


def uncertainty_text(results: AnalysisResults, joined: JoinedTable, made_by: str) -> str:
    """Return what the intervals and tests are, and the versions used (``made_by``)."""
    model = "Cox" if results.settings.kind == "survival" else "logistic"
    test = (
        " The likelihood-ratio test asks whether the out-of-fold score of one model adds to that "
        f"of the other ({model} regression, scores centred within folds, one-sided; the median "
        "over repeats)."
        if is_tested(results)
        else ""
    )
    main, survival = main_measure(results.settings.kind), results.settings.kind == "survival"
    curves, alone, others = (
        (
            "Those of calibration curves and ICI are of at most 200 resamples; neither they nor "
            "those of observed / expected are widened.",
            "Those of the integrated Brier score leave out how much weight for censoring a "
            "resample holds by chance (control variate).",
            "Those of the hazard ratio of the groups and of decision curves",
        )
        if survival
        else (
            "Those of calibration curves and ICI are of at most 200 resamples and not widened.",
            "That of calibration in the large is not widened.",
            "Those of decision curves",
        )
    )
    ranked = "AUC and C" if survival else "AUC"
    perfect = (
        ", for C with half of the events against the other half"
        if survival
        else "; the lower end of PR-AUC likewise"
    )
    exact = (
        ""
        if survival
        else ", those of sensitivity and specificity never narrower than the exact one (Clopper "
        "and Pearson 1934)"
    )
    times = " Kaplan–Meier estimates and medians have log-log intervals." if survival else ""
    rivals = (
        " Those of the score's hazard ratios beside competing events are normal on the log scale, "
        "with the standard error of 200 resamples, and not widened."
        if results.settings.competing
        else ""
    )
    parts = " Those of subgroups are not widened." if results.settings.subgroups else ""
    return (
        "Unless stated otherwise, the 95 % intervals are percentiles of "
        f"{results.settings.resamples} bootstrap resamples of {_drawn(joined)}, with predictions "
        "kept, and widened where the corrected variance over folds of Nadeau and Bengio (2003) "
        "was larger (for the calibration slope, that of its jackknife pseudo-values over folds). "
        f"Those of {ranked} are never narrower than that of a perfect result of as many patients "
        f"(Obuchowski and Lieber 2002, binormal{perfect}){exact}, and that of {main} is never "
        "narrower than that of random scores where models predict the same for all patients. "
        f"That of a difference in {main} that is the same in all resamples reaches as far as "
        "those of both models do, unless both rank the patients of each fold alike, and neither "
        f"perfectly nor all the same. The upper end of the interval of a difference in {main} is "
        "not below that of the plain difference, in which no model below 0.5 counts as 0.5. "
        f"Where the interval of {main} holds 0.5, that of the calibration slope is extended to "
        f"hold 0. {curves} {alone} {others} are widened by the factor of the main measure. ICI "
        f"intervals are re-centred on the estimate.{times}{rivals}{parts}{test}{_rule(results)} "
        "No p-value was adjusted for multiple testing [say which were looked at]. Software: "
        f"{made_by}."
    )


def _drawn(joined: JoinedTable) -> str:
    """Return what the bootstrap draws."""
    if not has_groups(joined):
        return "patients"
    return f"the values of {group_name(joined)}, each with all its rows"


def _rule(results: AnalysisResults) -> str:
    """Return when the verdict calls radiomics better, as :mod:`pancseg.modelling.verdict` does."""
    main, plan = the(main_measure(results.settings.kind)), results.plan
    alone = len(np.unique(plan.groups)) < len(plan.y)
    needed = (
        "; as several rows are of one patient or group, there is no test and the interval alone "
        "decided"
        if alone
        else f" and the likelihood-ratio p was below {LEVEL:g}"
    )
    explained = (
        " Radiomics was said not to be shown to be more than volume where both were better than "
        "chance and radiomics was not better than volume."
        if VOLUME in plan.blocks
        else ""
    )
    return (
        f" A model was called better than chance where the interval of {main} lay above 0.5; "
        "radiomics was called better than another model, or said to add to it, where the interval "
        f"of the difference in {main} lay above 0 (another model below 0.5 counted as 0.5)"
        f"{needed}. It was called worse where that interval lay below 0.{explained}"
    )
