"""The report of a saved model on new patients with known outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pancseg.modelling.estimators.cox import censoring_survival
from pancseg.modelling.recalibration import (
    mean_risk,
    observed_risk,
    recalibrated_class,
    recalibrated_survival,
)
from pancseg.modelling.report.cohort_section import kaplan_meier_points, median_follow_up
from pancseg.modelling.report.external_curves import (
    benefit_section,
    calibration_curves,
    calibration_picture,
    curve_files,
    decision,
    not_computed,
)
from pancseg.modelling.report.judged import Judged, followed
from pancseg.modelling.report.parts import (
    Picture,
    Section,
    counted,
    digits,
    listed,
    markdown,
    of_class,
    with_interval,
)
from pancseg.modelling.report.picture_files import KINDS, legend, picture_files
from pancseg.modelling.report.roc_figures import pooled_roc, style_of
from pancseg.modelling.report.word import word_document
from pancseg.modelling.saved_model import SavedModel
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, VOLUME
from pancseg.modelling.validation.calibration import SMOOTHED
from pancseg.modelling.validation.measures import Estimate, bootstrap_weights, estimate
from pancseg.system.text.number_text import DASH, percent
from pancseg.tables.html_page import escape_markdown, escape_message, html_page

_SHOWN = (RADIOMICS, VOLUME, CLINICAL, BOTH)
_EDGE = 1e-12
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
    shown = [name for name in _SHOWN if name in judged.measures]
    calibrated = {name: calibration_of(judged, name, resamples) for name in shown}
    curves = calibration_curves(judged, shown, resamples)
    benefit = decision(judged, shown, resamples)
    files = _figures(judged, shown) | curve_files(judged, curves, benefit)
    parts = [
        _verdict(judged, calibrated),
        _patients(judged),
        _drawn(_performance(judged, shown), files),
        _drawn(_calibration(judged, calibrated), files),
        _drawn(benefit_section(judged, benefit), files),
        _recalibration(judged, shown),
        _case_mix(judged, shown),
        _outside(judged),
        Section("Methods", [_methods(judged, resamples)]),
    ]
    columns = ", ".join(map(escape_markdown, judged.saved.facts["outcome"]))
    text = markdown(f"{TITLE}: radiomics and {columns}", parts)
    return files | {
        "report.md": text.encode(),
        "report.html": html_page(text, files).encode(),
        "report.docx": word_document(text, files),
    }


def _drawn(section: Section, files: Mapping[str, bytes]) -> Section:
    """Return a section without figures that were not drawn: nobody was followed to a horizon."""
    return replace(section, pictures=[each for each in section.pictures if each.file in files])


def calibration_of(judged: Judged, name: str, resamples: int) -> dict[str, Estimate]:
    """Return calibration in the large of a model: a shift or ratios of observed to expected.

    Args:
        judged: the new patients.
        name: of the model.
        resamples: number of resamples of the patient bootstrap.
    """
    known = ~np.isnan(judged.scores[name])
    weights = bootstrap_weights(judged.groups[known], resamples, 0)
    y = judged.y[known]
    if not judged.survival:
        risk = judged.scores[name][known]
        ratio = mean_risk(y.astype(float), weights) / mean_risk(risk, weights)
        return {
            "in the large": judged.measures[name]["calibration-in-the-large"],
            "observed / expected": estimate(ratio),
        }
    found = {}
    for place, horizon in enumerate(judged.horizons):
        if not followed(y, horizon):
            continue
        risk = 1 - judged.event_free[name][known, place]
        ratio = observed_risk(y, horizon, weights) / mean_risk(risk, weights)
        found[f"observed / expected at {horizon:.4g}"] = estimate(ratio)
    return found


def _verdict(judged: Judged, calibrated: Mapping[str, Mapping[str, Estimate]]) -> Section:
    facts, name = judged.saved.facts, RADIOMICS
    found = judged.measures.get(name)
    lines = [
        f"**What?** A model that was fitted to {counted(facts['patients'], 'row')} "
        f"({escape_markdown(facts['made_by'].split(',')[0])}) was applied to new patients as it "
        "is.",
        f"**In whom?** {judged.size}, {_counts(judged)}."
        + (
            f" {counted(judged.own, 'patient')} that the model was fitted on, and found again in "
            "the table, were left out."
            if judged.own
            else ""
        ),
    ]
    against = [f"* {escape_message(line)}" for line in [*judged.doubts, *_overlap(judged)]]
    if found is None:
        lines.append("**How much?** The model radiomics has no prediction that could be judged.")
        return Section("Verdict", [*lines, *against])
    main = found[judged.main]
    better = (
        "predicts better than chance"
        if main.low > 0.5
        else "predicts worse than chance"
        if main.high < 0.5
        else "is not shown to predict better than chance"
    )
    lines.append(
        f"**How much?** Radiomics {better} in them ({judged.main} {with_interval(main)})."
        f"{_against_development(judged, main)}"
    )
    lines.append(f"**Calibrated?** {_calibration_sentence(judged, calibrated[name])}")
    outside = _outside_counts(judged)
    if outside is not None and outside[0]:
        against.append(
            f"* {outside[0]} of {len(judged.y)} rows {'has' if outside[0] == 1 else 'have'} a "
            "value outside the range of the "
            "training; the model is not supported by data there."
        )
    missing = int(np.isnan(judged.scores[name]).sum())
    if missing:
        against.append(f"* {counted(missing, 'row')} have no prediction.")
    lines.append("**What speaks against it?**" + ("" if against else " Nothing that was tested."))
    return Section("Verdict", [*lines, *against])


def _overlap(judged: Judged) -> list[str]:
    """Return what cannot be told of the patients, and of competing events."""
    found = []
    if not judged.overlap_known:
        found.append(
            "Whether the model was fitted on some of these patients cannot be told: the table "
            "lacks features that the training's had, holds them rounded to fewer than six digits, "
            "or they do not tell patients apart."
        )
    if rivals := judged.saved.facts.get("competing"):
        found.append(
            f"The model is cause-specific: competing events ({', '.join(rivals)}) count as "
            "censored, in what was predicted and in what is observed here; its risks are no shares "
            "of patients."
        )
    return found


def _against_development(judged: Judged, main: Estimate) -> str:
    """Return a sentence on the out-of-fold performance in the training cohort, if it is known."""
    known = (judged.saved.facts.get("measures") or {}).get(RADIOMICS, {}).get(judged.main)
    if known is None:
        return ""
    before = Estimate(*known)
    return (
        f" Out of fold, in the cohort that it was fitted to, it was {with_interval(before)}: "
        f"{'lower' if main.value < before.value else 'not lower'} here."
    )


def _calibration_sentence(judged: Judged, found: Mapping[str, Estimate]) -> str:
    ratios = {key: each for key, each in found.items() if key.startswith("observed")}
    if not ratios:
        return "No patient was followed up long enough to say."
    parts = []
    for key, each in ratios.items():
        says = (
            "risks are too low on average"
            if each.low > 1
            else "risks are too high on average"
            if each.high < 1
            else "no shift of the average risk is shown"
        )
        parts.append(f"{key[0].upper()}{key[1:]} {with_interval(each)}: {says}.")
    measures = judged.measures[RADIOMICS]
    slope = f"Calibration slope {with_interval(measures['calibration slope'])}"
    indices = [f"{key} {with_interval(measures[key])}" for key in measures if key[:3] == "ICI"]
    return f"{' '.join(parts)} {', '.join([slope, *indices])}."


def _counts(judged: Judged) -> str:
    count, n = int(judged.positive.sum()), len(judged.y)
    if judged.survival:
        return f"{counted(count, 'event')}"
    rest, positive = (escape_markdown(judged.saved.facts["classes"][k]) for k in (0, 1))
    return f"{of_class(count, positive)} and {of_class(n - count, rest)}"


def _patients(judged: Judged) -> Section:
    lines = [f"{judged.size}, {_counts(judged)}."]
    if not judged.survival:
        return Section("The patients", lines)
    follow_up = median_follow_up(judged.y)
    value = "not reached" if np.isnan(follow_up.value) else f"{digits(follow_up.value)} "
    lines.append(
        f"Median follow-up (reverse Kaplan–Meier): {value}"
        f"{'' if np.isnan(follow_up.value) else judged.unit}."
    )
    rows = [
        [
            f"{point.time:.4g}",
            percent(point.event_free.value, 1),
            str(point.at_risk),
        ]
        for point in kaplan_meier_points(judged.y, judged.horizons)
        if followed(judged.y, point.time)
    ]
    header = [f"time ({judged.unit})", "event-free", "at risk"]
    caption = "Kaplan–Meier estimate at the model's horizons."
    return Section("The patients", lines, header if rows else (), rows, caption=caption)


def _performance(judged: Judged, shown: Sequence[str]) -> Section:
    names = list(dict.fromkeys(m for name in shown for m in judged.measures[name]))
    names = [name for name in names if not name.startswith(("calibration", "ICI"))]
    rows = []
    for name in shown:
        known = int((~np.isnan(judged.scores[name])).sum())
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
            "no event by that time, or no follow-up beyond it"
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


def _calibration(judged: Judged, calibrated: Mapping[str, Mapping[str, Estimate]]) -> Section:
    names = list(dict.fromkeys(key for found in calibrated.values() for key in found))
    measured = judged.measures
    indices = list(
        dict.fromkeys(key for n in calibrated for key in measured[n] if key[:3] == "ICI")
    )
    rows = []
    for name, found in calibrated.items():
        cells = [with_interval(found[key]) if key in found else DASH for key in names]
        cells.append(with_interval(measured[name]["calibration slope"]))
        cells += [
            with_interval(measured[name][k]) if k in measured[name] else DASH for k in indices
        ]
        rows.append([name, *cells])
    lines = [
        "Observed / expected is 1 where the average risk is right; above 1 the model's risks are "
        "too low. A slope between 0 and 1 means that risks are too extreme, one of 0 or below "
        "that they do not go with the outcome. ICI, the integrated calibration index, is the mean "
        "distance of the smooth curve from the diagonal over patients."
    ]
    if not judged.survival:
        lines[0] += (
            " In the large is the shift of the log odds that would make the average "
            "risk right (slope kept at 1); 0 is ideal."
        )
    lines += not_computed(
        judged, list(calibrated), ("smooth curve and ICI", "smooth curves and ICI")
    )
    header = ["model", *names, "slope", *indices]
    caption = "Calibration, with 95 % intervals."
    if judged.survival:
        caption += f" Times are in {judged.unit}."
    return Section("Calibration", lines, header, rows, [calibration_picture(judged)], caption)


def _recalibration(judged: Judged, shown: Sequence[str]) -> Section:
    rows = []
    for name in shown:
        known = ~np.isnan(judged.scores[name])
        linear, y = judged.linear(name)[known], judged.y[known]
        if np.ptp(linear) < 1e-9:
            continue
        if judged.survival:
            times = np.array([t for t in judged.horizons if followed(y, t)])
            new = recalibrated_survival(y, linear, times)
            free = ", ".join(
                f"{digits(v)} at {t:.4g}" for t, v in zip(times, new.baseline, strict=True)
            )
            rows.append([name, digits(new.slope), digits(new.centre), free or DASH])
        else:
            found = recalibrated_class(y, linear)
            rows.append([name, *map(digits, found)])
    if judged.survival:
        line = (
            "Fitted to the new patients: event-free = S₀(t) to the power of exp(slope × (log "
            "hazard − centre))."
        )
        header = ["model", "slope", "centre", f"S₀ ({judged.unit})"]
    else:
        line = (
            "Fitted to the new patients: either log odds + shift, or intercept + slope × log odds."
        )
        header = ["model", "shift alone", "intercept", "slope"]
    lines = [line, "A recalibrated model is a new model: it has to be tested on others again."]
    caption = "Recalibration of the saved models."
    return Section("Recalibration", lines, header if rows else (), rows, caption=caption)


def _case_mix(judged: Judged, shown: Sequence[str]) -> Section:
    known = judged.saved.facts.get("scores") or {}
    rows = []
    for name in shown:
        linear = judged.linear(name)
        here = linear[~np.isnan(linear)]
        if name in known and len(here) > 1:
            mean, sd = known[name]
            mean = mean if abs(mean) > _EDGE else 0.0  # that of a Cox model is 0 but for rounding
            rows.append([name, digits(mean), digits(sd), digits(here.mean()), digits(here.std())])
    if not rows:
        return Section("Case mix", ["The model file does not hold that of the training."])
    what = "log hazard" if judged.survival else "log odds"
    lines = [
        f"The spread of the predicted {what} says how different the patients are from each other: "
        "with a smaller spread than in the training, a lower "
        f"{judged.main} is expected even of a valid model; another mean is another average risk. "
        "In the training the model saw these patients, so its spread there is somewhat too large."
    ]
    header = ["model", "training: mean", "training: SD", "new: mean", "new: SD"]
    return Section("Case mix", lines, header, rows, caption=f"Predicted {what}, by cohort.")


def _outside_counts(judged: Judged) -> tuple[int, list[tuple[str, int, int, float, float]]] | None:
    """Return the rows with a value outside the training's range, and counts by column."""
    ranges = judged.saved.facts.get("ranges")
    if not ranges:
        return None
    anywhere, found = np.zeros(len(judged.y), bool), []
    for name, (low, high) in ranges.items():
        if name not in judged.values:
            continue
        values = judged.values[name]
        with np.errstate(invalid="ignore"):
            out = (values < low) | (values > high)
        anywhere |= out
        found.append((name, int(out.sum()), int(np.isnan(values).sum()), low, high))
    return int(anywhere.sum()), found


def _outside(judged: Judged) -> Section:
    title = "Values outside the range of the training"
    counts = _outside_counts(judged)
    if counts is None:
        return Section(title, ["The model file does not hold the ranges of the training."])
    total, columns = counts
    rows = [
        [escape_markdown(name), f"{digits(low)} to {digits(high)}", str(out), str(missing)]
        for name, out, missing, low, high in sorted(columns, key=lambda each: (-each[1], each[0]))
        if out or missing
    ]
    lines = [
        f"{total} of {len(judged.y)} rows {'has' if total == 1 else 'have'} a value that a model "
        f"uses outside the range of the training; columns used: {len(columns)}."
    ]
    header = ["column", "training", "outside", "missing"]
    caption = "Columns with values outside the training's range, or missing."
    return Section(title, lines, header if rows else (), rows, caption=caption)


def _methods(judged: Judged, resamples: int) -> str:
    facts = judged.saved.facts
    imputes = any(model.imputes for model in judged.saved.models.values())
    filled = "equations for missing values, " if imputes else ""
    text = (
        f"The models ({facts['made_by']}) were applied as they were saved, with the {filled}"
        "medians, means and thresholds of the training. Intervals are percentiles of "
        f"{resamples} bootstrap resamples of patients; those of AUC, C, sensitivity and "
        "specificity are never narrower than that of a perfect result of as many patients (AUC and "
        "C: two normal groups; shares: exact), and the lower end of PR-AUC is never above that of "
        "the same groups. "
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


def _figures(judged: Judged, shown: Sequence[str]) -> dict[str, bytes]:
    name = "time_dependent_roc" if judged.survival else "roc"
    horizons = [t for t in judged.horizons if judged.survival and followed(judged.y, t)]
    if judged.survival and not horizons:
        return {}
    width = 3.3 * max(1, len(horizons)) + (0.4 if judged.survival else 2.0)
    height = 4.3 if judged.survival else 5.0

    def draw(figure: Figure) -> None:
        _roc(figure, judged, shown, horizons)

    return picture_files(name, draw, (width, height))


def _roc(figure: Figure, judged: Judged, shown: Sequence[str], horizons: Sequence[float]) -> None:
    many = figure.subplots(1, max(1, len(horizons)), squeeze=False, sharey=True)[0]
    places: Sequence[float | None] = horizons or [None]
    for axes, horizon in zip(many, places, strict=True):
        axes.axline((0, 0), slope=1, color="0.7", linewidth=1)
        for name in shown:
            known = ~np.isnan(judged.scores[name])
            case, control = _cases(judged.y[known], horizon)
            curve = pooled_roc([(judged.scores[name][known], case, control)])
            if curve is None:
                continue
            area = float(np.trapezoid(curve[1], curve[0]))
            colour, style = style_of(name)
            label = f"{name} {area:.2f}"
            axes.plot(*curve, color=colour, linestyle=style, label=label)
        title = "ROC, new patients" if horizon is None else f"{horizon:.4g} {judged.unit}"
        axes.set(xlabel="1 − specificity", aspect="equal", title=title)
        legend(axes, 7, "lower right")
    many[0].set_ylabel("sensitivity")


def _cases(y: np.ndarray, horizon: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) weights as cases and as controls."""
    if horizon is None:
        return (y == 1).astype(float), (y == 0).astype(float)
    free = censoring_survival(y, y["time"])
    case = y["event"] & (y["time"] <= horizon) & (free > 0)
    weight = np.where(case, 1 / np.where(free > 0, free, 1), 0.0)
    return weight, (y["time"] > horizon).astype(float)


def values_of(saved: SavedModel, blocks: Mapping[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """Return the values of the columns that the shown models use, by name."""
    found: dict[str, np.ndarray] = {}
    for name in _SHOWN:
        model = saved.models.get(name)
        for part in () if model is None else model.parts:
            if part.block in blocks:
                columns = blocks[part.block].reindex(columns=pd.Index(part.names))
                found |= {str(each): columns[each].to_numpy(float) for each in columns}
    return found
