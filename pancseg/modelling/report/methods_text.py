"""A methods paragraph to paste into a paper: what was done, with every definition and version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.pipeline import Pipeline

from pancseg.modelling.analysis import AnalysisResults, brier_measure, is_tested, main_measure
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.chained import FEWEST_KNOWN, MOST_PREDICTORS, ROUNDS
from pancseg.modelling.estimators.fences import FAR_OUT
from pancseg.modelling.estimators.mean_matching import DONORS
from pancseg.modelling.estimators.preparation import FEWEST_DIFFERENT, MOST_MISSING
from pancseg.modelling.estimators.redundancy import REDUNDANT_RHO
from pancseg.modelling.inputs.clinical import FEWEST_NOT_KNOWN
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.optimism import FEWEST_SAMPLES, trusted
from pancseg.modelling.report.parts import Section, counted, in_most, listed, the
from pancseg.modelling.report.study_facts import imputations_of
from pancseg.modelling.settings import timed, unit_of
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.subtype import TREE_COLUMNS
from pancseg.modelling.survival import SurvivalTask
from pancseg.modelling.verdict import LEVEL
from pancseg.system.text.number_text import percent
from pancseg.tables.html_page import escape_markdown

_ALGORITHMS = {
    ("elastic-net", "subtype"): "penalised logistic regression",
    ("elastic-net", "survival"): "penalised Cox regression (Efron's handling of ties)",
    ("random-forest", "subtype"): "a random forest of 200 trees",
    ("random-forest", "survival"): "a random forest of martingale residuals, calibrated by Cox "
    "regression",
    ("gradient-boosting", "subtype"): "gradient-boosted trees of depth 2",
}
_TREES = (
    f"It saw at most {TREE_COLUMNS} features, those most strongly associated with the outcome, "
    "each alone"
)


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
        _validation(results, joined),
        _measures(results),
        _uncertainty(results, joined, made_by),
    ]
    return Section("Methods, ready to paste", lines)


def _data(joined: JoinedTable, endpoint: Endpoint) -> str:
    if endpoint.kind == "survival":
        time, event = map(escape_markdown, endpoint.columns)
        outcome = f"the time to [event] (columns {time} and {event}), censored at [last contact]"
    else:
        rest, positive = map(escape_markdown, endpoint.classes)
        outcome = f"{positive} against {rest}"
    clinical = list(map(escape_markdown, joined.origin.levels))
    were = "variable was" if len(clinical) == 1 else "variables were"
    beside = f" The clinical {were} {listed(clinical)}." if clinical else ""
    return (
        f"From [hospital, years], {joined.size()} with {joined.features.shape[1]} radiomics "
        f"features were analysed. The outcome was {outcome}.{beside}"
    )


def _models(results: AnalysisResults, joined: JoinedTable) -> str:
    settings = results.settings
    spec = results.plan.specs[0]
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
    criterion = "the Cox partial likelihood" if settings.kind == "survival" else "the log loss"
    chosen = (
        f"; the settings were chosen among {len(spec.candidates)} candidates by {criterion} in the "
        "inner folds"
        if len(spec.candidates) > 1
        else ""
    )
    algorithm = _ALGORITHMS.get((settings.model, settings.kind), settings.model)
    form = _linear(results) if settings.model == "elastic-net" else _TREES
    return (
        f"The model, set before this run, was {algorithm}. Features that more than "
        f"{percent(MOST_MISSING)} of the patients lack were left out beforehand, whatever the "
        f"outcome. Features in which fewer than {percent(FEWEST_DIFFERENT)} of values differ from "
        f"the most frequent one were dropped. Values far out were moved to {FAR_OUT:g} "
        "interquartile ranges beyond the quartiles, at most one in twenty on each side. "
        f"{_gaps(results, joined)}{combat} Of features with Spearman's |rho| above "
        f"{REDUNDANT_RHO} (average linkage) {stable} was kept, and features were scaled to "
        f"z-scores. {form}{chosen}. All of these steps were fitted on training rows only. "
        f"{_compared(results)}"
    )


def _gaps(results: AnalysisResults, joined: JoinedTable) -> str:
    """Return how missing values were filled."""
    count = imputations_of(results.settings, joined)
    texts = (
        f" Texts that {FEWEST_NOT_KNOWN} patients or more lack had a level `missing`; missing ones "
        "of others were replaced by the shares of the levels."
        if any(joined.origin.levels.values())
        else ""
    )
    if count == 1:
        return f"Missing values were replaced by the median (0/1 columns: the mean).{texts}"
    combat, batch = (
        ("ComBat, ", ", for features also from the scanner or site")
        if joined.batch is not None
        else ("", "")
    )
    outcome = (
        "the event and the cumulative hazard"
        if results.settings.kind == "survival"
        else "the class"
    )
    averaged = (
        "their log odds"
        if results.settings.model == "gradient-boosting"
        else "their trees"
        if results.settings.model == "random-forest"
        else "their coefficients"
        + (" and log cumulative hazards" if results.settings.kind == "survival" else "")
    )
    return (
        f"Missing numbers were imputed in {count} tables by chained equations ({ROUNDS} rounds, "
        f"predictive mean matching among {DONORS} donors; van Buuren 2018), assumed to be missing "
        "at random, each from columns of the same kind (features, volume or clinical variables): "
        f"at most {MOST_PREDICTORS}, those with the highest correlation times share of usable "
        f"cases, if above that of noise; and from the outcome ({outcome}){batch}. "
        f"The models fitted to the {count} tables were averaged ({averaged}), with features "
        "selected once, by the mean of their association. Rows that were predicted, whose outcome "
        "is unknown to the model, "
        "were completed by the expected values of such equations without the outcome (the mean "
        "where no other column helps), and by the median (0/1 columns: the mean) where no training "
        f"row lacked the value, fewer than {FEWEST_KNOWN} had it or all were alike; to training "
        f"rows completed in this way {combat}redundancy and scaling were fitted.{texts}"
    )


def _linear(results: AnalysisResults) -> str:
    """Return what the candidates of the linear model are, with the meaning of their settings."""
    survival = results.settings.kind == "survival"
    found = results.plan.specs[0].candidates
    nets: dict[str, list[float]] = {}
    """Number of features, or all → penalties."""
    for candidate in found:
        selects = isinstance(candidate, Pipeline)
        last = candidate[-1] if selects else candidate
        if hasattr(last, "fraction"):
            size = str(candidate.named_steps["select"].k) if selects else "all"
            nets.setdefault(size, []).append(last.fraction)
    spreads = sorted({c.spread for c in found if hasattr(c, "spread")})
    alone = "score test of a Cox model" if survival else "AUC"
    sizes = listed([size for size in nets if size != "all"], "or")
    which = ["all features"] * ("all" in nets)
    if sizes:
        which.append(
            f"the {sizes} features that were most strongly associated with the outcome, each alone "
            f"({alone}),"
        )
    predictor = "log hazard" if survival else "log odds"
    return (
        f"Candidates were elastic nets (l1 ratio 0.5) of {listed(which, 'or')} with a penalty of "
        f"{_penalties(nets)} times the smallest that leaves no feature, and ridge regressions of "
        f"all features, with a normal prior of the coefficients by which the {predictor} "
        f"has a variance of {listed([f'{s:g}' for s in spreads], 'or')} between patients"
    )


def _penalties(nets: Mapping[str, Sequence[float]]) -> str:
    """Return the penalties as text, with the numbers of features of those that not all have."""
    parts = []
    for penalty in sorted({each for found in nets.values() for each in found}, reverse=True):
        those = [size for size, found in nets.items() if penalty in found]
        only = "" if len(those) == len(nets) else f" (of {listed(those)} features only)"
        parts.append(f"{penalty:g}{only}")
    return listed(parts, "or")


def _compared(results: AnalysisResults) -> str:
    """Return what the declared model was compared with, and how."""
    names = {spec.name for spec in results.plan.specs}
    others = {
        VOLUME: "volume alone",
        CLINICAL: "the clinical variables alone",
        SINGLE: "the best single feature, chosen in each fold",
    }
    compared = [text for name, text in others.items() if name in names]
    how = (
        "all were fitted in the same folds and are linear, but only the model of radiomics was "
        "penalised and tuned"
        if results.settings.model == "elastic-net"
        else "both sides of a comparison were fitted by this algorithm in the same folds"
    )
    text = (
        f"It was compared with {listed(compared)}: {how}. Other algorithms are shown beside it, "
        "and the best of them is not chosen."
    )
    if BOTH in names:
        score = "log hazard" if results.settings.kind == "survival" else "log odds"
        linear = results.settings.model == "elastic-net"
        kept = "have no penalty and are never left out" if linear else "are not selected from"
        bound = "its coefficient cannot be negative" if linear else "no risk falls as it rises"
        text += (
            f" Clinical variables {kept}. In clinical + radiomics "
            f"they stand beside one more column, the score of the radiomics model ({score}), taken "
            f"out of inner folds where the model is trained; {bound}."
        )
    return text


def _validation(results: AnalysisResults, joined: JoinedTable) -> str:
    settings = results.settings
    scanner = " and the scanner or site" if joined.batch is not None else ""
    return (
        f"Performance was estimated by nested cross-validation with {settings.outer} outer and "
        f"{settings.inner} inner folds, stratified by the outcome{scanner}, in "
        f"{counted(settings.repeats, 'repeat')} (random seed {settings.seed}); all rows of "
        f"{_together(joined)} were in the same fold. The final model was fitted in the same way to "
        "all patients."
        + _correction(results)
        + (
            f" To detect leaks the model radiomics was run {settings.canary} times each on "
            "permuted outcomes and on noise, in one repeat."
            if settings.canary
            else ""
        )
    )


def _together(joined: JoinedTable) -> str:
    """Return whose rows stay together: a patient's, or those of a group of several patients."""
    if len(np.unique(joined.groups)) == joined.count():
        return "a patient"
    return f"one value of {escape_markdown(joined.origin.group or 'the group')}"


def _drawn(joined: JoinedTable) -> str:
    """Return what the bootstrap draws."""
    whole = _together(joined)
    return "patients" if whole == "a patient" else f"all rows of {whole} together"


def _correction(results: AnalysisResults) -> str:
    """Return how performance was corrected for optimism."""
    known = results.corrected.get(RADIOMICS)
    if known is None:
        return ""
    main, brier = main_measure(results.settings.kind), brier_measure(results.settings.kind)
    survival = results.settings.kind == "survival"
    who = "with and from those without the event" if survival else "of each class"
    who += " and of each scanner" if results.plan.strata.max() > 1 else ""
    scored = brier in known
    random = f", the {brier} score that of predictions given to random patients" if scored else ""
    measures = listed([the(main), *[f"the {brier} score"] * scored])
    measures = measures[0].upper() + measures[1:]
    if not known[main].samples:
        return (
            f" {measures} could not be judged in patients left out of bootstrap samples: of those "
            f"drawn with replacement from the patients {who}, there was none to which the models "
            "could be fitted and whose left-out patients could be judged."
        )
    given = trusted(known)
    what = (
        "corrected for optimism by the .632+ bootstrap (Efron and Tibshirani 1997)"
        if given
        else "judged in patients left out of bootstrap samples"
    )
    formula = (
        f" Without information, {the(main)} is 0.5{random}; a mean over the samples that is worse "
        "than that counts as that."
    )
    if given:
        last = f"{formula} No such estimate is given"
    else:
        weighed = " Those of other models were weighed by the .632+ bootstrap (Efron and Tibshirani"
        others = any(map(trusted, results.corrected.values()))
        last = f"{weighed} 1997).{formula}" if others else ""
        last += " No .632+ estimate of radiomics is given, as none is given"
    return (
        f" {measures} were also {what}: in each of {counted(known[main].samples, 'sample')} of "
        f"patients, drawn with replacement from those {who}, every step was repeated, tuning "
        f"included, and the patients who were not drawn were judged, for {the(main)} by all of "
        f"their pairs; values were averaged over the samples.{last} "
        f"from fewer than {FEWEST_SAMPLES} samples or of models that ordered their own patients "
        "almost without error, but not those left out."
    )


def _measures(results: AnalysisResults) -> str:
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
    horizons = listed([f"{time:.4g}" for time in task.horizons])
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
        f"{task.times[0]:.4g} to {task.times[-1]:.4g} {unit} (5 % to 90 % quantile of the event "
        f"times; {len(task.times)} points, trapezoidal rule). Net benefit is of the risk by "
        f"{timed(task.middle, unit)}, at the mean risk of the cohort by then (Kaplan–Meier), "
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


_ICI = (
    "ICI is the mean distance of the smooth calibration curve (local linear, span 0.75) from the "
    "diagonal."
)


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


def _uncertainty(results: AnalysisResults, joined: JoinedTable, made_by: str) -> str:
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
    ranked = "AUC and C" if survival else "AUC, sensitivity and specificity"
    perfect = (
        ", for C with half of the events against the other half"
        if survival
        else "; Clopper and Pearson 1934; the lower end of PR-AUC likewise"
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
        f"Unless stated otherwise, the 95 % intervals are percentiles of "
        f"{results.settings.resamples} bootstrap resamples of {_drawn(joined)}, with predictions "
        "kept, and widened where the corrected variance over folds of Nadeau and Bengio (2003) was "
        "larger (for the calibration slope, that of its jackknife pseudo-values over folds). Those "
        "of "
        f"{ranked} are never narrower than that of a perfect result of as many patients "
        f"(Obuchowski and Lieber 2002, binormal{perfect}), and that of {main} is never narrower "
        "than that of random scores where models predict the same for all patients. That of a "
        f"difference in {main} that is the same in all resamples reaches as far as those of both "
        "models do, unless both rank the patients of each fold alike, and neither perfectly nor "
        f"all the same. The upper end of the interval of a difference in {main} is not below that "
        "of the plain difference, in which no model below 0.5 counts as 0.5. Where the interval of "
        f"{main} holds 0.5, that of the calibration slope is extended to hold 0. {curves} {alone} "
        f"{others} are widened by the factor of the main measure. ICI intervals are re-centred on "
        f"the estimate.{times}{rivals}{parts}{test}{_rule(results)} No p-value was adjusted "
        f"for multiple testing [say which were looked at]. Software: {made_by}."
    )
