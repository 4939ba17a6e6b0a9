"""The sections of the report on survival alone: risk groups and competing events."""

from __future__ import annotations

import math

import numpy as np

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.competing_events import hazard_ratios, incidence, mean_score, told_times
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.parts import Section, digits, in_most, number, with_interval
from pancseg.modelling.report.times_text import censored
from pancseg.modelling.settings import unit_of
from pancseg.modelling.study import RADIOMICS
from pancseg.modelling.times import named_time
from pancseg.modelling.validation.measures import Estimate
from pancseg.system.text.number_text import printed


def risk_groups_section(results: AnalysisResults, joined: JoinedTable) -> Section:
    """Return the hazard ratio between the out-of-fold risk groups, and their sizes."""
    found = results.groups
    if found is None:
        return Section("Risk groups", ["All patients are in one group."])
    ratio = found.ratio
    if printed(ratio.low) > 1:
        direction = "the group called high risk has the event earlier."
    elif printed(ratio.high) < 1:
        direction = "**the wrong way round**: the group called high risk has the event later."
    else:
        direction = "the interval holds 1, so that no difference is shown."
    repeats = len(results.validation.folds)
    where = f",{in_most(repeats)}" if repeats > 1 else ""
    lines = [
        f"Hazard ratio, high against low: {with_interval(ratio)}; {direction}",
        "A patient is called high risk if the predicted hazard is above the median of the patients "
        f"whom the model was fitted to{where}, and low risk otherwise. "
        + (
            "The hazard ratio is of a Cox model stratified by fold. "
            if repeats == 1
            else "The hazard ratio is of the groups that each repeat forms by itself (ten repeats "
            "at most), in one Cox model stratified by repeat and fold. "
        )
        + "Numbers at risk: see the Kaplan–Meier figure.",
    ]
    y, rows = results.plan.y, []
    for name, group in (("high", found.high), ("low", found.low)):
        rows.append(
            [
                *(name, joined.size(group.rows), str(int(y["event"][group.rows].sum()))),
                _median_time(group.median),
            ]
        )
    unit = unit_of(results.settings.time_unit)
    header = ["group", "patients", "events", f"median time to the event ({unit})"]
    caption = "Out-of-fold risk groups of the model radiomics, with 95 % intervals."
    caption += censored(results)
    return Section("Risk groups", lines, header, rows, caption=caption)


def _median_time(found: Estimate) -> str:
    if math.isnan(found.value):
        return "not reached"
    ends = (found.low, found.high)
    low, high = ("not reached" if math.isnan(value) else digits(value) for value in ends)
    return f"{digits(found.value)} ({low} to {high})"


def competing_sections(
    results: AnalysisResults, joined: JoinedTable, outcome: Endpoint
) -> list[Section]:
    """Return how often the event occurs beside competing ones, and what the score is related to."""
    times = np.array(told_times(outcome, results.horizons))
    shares = [
        [named_time(time), number(among), number(alone)]
        for time, (among, alone) in zip(times, incidence(outcome, times), strict=True)
    ]
    title = "Competing events"
    line = (
        "The last column counts competing events as censored, and is no share of patients: it "
        "would be the one without them if they were independent of the event."
    )
    unit = unit_of(results.settings.time_unit)
    header = [f"by time ({unit})", "cumulative incidence (Aalen–Johansen)", "1 − Kaplan–Meier"]
    validation = results.validation
    score = mean_score(validation.models[RADIOMICS].score, validation.folds)
    ratios = hazard_ratios(outcome, score, joined.groups, results.settings.seed)
    rows = [[name, with_interval(found)] for name, found in ratios.items()]
    about = (
        "Per standard deviation of the out-of-fold score of radiomics, centred by fold and "
        "averaged over repeats. Intervals are normal on the log scale, with the standard error of "
        "a bootstrap of patients, the score kept. The model "
        "itself is cause-specific."
    )
    return [
        Section(title, [line], header, shares, caption="How often the event occurs."),
        Section(
            "Competing events: the score",
            [about],
            ["of", "hazard ratio"],
            rows,
            caption="Hazard ratios of the out-of-fold score, with 95 % intervals.",
        ),
    ]
