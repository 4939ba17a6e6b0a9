"""From a fitted model and new patients' tables to a file of predictions, and their judgement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pancseg.modelling.inputs.features_table import TableOptions
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.outputs import csv_bytes
from pancseg.modelling.predict import (
    column_of,
    doubts,
    external,
    known_outcome,
    predictions,
    read_new,
    validation_table,
    without_clinical_row,
)
from pancseg.modelling.report.report import with_interval
from pancseg.modelling.saved_model import SavedModel
from pancseg.modelling.validation.measures import Estimate
from pancseg.system.whole_files import write_whole

_AS_THE_MODEL = TableOptions()


@dataclass(frozen=True)
class PredictionOptions:
    """How new patients' tables are read.

    Attributes:
        table: id columns, region and group.
        positive: the class to tell from all others; None: the model's.
        event_is: the value that means event; None: the model's.
    """

    table: TableOptions = _AS_THE_MODEL
    positive: str | None = None
    event_is: str | None = None


DEFAULT = PredictionOptions()


class PredictionResult(NamedTuple):
    """What became of new patients.

    Attributes:
        table: as written: a row per id, a column per model.
        measures: of each model where outcomes are known; empty where they cannot judge it.
        lines: what the validation says, or why there is none.
        doubts: what few or odd outcomes can hardly tell.
        not_judged: why outcomes that are known cannot judge the model; None: they can, or there
            are none.
    """

    table: pd.DataFrame
    measures: dict[str, dict[str, Estimate]]
    lines: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    not_judged: str | None = None


def predict_to_file(
    saved: SavedModel,
    features: Path,
    clinical: Path | None,
    out: Path,
    options: PredictionOptions = PredictionOptions(),
    tell: Callable[[str], None] = lambda line: None,
) -> PredictionResult:
    """Apply a model to new patients; with their outcomes, judge it.

    Args:
        saved: the model.
        features: their features.
        clinical: their clinical variables, their outcomes, or both; None: neither.
        out: CSV of predictions to write; the judgement goes to ``<out>_validation.csv``.
        options: how the tables are read.
        tell: called with each sentence on what was read and predicted, once ``out`` is written.

    Raises:
        ValueError: the tables cannot be read or do not fit the model, or ``out`` is one of them;
            outcomes that cannot be understood, after the predictions were written.
        OSError: a file cannot be read or written.
    """
    beside = out.with_name(f"{out.stem}_validation.csv")
    inputs = {path.resolve() for path in (features, clinical) if path}
    if inputs & {out.resolve(), beside.resolve()}:
        raise ValueError("`out`: FEATURES or CLINICAL is read, and would be written over")
    joined = read_new(saved, features, clinical, options.table)
    table, notes = predictions(saved, joined)
    more, told_more = without_clinical_row(saved, features, options.table, joined)
    table = pd.concat([table, more] if len(more) else [table], ignore_index=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole({out: csv_bytes(table)})
    beside.unlink(missing_ok=True)  # how other predictions did
    count = int(table.drop(columns="id").notna().any(axis=1).sum())
    for line in (*joined.notes, *notes, *told_more):
        tell(line)
    tell(f"{count} of {len(table)} rows predicted, OUT is written")
    known = known_outcome(saved, joined, options.positive, options.event_is)
    if known is None:
        outcome = saved.facts["outcome"][0]
        line = f"CLINICAL knows no {outcome!r}: predicted, not judged"
        return PredictionResult(table, {}, (line,) * (clinical is not None))
    return _judged(saved, table, known, beside)


def _judged(
    saved: SavedModel, table: pd.DataFrame, known: tuple[JoinedTable, np.ndarray], path: Path
) -> PredictionResult:
    """Judge the model on rows with a known outcome, and write how it did."""
    judged, y = known
    rows = table.set_index("id").loc[judged.features.index].reset_index()
    doubtful = tuple(doubts(saved, y))
    try:
        found = external(saved, rows, y, judged.groups)
    except ValueError as error:
        return PredictionResult(table, {}, doubts=doubtful, not_judged=str(error))
    write_whole({path: csv_bytes(validation_table(found, rows, y))})
    lines = [f"external validation, {judged.size()} with a known outcome:"]
    for name, measured in found.items():
        text = ", ".join(f"{key} {with_interval(value)}" for key, value in measured.items())
        count = int(rows[column_of(name)].notna().sum())
        fewer = f" ({count} rows)" if count < len(y) else ""
        lines.append(f"  {name}{fewer}: {text}")
    return PredictionResult(table, found, tuple(lines), doubtful)
