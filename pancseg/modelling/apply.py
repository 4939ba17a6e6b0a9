"""Apply a saved model to new patients, and judge it where their outcomes are known."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.external_validation import (
    NewPatients,
    differences,
    doubts,
    external,
    is_validation_table,
    known_outcome,
    validation_table,
)
from pancseg.modelling.inputs.features_table import TableOptions
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.outputs.csv_file import csv_bytes
from pancseg.modelling.predict import (
    blocks_of,
    column_of,
    curve_column,
    horizons_of,
    own_patients,
    predictions,
    read_new,
    without_clinical_row,
)
from pancseg.modelling.report.external.case_mix import values_of
from pancseg.modelling.report.external.judged import Judged
from pancseg.modelling.report.external.report import EXTERNAL_FILES, TITLE, external_files
from pancseg.modelling.report.parts import with_interval
from pancseg.modelling.saved_model import SavedModel, load_model
from pancseg.modelling.validation.measures import Estimate
from pancseg.system.output_folder import FolderRefused, check_output_folder, claim
from pancseg.system.whole_files import write_whole


class PredictionResult(NamedTuple):
    """Predictions for new patients, and how well they fit the known outcomes.

    Attributes:
        table: as written to ``out``: a row per id, a column per model.
        measures: model → measure → estimate; empty without outcomes that can judge the models.
        lines: the result of the external validation, or why there is none.
        doubts: warnings about outcomes that are few or look odd.
        not_judged: why the known outcomes cannot judge the models; None if they can, or if no
            outcome is known.
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
        out: CSV of predictions to write; the external validation goes to
            ``<out>_validation.csv`` and the folder ``<out>_report`` beside it. None writes nothing.
        id_column: id column of the features; by default ``patient_id``, else the first column.
        outcome_id: id column of the outcome file; by default a column of the same name, else
            ``patient_id``, else the first column.
        group: column that names the patient, where a patient has several rows.
        roi: the region; by default the model's.
        positive: the class to tell from all others; by default the model's.
        event_is: the value that means event; by default the model's.
        report: called with each sentence on what was read and predicted.

    Returns:
        A table with a row per id and a column per model, and measures where outcomes are known.

    Raises:
        ValueError: the tables cannot be read or do not fit the model, ``out`` is one of them, or
            the folder for the report holds somebody else's files.
            Also when outcomes cannot be understood; the predictions are already written then.
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
    if target is not None and target.suffix.lower() not in ("", ".csv", ".txt"):
        raise ValueError(f"`out` is a CSV of predictions; name it .csv, not {target.suffix}")
    inputs = {path.resolve() for path in (table, clinical) if path}
    if inputs & {path.resolve() for path in (target, beside) if path}:
        raise ValueError(
            "`out` would overwrite the feature table or the clinical file, which are inputs; "
            "choose another name"
        )
    if beside is not None and outcome is not None:
        _check_report_folder(report_folder(beside))
    options = TableOptions(id_column, outcome_id, group, roi)
    joined = read_new(saved, table, clinical, options)
    rows, notes = predictions(saved, joined)
    more, more_notes = without_clinical_row(saved, table, options, joined)
    rows = pd.concat([rows, more] if len(more) else [rows], ignore_index=True)
    if target is not None and beside is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole({target: csv_bytes(rows)})
        if is_validation_table(beside):  # of earlier predictions
            beside.unlink()
            _remove_report(report_folder(beside))
    for line in (*joined.notes, *notes, *more_notes, *own_patients(joined)):
        report(line)
    count = int(rows.drop(columns="id").notna().any(axis=1).sum())
    written = "; the predictions are written" if target else ""
    report(f"{count} of {len(rows)} rows predicted{written}")
    known = known_outcome(saved, joined, positive, event_is)
    if known is None:
        name = saved.facts["outcome"][0]
        line = f"the clinical file has no values of {name!r}: no external validation"
        return PredictionResult(rows, {}, (line,) * (clinical is not None))
    return _judged(saved, rows, known, beside)


def report_folder(table: Path) -> Path:
    """Return the folder of the report that goes with the table of an external validation."""
    return table.with_name(f"{table.stem.removesuffix('_validation')}_report")


def _as_judged(
    saved: SavedModel,
    rows: pd.DataFrame,
    known: tuple[JoinedTable, Endpoint],
    measures: dict[str, dict[str, Estimate]],
    more: dict[tuple[str, str], dict[str, Estimate]],
    doubtful: tuple[str, ...],
) -> Judged:
    judged, endpoint = known
    times = horizons_of(saved) if saved.kind == "survival" else []
    names = [name for name in measures if column_of(name) in rows]
    return Judged(
        saved,
        {name: rows[column_of(name)].to_numpy(float) for name in names},
        {name: rows[[curve_column(name, t) for t in times]].to_numpy(float) for name in names}
        if times
        else {},
        endpoint.y,
        judged.groups,
        values_of(saved, blocks_of(saved, judged)),
        measures,
        more,
        judged.size(),
        doubtful,
        times,
        cause=endpoint.cause,
    )


def _check_report_folder(folder: Path) -> None:
    """Refuse a folder for the report that holds somebody else's files, or another report.

    Raises:
        ValueError: as :func:`.output_folder.check_output_folder`, or another report is there.
    """
    try:
        check_output_folder(folder)
    except FolderRefused as error:
        raise ValueError(
            f"{folder.name}, the folder for the report: {error.fact}; move what is in it, or "
            "choose another name as `out`"
        ) from error
    if (folder / "report.md").exists() and not _holds_report(folder):
        raise ValueError(
            f"report.md in {folder.name} is not of an external validation, and would be "
            "overwritten; move it, or choose another `out`"
        )


def _holds_report(folder: Path) -> bool:
    """Return whether a folder holds the report of an earlier validation."""
    report = folder / "report.md"
    return report.is_file() and report.read_text("utf-8", "replace").startswith(f"# {TITLE}")


def _remove_report(folder: Path) -> None:
    """Delete the report of an earlier validation."""
    if _holds_report(folder):
        for name in EXTERNAL_FILES:
            (folder / name).unlink(missing_ok=True)


def _judged(
    saved: SavedModel, table: pd.DataFrame, known: tuple[JoinedTable, Endpoint], path: Path | None
) -> PredictionResult:
    """Judge the models on rows with a known outcome, and write the result to ``path``."""
    judged, endpoint = known
    rows = table.set_index("id").loc[judged.features.index].reset_index()
    own = np.asarray(judged.features.index.isin(judged.own or ()))
    if own.any() and not own.all():  # the others are new
        judged, rows = judged.rows(~own), rows[~own].reset_index(drop=True)
        endpoint = endpoint.rows(~own)
    y = endpoint.y
    doubtful = tuple(doubts(saved, y))
    try:
        patients = NewPatients(saved, rows, y, judged.groups)
        found, more = external(patients), differences(patients)
    except ValueError as error:
        return PredictionResult(table, {}, doubts=doubtful, not_judged=str(error))
    if path is not None:
        files = {path: csv_bytes(validation_table(found, more, rows, y, bool(own.all())))}
        if not own.all():  # apparent performance validates nothing, and gets no report
            folder = report_folder(path)
            claim(folder)
            new = _as_judged(saved, rows, (judged, endpoint), found, more, doubtful)
            new = replace(new, own=int(own.sum()), overlap_known=judged.own is not None)
            files |= {folder / name: content for name, content in external_files(new).items()}
        write_whole(files)
    lines = [_title(judged, own)]
    for name, measured in found.items():
        text = ", ".join(f"{key} {with_interval(value)}" for key, value in measured.items())
        count = int(rows[column_of(name)].notna().sum())
        fewer = f" ({count} rows)" if count < len(y) else ""
        lines.append(f"  {name}{fewer}: {text}")
    return PredictionResult(table, found, tuple(lines), doubtful)


def _title(judged: JoinedTable, own: np.ndarray) -> str:
    """Return what is judged, on whom; ``own`` says who of them was in the training."""
    size = f"{judged.size()} with a known outcome"
    if own.all():
        return f"apparent performance, not external validation, {size}:"
    left_out = f" (the model's own {own.sum()} left out)" if own.any() else ""
    unknown = (
        ""
        if judged.own is not None
        else "; whether the model was fitted on some of them cannot be told, as the table lacks "
        "features that the training's had, holds them rounded, or they do not tell patients apart"
    )
    return f"external validation, {size}{left_out}{unknown}:"
