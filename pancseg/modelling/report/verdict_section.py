"""The section that comes first: what was found, in whom, how sure, and what speaks against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.competing import COMPETING
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.internal_external import lower_in_sites, pooled_over
from pancseg.modelling.optimism import trusted
from pancseg.modelling.report.model_numbers import Tuning, tuned
from pancseg.modelling.report.parts import Section, columns_named, number, of_class, with_interval
from pancseg.modelling.report.stability import risk_of, risks
from pancseg.modelling.study import RADIOMICS
from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.words import counted, the
from pancseg.system.text.number_text import printed
from pancseg.tables.html_page import escape_markdown, escape_message

_WIDE = 0.2
"""Width of an interval of AUC or C from which on the report calls it wide."""
_SLOPES = 0.8, 1.25


def verdict_section(
    results: AnalysisResults, joined: JoinedTable, endpoint: Endpoint, warned: Sequence[str]
) -> Section:
    """Return the first section; without performance when a canary sang.

    Args:
        results: the analysis.
        joined: the rows analysed.
        endpoint: their outcomes.
        warned: what the data are hardly sufficient for.
    """
    if results.leaks:
        sang = ", ".join(f"{c.what}: {c.mean:.3f}" for c in results.canaries if c.sings)
        lines = [
            f"**The pipeline leaks**: it finds a signal where there is none ({sang}; chance is "
            "0.5). No performance is shown, as it could not be trusted.",
            *_what(results, joined, endpoint),
        ]
        return Section("Verdict", lines)
    said = {*results.doubts, *warned}
    much = [line for line in results.verdict if line not in said]
    others = [line for line in warned if line not in results.doubts]
    against = [f"* {escape_message(line)}" for line in [*against_results(results), *others]]
    return Section(
        "Verdict",
        [
            *(f"**Doubtful.** {escape_message(line)}" for line in results.doubts),
            *_what(results, joined, endpoint),
            f"**How much?** {' '.join(map(plain_but_bold, much))}",
            f"**How sure?** {' '.join(_how_sure(results))}",
            "**What speaks against it?**" + ("" if against else " Nothing that these data show."),
            *against,
        ],
    )


def plain_but_bold(sentence: str) -> str:
    """Return a sentence with names from the tables escaped and bold words kept."""
    return escape_message(sentence).replace(r"\*\*", "**")


def _what(results: AnalysisResults, joined: JoinedTable, endpoint: Endpoint) -> list[str]:
    settings = results.settings
    columns = columns_named([*map(escape_markdown, endpoint.columns)])
    if endpoint.kind == "survival":
        events = int(endpoint.y["event"].sum())
        what = columns
        who = f"{joined.size()}, {counted(events, 'event')}"
        if endpoint.cause is not None:
            who += f", {counted(int((endpoint.cause == COMPETING).sum()), 'competing event')}"
    else:
        rest, positive = map(escape_markdown, endpoint.classes)
        what = f"{positive} (the positive class) against {rest} (column {columns})"
        count = int(endpoint.y.sum())
        who = f"{joined.size()}, {of_class(count, positive)} and "
        who += of_class(len(endpoint.y) - count, rest)
    clinical = list(joined.origin.levels)
    beside = f", beside {', '.join(map(escape_markdown, clinical))}" if clinical else ""
    return [
        f"**What?** Does radiomics predict {what}? {joined.features.shape[1]} candidate features"
        f"{beside}; the algorithm, {settings.model}, was set before this run.",
        f"**In whom?** {who}. Cross-validated: every patient was predicted by models fitted to "
        f"others ({counted(settings.repeats, 'repeat')} of {settings.outer} folds); no other "
        "cohort was tested.",
    ]


def _how_sure(results: AnalysisResults) -> list[str]:
    main = main_measure(results.settings.kind)
    found = results.measures[RADIOMICS][main]
    width = found.high - found.low
    wide = ", which is wide" if width > _WIDE else ""
    lines = [f"The 95 % interval of {the(main)} of radiomics spans {number(width)}{wide}."]
    values = results.corrected.get(RADIOMICS, {})
    corrected = values.get(main)
    if corrected is not None and corrected.samples:
        samples = corrected.samples
        other = (
            f"{number(corrected.value)} by the .632+ bootstrap ({counted(samples, 'sample')})"
            if trusted(values)
            else f"{number(corrected.mean_outside)} in those left out of "
            f"{counted(samples, 'bootstrap sample')} (mean; no .632+ estimate, see Performance)"
        )
        lines.append(
            f"Radiomics reaches {number(found.value)} out of fold, {number(corrected.apparent)} in "
            f"the patients that it was fitted to, and {other}."
        )
    if len(results.validation.folds) > 1:
        spread = float(np.median(np.ptp(risks(results, RADIOMICS), axis=0)))
        apart = "less than 0.001" if spread < 5e-4 else f"{number(spread)} or more"
        lines.append(
            f"Each patient was predicted once in each of the {len(results.validation.folds)} "
            f"repeats, by models fitted to other patients; for half of the patients the predicted "
            f"risks {risk_of(results)} are {apart} apart."
        )
    pooled = pooled_over(list(results.sites), RADIOMICS)
    if pooled is not None:
        all_of = len(results.sites)
        those = "" if pooled.sites == all_of else f", over the {pooled.sites} with enough patients"
        lines.append(
            f"With each of {all_of} sites left out in turn, the pooled {main} of radiomics is "
            f"{with_interval(pooled.value)}{those}."
        )
    if results.canaries and not any(canary.powerless for canary in results.canaries):
        runs = sum(len(canary.values) for canary in results.canaries)
        found_from = max(canary.detectable for canary in results.canaries)
        lines.append(
            f"{runs} runs of the model radiomics on data without a signal gave no sign of a leak "
            f"(a leak that lifts {the(main)} to {number(found_from)} would be found in four of "
            "five cases)."
        )
    return lines


def against_results(results: AnalysisResults) -> list[str]:
    """Return what the results themselves say against the model."""
    found = [
        "No external validation: sites were left out in turn, but no cohort from outside this "
        "study was tested."
        if results.sites
        else "No external validation: other scanners and hospitals were not tested."
    ]
    if not results.canaries:
        found.append("Whether the model leaks was not tested (`canary` is 0).")
    elif any(canary.powerless for canary in results.canaries):
        runs = sum(len(canary.values) for canary in results.canaries)
        found.append(
            f"{runs} runs of the model radiomics on data without a signal are too few to tell "
            "whether it leaks; take 8 or more of each kind (`canary`)."
        )
    found += _lower_elsewhere(results) + other_setting(tuned(results)[RADIOMICS])
    fitted = results.calibration.get(RADIOMICS)
    return found if fitted is None else [*found, *_slope(fitted.slope)]


def _lower_elsewhere(results: AnalysisResults) -> list[str]:
    """Return a sentence where the interval in sites left out is below the one out of fold."""
    main = main_measure(results.settings.kind)
    inside = results.measures[RADIOMICS][main]
    pooled = lower_in_sites(list(results.sites), RADIOMICS, inside)
    if pooled is None:
        return []
    return [
        f"In sites that the models had not seen, {the(main)} of radiomics is "
        f"{with_interval(pooled.value)}, all of it below the interval out of fold "
        f"({number(inside.low)} to {number(inside.high)}): radiomics may have measured the site."
    ]


def _slope(slope: Estimate) -> list[str]:
    """Return a sentence on a calibration slope that is far from 1; else none."""
    low, high = _SLOPES
    value = printed(slope.value)
    if np.isnan(value) or low <= value <= high:
        return []
    far = "too extreme" if value < low else "too close to the average"
    held = printed(slope.low) <= 1 <= printed(slope.high)
    if value <= 0 and held:
        said = ": the predictions of radiomics may not go with the outcome (the interval holds 1)"
    elif value <= 0:
        said = ": the predictions of radiomics do not go with the outcome"
    elif np.isnan([slope.low, slope.high]).any():
        said = ""
    elif held:
        said = f": the predictions of radiomics may be {far} (the interval holds 1)"
    else:
        said = f": the predictions of radiomics are {far}"
    return [
        f"Calibration slope {with_interval(slope)} out of fold{said}. The saved model was tuned "
        "anew, on all patients."
    ]


def other_setting(tuning: Tuning) -> list[str]:
    """Return a sentence where no outer model was set as the saved one is; else none."""
    if not tuning.models or tuning.alike:
        return []
    chosen = "; ".join(f"{name} ({count})" for name, count in tuning.counts.items())
    return [
        f"The saved model of radiomics has a setting ({tuning.chosen}) that none of the "
        f"{counted(tuning.models, 'outer model')} had; they had: {chosen}. Its performance was "
        "thus measured on models that were set otherwise."
    ]
