"""Who was analysed and who was left out, counted from the tables as they were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pancseg.modelling.inputs.cell_values import is_missing, read_table
from pancseg.modelling.inputs.clinical import NOT_KNOWN
from pancseg.modelling.inputs.features_table import FeatureTable, TableOptions, _id_column
from pancseg.modelling.inputs.id_matching import in_spelling_of
from pancseg.modelling.inputs.join import JoinedTable


@dataclass(frozen=True)
class FlowStep:
    """One box of the flow, and what was left out below it.

    Attributes:
        title: what its rows are.
        count: number of rows.
        left_out: reason → number of rows that do not reach the next box.
    """

    title: str
    count: int
    left_out: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Cohort:
    """The rows of the tables, sorted into analysed and left out.

    Attributes:
        flow: from the feature table to the rows analysed.
        clinical: the same for the clinical file, up to the rows in both files.
        included: (analysed, variables) cells as text, "" where missing; the index is the id.
        excluded: (left out, variables) the same of the rows left out, from whichever file.
        levels: variable → its levels; none for a number.
    """

    flow: tuple[FlowStep, ...]
    clinical: tuple[FlowStep, ...]
    included: pd.DataFrame
    excluded: pd.DataFrame
    levels: dict[str, tuple[str, ...]]


def cohort_of(
    table: FeatureTable,
    before: JoinedTable,
    after: JoinedTable,
    clinical: Path,
    options: TableOptions,
) -> Cohort:
    """Return the cohort of a study.

    Args:
        table: the features, as read.
        before: the rows in both files.
        after: those with an outcome, which are analysed.
        clinical: the clinical file.
        options: how the tables were read.

    Raises:
        ValueError: the clinical file cannot be read.
        OSError: likewise.
    """
    names = {
        name: tuple(level for level in levels if level != NOT_KNOWN)
        for name, levels in after.origin.levels.items()
    }
    if after.origin.volume is not None and after.origin.volume not in names:
        names[after.origin.volume] = ()
    other = _clinical_rows(table, clinical, options)
    missing = before.unmatched["missing_from"] if len(before.unmatched) else pd.Series(dtype=str)
    no_clinical = list(before.unmatched["id"][missing == "clinical"]) if len(missing) else []
    no_features = list(before.unmatched["id"][missing != "clinical"]) if len(missing) else []
    no_outcome = [name for name in before.features.index if name not in set(after.features.index)]
    unusable = [name for name in table.unusable if name not in set(no_features)]
    lost = [*no_outcome, *no_clinical, *no_features, *unusable]
    usable, both, analysed = (len(each) for each in (table.values, before.features, after.features))
    flow = (
        FlowStep(
            "Rows of the feature table",
            usable + len(table.unusable),
            (("failed the quality verdict", len(table.unusable)),),
        ),
        FlowStep("Usable rows", usable, (("not in the clinical file", len(no_clinical)),)),
        FlowStep("Rows in both files", both, (("no outcome", len(no_outcome)),)),
        FlowStep("Analysed", analysed),
    )
    theirs = (
        FlowStep(
            "Rows of the clinical file",
            both + len(no_features),
            (
                ("no row in the feature table", int((missing == "features").sum())),
                ("row failed the quality verdict", int((missing == "left out").sum())),
            ),
        ),
    )
    included = _cells(list(after.features.index), names, other, table.text)
    return Cohort(flow, theirs, included, _cells(lost, names, other, table.text), names)


def _clinical_rows(table: FeatureTable, path: Path, options: TableOptions) -> pd.DataFrame:
    """Return all rows of the clinical file as text, by id in the spelling of the features."""
    found = read_table(path, "the clinical file")
    names = (str(table.text.index.name), "patient_id")
    column = _id_column(found, options.outcome_id, names, "the clinical file")
    found = found[~is_missing(found[column])].set_index(column)
    index, _ = in_spelling_of(table.values.index, found.index)
    return found.set_axis(index)


def _cells(
    ids: Sequence[str], names: dict[str, tuple[str, ...]], *tables: pd.DataFrame
) -> pd.DataFrame:
    """Return the variables of some ids as text, each from the first table that has its column."""
    found = pd.DataFrame(index=pd.Index(ids, name="id"), columns=pd.Index(list(names)), dtype=str)
    for name in names:
        source = next((table[name] for table in tables if name in table), None)
        if source is None and any(table.index.name == name for table in tables):
            source = found.index.to_series()
        cells = pd.Series("", index=found.index) if source is None else source.reindex(found.index)
        found[name] = cells.fillna("")
    return found
