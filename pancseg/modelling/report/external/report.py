"""The report of a saved model on new patients with known outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pancseg.modelling.report.external.calibration import (
    calibration_of,
    calibration_section,
    recalibration_section,
)
from pancseg.modelling.report.external.case_mix import case_mix_section, outside_section
from pancseg.modelling.report.external.curves import (
    benefit_section,
    calibration_curves,
    curve_files,
    decision,
    roc_files,
)
from pancseg.modelling.report.external.judged import Judged, followed
from pancseg.modelling.report.external.verdict import verdict_section
from pancseg.modelling.report.parts import (
    Picture,
    Section,
    columns_named,
    digits,
    markdown,
    with_interval,
)
from pancseg.modelling.report.picture_files import KINDS
from pancseg.modelling.report.word import word_document
from pancseg.modelling.study import SHOWN
from pancseg.modelling.times import named_time
from pancseg.modelling.validation.calibration import SMOOTHED
from pancseg.modelling.validation.kaplan_meier import kaplan_meier_points, median_follow_up
from pancseg.modelling.validation.new_patients import FEWEST
from pancseg.modelling.words import listed
from pancseg.system.text.number_text import DASH, percent
from pancseg.tables.html_page import escape_markdown, html_page

_PICTURES = ("roc", "time_dependent_roc", "calibration", "decision_curve")
TITLE = "External validation"
EXTERNAL_FILES = (
    *("report.md", "report.html", "report.docx"),
    *(f"{name}.{kind}" for name in _PICTURES for kind in KINDS),
)
"""Names of all files that a report may have."""


def external_files(judged: Judged, resamples: int = 1000) -> dict[str, bytes]:
    """Return the files of the report: Markdown, HTML, Word and figures; same input, same bytes.

    Args:
        judged: the new patients.
        resamples: number of resamples of the patient bootstrap.
    """
    shown = [name for name in SHOWN if name in judged.measures]
    calibrated = {name: calibration_of(judged, name, resamples) for name in shown}
    curves = calibration_curves(judged, shown, resamples)
    benefit = decision(judged, shown, resamples)
    files = roc_files(judged, shown) | curve_files(judged, curves, benefit)
    parts = [
        verdict_section(judged, calibrated),
        _patients(judged),
        _drawn(_performance(judged, shown), files),
        *_differences(judged),
        _drawn(calibration_section(judged, calibrated), files),
        _drawn(benefit_section(judged, benefit), files),
        recalibration_section(judged, shown),
        case_mix_section(judged, shown),
        outside_section(judged),
        Section("Methods", [_methods(judged, resamples)]),
    ]
    outcome = columns_named([*map(escape_markdown, judged.saved.facts["outcome"])])
    text = markdown(f"{TITLE}: radiomics and {outcome}", parts)
    return files | {
        "report.md": text.encode(),
        "report.html": html_page(text, files).encode(),
        "report.docx": word_document(text, files),
    }


def _drawn(section: Section, files: Mapping[str, bytes]) -> Section:
    """Return a section without figures that were not drawn: nobody was followed to a horizon."""
    return replace(section, pictures=[each for each in section.pictures if each.file in files])


def _patients(judged: Judged) -> Section:
    lines = [f"{judged.size}, {judged.counts}."]
    if not judged.survival:
        return Section("The patients", lines)
    lines.append(_follow_up(judged))
    rows = [
        [
            named_time(point.time),
            percent(point.event_free.value, 1),
            str(point.at_risk),
        ]
        for point in kaplan_meier_points(judged.y, judged.horizons)
        if followed(judged.y, point.time)
    ]
    header = [f"time ({judged.unit})", "event-free", "at risk"]
    caption = "Kaplan–Meier estimate at the model's horizons."
    return Section("The patients", lines, header if rows else (), rows, caption=caption)


def _follow_up(judged: Judged) -> str:
    """Return the median follow-up, which competing events end as the event does."""
    if judged.saved.facts["competing"] and judged.cause is None:
        return (
            "Median follow-up is not given: which values of the event column are competing events "
            "is not known where `event_is` is not the model's."
        )
    value = median_follow_up(judged.y, judged.cause).value
    text = "not reached" if np.isnan(value) else f"{digits(value)} {judged.unit}"
    return f"Median follow-up (reverse Kaplan–Meier): {text}."


def _performance(judged: Judged, shown: Sequence[str]) -> Section:
    names = list(dict.fromkeys(m for name in shown for m in judged.measures[name]))
    names = [name for name in names if not name.startswith(("calibration", "ICI"))]
    rows = []
    for name in shown:
        known = int(judged.known(name).sum())
        cells = [with_interval(judged.measures[name][m]) for m in names]
        rows.append([name, str(known), *cells])
    picture = "time_dependent_roc" if judged.survival else "roc"
    what = "Time-dependent ROC curves" if judged.survival else "ROC curves"
    pictures = [Picture(f"{picture}.png", f"{what} of the saved models in the new patients.")]
    caption = "Performance in the new patients, with 95 % intervals (patient bootstrap)."
    if judged.survival:
        caption += f" Times are in {judged.unit}."
    notes = _empty_cells(judged, names)
    return Section("Performance", (), ["model", "n", *names], rows, pictures, caption, notes)


def _differences(judged: Judged) -> list[Section]:
    """Return the section on what models have more than others; none where there are no pairs."""
    if not judged.differences:
        return []
    names = list(dict.fromkeys(m for found in judged.differences.values() for m in found))
    rows = []
    for (a, b), found in judged.differences.items():
        known = int((judged.known(a) & judged.known(b)).sum())
        rows.append([f"{a} − {b}", str(known), *(with_interval(found[m]) for m in names)])
    line = (
        "Of the patients that both models predict. A negative difference in Brier is better. "
        "Models are compared as they are: a second one below 0.5 does not count as 0.5."
    )
    caption = "Differences between models in the new patients, with 95 % intervals."
    return [Section("Differences", [line], ["models", "n", *names], rows, caption=caption)]


def _empty_cells(judged: Judged, names: Sequence[str]) -> list[str]:
    """Return sentences on measures that no model or not every model has."""
    found = [
        name
        for name in names
        if any(np.isnan(each[name].value) for each in judged.measures.values())
    ]
    lines = []
    if found:
        why = (
            f"no follow-up beyond that time; an AUC needs {FEWEST} patients with the event by then "
            f"and {FEWEST} without it"
            if judged.survival
            else "too few patients"
        )
        lines.append(f"Not computed ({DASH}): {listed(found)}; {why}.")
    if judged.survival and not any(name.startswith("integrated Brier") for name in names):
        lines.append(
            "Not computed: the integrated Brier score; it needs two of the model's times within "
            "the follow-up."
        )
    return lines


def _methods(judged: Judged, resamples: int) -> str:
    facts = judged.saved.facts
    imputes = any(model.imputes for model in judged.saved.models.values())
    filled = "equations for missing values, " if imputes else ""
    text = (
        f"The models ({facts['made_by']}) were applied as they were saved, with the {filled}"
        "medians, means and thresholds of the training. Intervals are percentiles of "
        f"{resamples} bootstrap resamples of patients; those of AUC and C are never narrower "
        "than that of a perfect result of as many patients (two normal groups), those of "
        "sensitivity and specificity never narrower than the exact one (Clopper and Pearson 1934), "
        "and the lower end of PR-AUC is never above that of the same two groups. "
    )
    smooth = (
        "Calibration curves are local linear regressions of the outcome on the predicted risk "
        "(span 0.75, tricube weights); their bands, and the interval of the ICI (Austin and "
        f"Steyerberg 2019), are of {min(resamples, SMOOTHED)} of the resamples. The net benefit is "
        "that at the observed risk, where a calibrated model gains most over treating all or none."
    )
    if judged.survival:
        return text + (
            "Observed risk is 1 minus the Kaplan–Meier probability, expected risk the mean of the "
            "predicted ones. The calibration slope is the coefficient of the log hazard in a Cox "
            "model (Efron's ties). Censoring weights of Uno's C, AUC, Brier score, net benefit and "
            "smooth calibration curves are estimated in the new patients. The Brier score is "
            "integrated over the model's times within the follow-up, by the trapezoidal rule, and "
            "divided by their range. " + smooth
        )
    return text + (
        "Calibration in the large is the intercept of a logistic regression with the log odds as "
        "an offset; the slope is that of a logistic regression on the log odds. " + smooth
    )
