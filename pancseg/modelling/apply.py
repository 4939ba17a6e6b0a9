"""A fitted model and new patients' tables → predictions, judged where outcomes are known."""

from __future__ import annotations

import os
from collections.abc import Callable
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
from pancseg.modelling.saved_model import SavedModel, load_model
from pancseg.modelling.validation.measures import Estimate
from pancseg.system.whole_files import write_whole


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


def predict(  # noqa: PLR0913  keywords, as the command has options
    model: SavedModel | str | os.PathLike[str],
    features: str | os.PathLike[str],
    outcome: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    id_column: str | None = None,
    outcome_id: str | None = None,
    group: str | None = None,
    roi: str | None = None,
    positive: str | None = None,
    event_is: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> PredictionResult:
    """Apply a fitted model to new patients; with their outcomes, judge it.

    Args:
        model: a model, or the folder that :func:`pancseg.fit_model` wrote.
        features: the new patients' table of features (CSV or Parquet).
        outcome: CSV with their clinical variables, their outcomes, or both; None: neither.
        out: CSV of predictions to write, with the judgement in ``<out>_validation.csv``; None
            writes nothing.
        id_column: of the features; by default as in the model's table.
        outcome_id: id column of the outcome; by default the same name, else the first column.
        group: column of the patient, where one has several rows.
        roi: the region; by default the model's.
        positive: the class to tell from all others; by default the model's.
        event_is: the value that means event; by default the model's.
        report: called with each sentence on what was read and predicted.

    Returns:
        A table with a row per id and a column per model, and measures where outcomes are known.

    Raises:
        ValueError: the tables cannot be read or do not fit the model, or ``out`` is one of them;
            outcomes that cannot be understood, after the predictions were written.
        OSError: a file cannot be read or written.

    Example:
        >>> from pancseg import predict
        >>> found = predict("model", "features.csv", "clinical.csv")
        >>> len(found.table), sorted(found.measures)
        (60, ['radiomics', 'volume only'])
    """
    saved = model if isinstance(model, SavedModel) else load_model(model)
    paths = [None if path is None else Path(path) for path in (features, outcome, out)]
    table, clinical, target = paths
    assert table is not None
    beside = None if target is None else target.with_name(f"{target.stem}_validation.csv")
    inputs = {path.resolve() for path in (table, clinical) if path}
    if inputs & {path.resolve() for path in (target, beside) if path}:
        raise ValueError("`out`: FEATURES or CLINICAL is read, and would be written over")
    options = TableOptions(id_column, outcome_id, group, roi)
    joined = read_new(saved, table, clinical, options)
    rows, notes = predictions(saved, joined)
    more, told_more = without_clinical_row(saved, table, options, joined)
    rows = pd.concat([rows, more] if len(more) else [rows], ignore_index=True)
    if target is not None and beside is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole({target: csv_bytes(rows)})
        beside.unlink(missing_ok=True)  # how other predictions did
    for line in (*joined.notes, *notes, *told_more):
        report(line)
    count = int(rows.drop(columns="id").notna().any(axis=1).sum())
    written = ", OUT is written" if target else ""
    report(f"{count} of {len(rows)} rows predicted{written}")
    known = known_outcome(saved, joined, positive, event_is)
    if known is None:
        name = saved.facts["outcome"][0]
        line = f"CLINICAL knows no {name!r}: predicted, not judged"
        return PredictionResult(rows, {}, (line,) * (clinical is not None))
    return _judged(saved, rows, known, beside)


def _judged(
    saved: SavedModel, table: pd.DataFrame, known: tuple[JoinedTable, np.ndarray], path: Path | None
) -> PredictionResult:
    """Judge the model on rows with a known outcome, and write how it did."""
    judged, y = known
    rows = table.set_index("id").loc[judged.features.index].reset_index()
    doubtful = tuple(doubts(saved, y))
    try:
        found = external(saved, rows, y, judged.groups)
    except ValueError as error:
        return PredictionResult(table, {}, doubts=doubtful, not_judged=str(error))
    if path is not None:
        write_whole({path: csv_bytes(validation_table(found, rows, y))})
    lines = [f"external validation, {judged.size()} with a known outcome:"]
    for name, measured in found.items():
        text = ", ".join(f"{key} {with_interval(value)}" for key, value in measured.items())
        count = int(rows[column_of(name)].notna().sum())
        fewer = f" ({count} rows)" if count < len(y) else ""
        lines.append(f"  {name}{fewer}: {text}")
    return PredictionResult(table, found, tuple(lines), doubtful)
