"""Performance of the declared model in subgroups of patients, with counts and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pancseg.cohort.formulas import refuse_formulas
from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.analysis.model_measures import measured
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.inputs.cell_values import all_numbers, is_missing, numbers
from pancseg.modelling.report.parts import Section, with_interval
from pancseg.modelling.study import RADIOMICS
from pancseg.modelling.validation.limits import honest
from pancseg.modelling.validation.measures import Estimate, bootstrap_weights, estimate
from pancseg.system.text.number_text import DASH
from pancseg.tables.html_page import escape_markdown

MOST_LEVELS = 8
_FEWEST = 5
"""Fewest patients with and without the event that a measure is given for."""


@dataclass(frozen=True)
class Subgroup:
    """The rows that have one value, or a range of values, of a column.

    Attributes:
        column: of the clinical file or the feature table.
        level: its value, or the side of the median.
        rows: (n,) whether a row belongs to it.
    """

    column: str
    level: str
    rows: np.ndarray


def subgroups_of(column: str, cells: pd.Series[str]) -> list[Subgroup]:
    """Return the subgroups of a column: its values, or the halves of more than eight numbers.

    Args:
        column: name of the column.
        cells: of the rows analysed, as text.

    Raises:
        ValueError: all cells are missing or equal, there are more than eight texts, or one begins
            like a formula.
    """
    missing = is_missing(cells).to_numpy()
    levels = sorted(set(cells[~missing]))
    if len(levels) < 2:
        what = f"is {levels[0]!r} in every row" if levels else "is empty"
        raise ValueError(f"`subgroup` {column!r} {what}, so it makes no subgroups; leave it out")
    if len(levels) <= MOST_LEVELS:
        refuse_formulas(levels, f"`subgroup` {column!r}: values", "rename them")
        found = [Subgroup(column, level, (cells == level).to_numpy()) for level in levels]
    elif all_numbers(cells):
        values = numbers(cells, f"`subgroup` {column!r}").to_numpy()
        middle = float(np.nanmedian(values))
        found = [
            Subgroup(column, f"up to {middle:.4g}", ~missing & (values <= middle)),
            Subgroup(column, f"above {middle:.4g}", ~missing & (values > middle)),
        ]
    else:
        raise ValueError(
            f"`subgroup` {column!r} has {len(levels)} different texts; at most {MOST_LEVELS} can "
            "be subgroups: merge some, or leave the column out"
        )
    if missing.any():
        found.append(Subgroup(column, "missing", missing))
    return found


def subgroup_estimate(results: AnalysisResults, subgroup: Subgroup) -> Estimate | None:
    """Return the main measure of the declared model in a subgroup; None for too few patients.

    Pairs of patients are compared within the subgroup and within a test fold.
    """
    strata = np.asarray(
        results.plan.y["event"] if results.plan.y.dtype.names else results.plan.y, dtype=bool
    )
    inside = strata[subgroup.rows]
    if min(inside.sum(), (~inside).sum()) < _FEWEST:
        return None
    plan, kind, main = results.plan, results.settings.kind, main_measure(results.settings.kind)
    settings = results.settings
    weights = bootstrap_weights(plan.groups, settings.resamples, settings.seed)
    # No variance between folds: those of a subgroup are too small for it.
    resampled = measured(plan, results.validation, RADIOMICS, weights * subgroup.rows, kind)[main]
    rows = subgroup.rows
    return honest(estimate(resampled), main, plan.y[rows], plan.groups[rows]).within(0, 1)


def subgroup_section(results: AnalysisResults, subgroups: Sequence[Subgroup]) -> Section:
    """Return the section on subgroups."""
    main, y = main_measure(results.settings.kind), results.plan.y
    positive = np.asarray(y["event"] if y.dtype.names else y, dtype=bool)
    rows = []
    for each in subgroups:
        found = subgroup_estimate(results, each)
        rows.append(
            [
                escape_markdown(each.column),
                escape_markdown(each.level),
                str(int(each.rows.sum())),
                str(int(positive[each.rows].sum())),
                DASH if found is None else with_interval(found),
            ]
        )
    what = "events" if y.dtype.names else "positive"
    lines = [
        "A difference between subgroups is not tested, and with small groups it is mostly chance: "
        "compare the intervals. They are of the patient bootstrap alone."
    ]
    caption = (
        f"{main} of the model radiomics within subgroups, out of fold. No value is given for fewer "
        f"than {_FEWEST} patients with or without the outcome."
    )
    header = ["column", "value", "n", what, f"{main} (95 % interval)"]
    return Section("Subgroups", lines, header, rows, caption=caption)
