"""The section of the report on the patients: table 1, the flow and the follow-up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pancseg.modelling.cohort import Cohort, FlowStep
from pancseg.modelling.data_warnings import events_per_column
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.competing import CENSORED, COMPETING, EVENT
from pancseg.modelling.inputs.cell_values import is_missing, is_missing_class, numbers
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.parts import Picture, Section, digits, of_class
from pancseg.modelling.report.picture_files import picture_files, plain_label
from pancseg.modelling.settings import unit_of
from pancseg.modelling.times import named_time
from pancseg.modelling.validation.kaplan_meier import (
    kaplan_meier_points,
    median_follow_up,
    median_time,
)
from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.words import counted
from pancseg.system.text.number_text import DASH, percent, share_of_some
from pancseg.tables.html_page import escape_markdown

FLOW = "flow"


def cohort_sections(
    cohort: Cohort, joined: JoinedTable, endpoint: Endpoint, time_unit: str | None,
    horizons: Sequence[float] = (),
) -> list[Section]:  # fmt: skip
    """Return table 1 with the flow picture, and for survival the follow-up.

    Args:
        cohort: who was analysed and left out.
        joined: the rows analysed.
        endpoint: their outcomes.
        time_unit: what a time of 1 is.
        horizons: times that survival is reported for.
    """
    found = [_table_one(cohort, joined, endpoint)]
    if endpoint.kind == "survival":
        found.append(_follow_up(endpoint, time_unit, horizons))
    return found


def outcome_groups(endpoint: Endpoint) -> list[tuple[str, np.ndarray]]:
    """Return the name and the (n,) rows of each outcome."""
    if endpoint.kind == "subtype":
        return [(endpoint.classes[code], endpoint.strata == code) for code in (1, 0)]
    if endpoint.cause is None:
        return [("event", endpoint.strata == 1), ("censored", endpoint.strata == 0)]
    names = (("event", EVENT), ("competing event", COMPETING), ("censored", CENSORED))
    return [(name, endpoint.cause == code) for name, code in names]


def outcome_counts(endpoint: Endpoint) -> str:
    """Return how many rows have each outcome, as a short text."""
    counts = [(name, int(rows.sum())) for name, rows in outcome_groups(endpoint)]
    if endpoint.kind == "subtype":
        return ", ".join(of_class(count, name) for name, count in counts)
    return ", ".join(
        counted(count, name, name if name == "censored" else None) for name, count in counts
    )


def _table_one(cohort: Cohort, joined: JoinedTable, endpoint: Endpoint) -> Section:
    groups = outcome_groups(endpoint)
    parts = [cohort.included]
    parts += [cohort.included[rows] for _, rows in groups]
    names = ["all analysed", *(escape_markdown(name) for name, _ in groups)]
    if len(cohort.excluded):
        parts.append(cohort.excluded)
        names.append("left out")
    header = ["", *(f"{name} (n = {len(part)})" for name, part in zip(names, parts, strict=True))]
    rows = []
    for name, levels in cohort.levels.items():
        rows += _rows(name, levels, [part[name] for part in parts])
    count = len(cohort.excluded)
    lost = f"{counted(count, 'row')} {'was' if count == 1 else 'were'}" if count else "no row was"
    lines = [f"{joined.size()} were analysed; {lost} left out."]
    lines.append(events_per_column(joined, endpoint))
    if not rows:
        lines.append(
            "Neither clinical variables (`clinical`) nor a volume column was given, so there is "
            "nothing to describe the patients by."
        )
    caption = (
        "Patients by outcome. Numbers: median (quartiles). Texts and 0/1 columns: count (% of "
        "known)."
        + (" Rows left out are described as far as either file has them." if count else "")
    )
    picture = Picture(f"{FLOW}.png", "Flow of rows from the two files to those analysed.")
    return Section("The patients", lines, header if rows else (), rows, [picture], caption)


def _rows(name: str, levels: Sequence[str], parts: Sequence[pd.Series[str]]) -> list[list[str]]:
    """Return the lines of one variable."""
    title = escape_markdown(name)
    if levels:
        gaps = [is_missing_class(part, levels) for part in parts]
        rows = [[title, *[""] * len(parts)]]
        for level in levels:
            cells = []
            for part, gap in zip(parts, gaps, strict=True):
                count, known = int((part == level).sum()), int((~gap).sum())
                cells.append(f"{count} ({share_of_some(count / known)})" if known else DASH)
            rows.append([f"– {escape_markdown(level)}", *cells])
    else:
        gaps = [is_missing(part) for part in parts]
        values = [numbers(part, f"column {name!r}").dropna() for part in parts]
        binary = all(set(each) <= {0.0, 1.0} for each in values) and any(map(len, values))
        cells = [_ones(each) if binary else _quartiles(each) for each in values]
        rows = [[f"{title} = 1" if binary else title, *cells]]
    if any(gap.any() for gap in gaps):
        cells = [
            f"{int(gap.sum())} ({share_of_some(gap.mean())})" if len(gap) else DASH for gap in gaps
        ]
        rows.append(["– missing", *cells])
    return rows


def _ones(values: pd.Series[float]) -> str:
    if not len(values):
        return DASH
    return f"{int(values.sum())} ({share_of_some(values.mean())})"


def _quartiles(values: pd.Series[float]) -> str:
    if not len(values):
        return DASH
    low, middle, high = (f"{q:.4g}".replace("-", "−") for q in np.percentile(values, [25, 50, 75]))
    return f"{middle} ({low} to {high})"


def _follow_up(endpoint: Endpoint, time_unit: str | None, horizons: Sequence[float]) -> Section:
    y, unit = endpoint.y, unit_of(time_unit)
    events, n = int(y["event"].sum()), len(y)
    rivals = "" if endpoint.cause is None else ", competing events censored"
    lines = [
        f"{counted(events, 'event')} in {counted(n, 'row')} ({percent(events / n)}); "
        f"{_total(float(y['time'].sum()))} {unit} of follow-up in all. Median follow-up (reverse "
        f"Kaplan–Meier): {_time(median_follow_up(y, endpoint.cause), unit)}. Median time to the "
        f"event (Kaplan–Meier{rivals}): {_time(median_time(y), unit)}.",
    ]
    if endpoint.codes:
        lines.append(_coding(endpoint))
    if time_unit is None:
        lines.append("The unit of the times was not told (`time_unit`).")
    rows = []
    for point in kaplan_meier_points(y, horizons):
        free = point.event_free
        ends = "" if np.isnan(free.low) else f" ({percent(free.low, 1)} to {percent(free.high, 1)})"
        events_by = int((y["event"] & (y["time"] <= point.time)).sum())
        rows.append(
            [
                named_time(point.time),
                f"{percent(free.value, 1)}{ends}",
                str(events_by),
                str(point.at_risk),
            ]
        )
    header = [f"time ({unit})", "event-free (95 % interval)", "events until then", "at risk"]
    caption = "Kaplan–Meier estimate at the horizons of the report, with log-log intervals."
    if endpoint.cause is not None:
        caption += " Competing events count as censored; see Competing events."
    return Section("Follow-up", lines, header, rows, caption=caption)


def _total(time: float) -> str:
    """Return a sum of times: as a count is, not rounded to four digits."""
    return digits(time) if time < 1000 else f"{time:.0f}"


def _coding(endpoint: Endpoint) -> str:
    """Return which codes of the event column mean what, and in how many rows."""
    column = escape_markdown(endpoint.columns[1])
    parts = []
    for name, counts in endpoint.codes.items():
        said = (f"{escape_markdown(c)} ({counted(k, 'row')})" for c, k in counts.items())
        parts.append(f"{name}: {column} = {', '.join(said)}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _time(found: Estimate, unit: str) -> str:
    if np.isnan(found.value):
        return "not reached"
    low, high = ("not reached" if np.isnan(x) else digits(x) for x in (found.low, found.high))
    return f"{digits(found.value)} {unit} (95 % interval {low} to {high})"


def flow_files(cohort: Cohort, analysed: str) -> dict[str, bytes]:
    """Return the files of the flow picture.

    Args:
        cohort: who was analysed and left out.
        analysed: a line on the outcome for the last box.
    """
    return picture_files(
        FLOW, lambda figure: _draw(figure, cohort, plain_label(analysed)), (7.0, 5.2)
    )


def _draw(figure: Figure, cohort: Cohort, analysed: str) -> None:
    axes = figure.add_subplot()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    axes.axis("off")
    axes.set_title("Flow of rows", loc="left")
    first, second, both, last = cohort.flow
    places = (9.2, 6.7, 4.2, 1.4)
    for step, y in zip((first, second, both), places[:3], strict=True):
        _box(axes, 2.1, y, f"{step.title}\nn = {step.count}")
    _box(axes, 2.1, places[3], f"{last.title}\nn = {last.count}\n{analysed}")
    for upper, lower in pairwise(places):
        _arrow(axes, (2.1, upper - 0.5), (2.1, lower + (0.75 if lower == places[3] else 0.5)))
    for step, upper, lower in zip((first, second, both), places, places[1:], strict=False):
        y = (upper + lower) / 2
        if (text := _left_out(step)) is not None:
            _box(axes, 5.2, y, text, dashed=True)
            _arrow(axes, (2.1, y), (4.15, y))
    theirs = cohort.clinical[0]
    _box(axes, 8.6, places[0], f"{theirs.title}\nn = {theirs.count}")
    _arrow(axes, (8.6, places[0] - 0.5), (8.6, 4.2), head=False)
    _arrow(axes, (8.6, 4.2), (3.0, 4.2))
    if (text := _left_out(theirs)) is not None:
        _box(axes, 8.6, 6.7, text, dashed=True)


def _left_out(step: FlowStep) -> str | None:
    lines = [f"{why}\nn = {count}" for why, count in step.left_out if count]
    return "\n".join(["Left out", *lines]) if lines else None


def _box(axes: Axes, x: float, y: float, text: str, dashed: bool = False) -> None:
    style = {
        "boxstyle": "round,pad=0.4",
        "facecolor": "white",
        "edgecolor": "0.5" if dashed else "black",
        "linestyle": "--" if dashed else "-",
    }
    axes.text(x, y, text, ha="center", va="center", fontsize=8.5, bbox=style, zorder=3)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], head: bool = True
) -> None:
    arrow = {"arrowstyle": "->" if head else "-", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=arrow, zorder=1)
