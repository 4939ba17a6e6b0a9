"""Read the feature table: ids, usable rows, feature columns, and where they come from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from pancseg.cohort.formulas import refuse_formulas
from pancseg.modelling.inputs.cell_values import (
    is_missing,
    numbers,
    read_table,
    share_of_text,
)
from pancseg.modelling.inputs.later_decisions import later_decisions
from pancseg.modelling.inputs.leaks import among_the_features, dropping, outcome_names
from pancseg.tables import columns
from pancseg.tables.wide import BETWEEN

_TABLE = "the feature table"
_NOT_FEATURES = {column.name for column in (*columns.IDS, *columns.HASHES)}
VOLUMES = (
    "original_shape_MeshVolume", "original_shape_VoxelVolume", "qc_volume_ml",
    "volume_ml", "volume",
)  # fmt: skip
"""Columns that measure the volume, the preferred one first."""
_MOSTLY = 0.5
"""A column with a larger share of text holds text; in others, some cells are typing errors."""
_STATUSES = ("pass", "warn", "fail", "error")
_DIAGNOSTICS = "diagnostics_"
"""Columns in which pyradiomics describes image, mask and settings."""
_NAMELESS = re.compile(r"unnamed_\d+|Unnamed: \d+(\.\d+)?|__index_level_\d+__")
"""Names given to unnamed columns, here or by pandas; these usually hold row numbers."""


@dataclass(frozen=True)
class TableOptions:
    """How the tables are read.

    Attributes:
        id_column: id column of the feature table; None: ``patient_id``, else the first column.
        outcome_id: id column of the clinical file; None: a column of the same name, else
            ``patient_id``, else the first column.
        group: column whose equal values stay in one fold; None: ``patient_id``, else the id.
        roi: the region to take where the table has several.
        batch: column that names scanner or site.
        volume: column that measures volume; None: the first known name.
        clinical: columns of clinical variables.
        drop: columns of the feature table that are not features.
        exclude_warn: leave out rows with ``qc_status`` warn too, unless a person's acceptance is
            all that their reasons say.
    """

    id_column: str | None = None
    outcome_id: str | None = None
    group: str | None = None
    roi: str | None = None
    batch: str | None = None
    volume: str | None = None
    clinical: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    exclude_warn: bool = False


@dataclass(frozen=True)
class TableOrigin:
    """What a table must have in common with the one that a model was fitted on.

    Attributes:
        features: names of the feature columns.
        settings: the ``settings_sha256`` that all rows share, where the table has that column.
        region: the ``roi`` that all rows share, where the table has that column.
        volume: name of the volume column, if there is one.
        group: column whose equal values stayed in one fold, if one was named.
        levels: clinical variable → its texts in order; none for a numeric one. The first text has
            no indicator column.
        grids: different values of ``qc_grid_mm``, where the table has that column.
    """

    features: tuple[str, ...] = ()
    settings: str | None = None
    region: str | None = None
    volume: str | None = None
    group: str | None = None
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    grids: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeatureTable:
    """A feature table in memory: one row per id.

    Attributes:
        values: (n, features) numbers, NaN where missing; the index is the id as text.
        text: all columns as read, with the same index.
        origin: names, settings, region and grids of the table.
        notes: sentences on what was left out.
        unusable: ids of rows that failed the verdict.
    """

    values: pd.DataFrame
    text: pd.DataFrame
    origin: TableOrigin
    notes: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()


def read_features(
    path: Path,
    options: TableOptions,
    known: TableOrigin | None = None,
    outcomes: tuple[str, ...] = (),
) -> FeatureTable:
    """Read a feature table; rows that failed the verdict are left out and counted.

    Args:
        path: pancseg's table, or any CSV or Parquet file with an id column.
        options: how the table is read.
        known: origin of the table that a model was fitted on; then only the features of that table
            are read.
        outcomes: columns of the outcome, which may not be among the features.

    Raises:
        ValueError: the file cannot be read, columns are missing, ids are missing or duplicated, no
            row is usable, the rows are of several regions or settings, or a feature is text, the
            outcome, or not a finite number.
    """
    text = read_table(path, _TABLE)
    _refuse_wide(text)
    id_column = _id_column(text, options.id_column, ("patient_id",), _TABLE)
    text, region, notes = _of_one_region(text, options, known)
    notes += later_decisions(path, text)
    all_ids = text[id_column]
    refuse_formulas(map(str, all_ids), f"{_TABLE}: ids", "change them in both files")
    text = _usable_rows(text, options, notes)
    usable = {"", *text[id_column]}
    unusable = tuple(name for name in dict.fromkeys(all_ids) if name not in usable)
    text = _indexed(text, id_column, _TABLE)
    _check_known(text, options.drop, _TABLE, "`drop`")
    settings = None if "settings_sha256" in options.drop else _settings_of(text, known)
    volume = _volume(text, options, known, notes)
    names = _feature_names(text, id_column, options, notes) if known is None else known.features
    if not names and known is None:
        raise ValueError(f"{_TABLE} has no feature column besides ids and quality columns")
    refuse_formulas(names, f"{_TABLE}: names of columns", "rename them, or leave them out (`drop`)")
    if known is None and outcome_names(names, outcomes):
        _refuse_no_features(text, names, outcomes)
    try:
        values = _feature_values(text, [name for name in names if name in text])
    except ValueError:
        if known is None:
            _refuse_no_features(text, names, outcomes)
        raise
    empty = values.columns[values.isna().all()] if known is None else pd.Index([])
    if len(empty) and len(empty) == len(values.columns):
        raise ValueError(f"{_TABLE}: all {len(names)} feature columns are empty; use another table")
    if len(empty):
        notes.append(f"{len(empty)} feature columns are empty in every row and were left out.")
    values = values.drop(columns=empty)
    grids = tuple(sorted(set(text["qc_grid_mm"]) - {""})) if "qc_grid_mm" in text else ()
    notes += _grid_notes(text, grids, known)
    origin = TableOrigin(
        tuple(map(str, values.columns)), settings, region, volume, options.group, grids=grids
    )
    return FeatureTable(values, text, origin, tuple(notes), unusable)


def _refuse_wide(text: pd.DataFrame) -> None:
    """Refuse a table with the regions side by side: its rows would keep what failed the verdict."""
    ends = f"{BETWEEN}qc_status"
    tags = [str(name).removesuffix(ends) for name in text.columns if str(name).endswith(ends)]
    if tags and "qc_status" not in text:
        raise ValueError(
            f"{_TABLE} has {len(tags)} regions side by side ({_few(tags)}); give features.csv, "
            "which lies beside it, and name one region with `roi`"
        )


def _grid_notes(text: pd.DataFrame, grids: tuple[str, ...], known: TableOrigin | None) -> list[str]:
    """Return a note on rows measured on several grids, or on grids that the model has not seen."""
    if known is not None:
        others = sorted(set(grids) - set(known.grids)) if known.grids else []
        count = int(text["qc_grid_mm"].isin(others).sum()) if others else 0
        return [
            f"{count} rows were measured on grids that the model has not seen "
            f"({_few(others)} mm); texture features depend on the grid."
        ] * bool(others)
    if len(grids) < 2:
        return []
    counts = text["qc_grid_mm"].value_counts().drop("", errors="ignore")
    shares = _few([f"{count} on {grid} mm" for grid, count in counts.items()])
    return [
        f"Rows were measured on {len(grids)} grids ({shares}); texture features depend on the grid."
    ]


def _few(texts: Sequence[str]) -> str:
    return ", ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")


def _of_one_region(
    text: pd.DataFrame, options: TableOptions, known: TableOrigin | None
) -> tuple[pd.DataFrame, str | None, list[str]]:
    """Return the rows of one region, its name if the table has regions, and notes."""
    wanted = options.roi or (known.region if known else None)
    if "roi" not in text:
        if options.roi is not None:
            raise ValueError(f"`roi`: {_TABLE} has no column 'roi'; leave `roi` out")
        return text, None, []
    regions = sorted(set(text["roi"]) - {""})
    if wanted is None and len(regions) > 1:
        raise ValueError(
            f"{_TABLE} has {len(regions)} regions ({', '.join(regions[:6])}); name one with `roi`"
        )
    if wanted is None or regions == [wanted]:
        return text, regions[0] if regions else None, []
    if wanted not in regions:
        why = "" if options.roi else ", which the model was fitted on"
        raise ValueError(
            f"no row of {_TABLE} is of the region {wanted!r}{why}; found "
            f"{', '.join(regions[:6]) or 'none'}; name one with `roi`"
        )
    text = text[text["roi"] == wanted]
    return text, wanted, [f"Region {wanted}: {len(text)} rows."]


def _usable_rows(text: pd.DataFrame, options: TableOptions, notes: list[str]) -> pd.DataFrame:
    """Return the rows that did not fail the verdict, and add a note on how many did."""
    if "qc_status" in text:
        status = text["qc_status"].str.strip().str.casefold()
        if unknown := int((~status.isin(_STATUSES)).sum()):
            raise ValueError(
                f"{_TABLE} has {unknown} of {len(text)} rows whose qc_status is none of "
                f"{', '.join(_STATUSES)}; correct them, or leave these rows out"
            )
        out = {"fail", "error"} | ({"warn"} if options.exclude_warn else set())
        if "qc_reasons" in text:  # nothing but a person's acceptance to warn of
            status = status.mask((status == "warn") & (text["qc_reasons"] == "accepted"), "pass")
        for name in sorted(out & set(status)):
            notes.append(f"{int((status == name).sum())} rows with qc_status {name} were left out.")
        if (status == "warn").any() and not options.exclude_warn:
            notes.append(f"{int((status == 'warn').sum())} rows with qc_status warn were kept.")
        if count := _accepted(text[~status.isin(out)]):
            rows = "1 row was" if count == 1 else f"{count} rows were"
            notes.append(f"Of these, {rows} accepted by a person (qc_reasons).")
        text = text[~status.isin(out)]
    if not len(text):
        raise ValueError(f"{_TABLE} has no usable row: none, or all failed the verdict (qc_status)")
    return text


def _accepted(text: pd.DataFrame) -> int:
    """Return the number of rows that a person accepted."""
    if "qc_reasons" not in text:
        return 0
    return int(text["qc_reasons"].str.split(";").map(lambda codes: "accepted" in codes).sum())


def _settings_of(text: pd.DataFrame, known: TableOrigin | None) -> str | None:
    """Return the hash of the settings that all rows were measured with, if the table has it.

    Raises:
        ValueError: the rows have several settings, or other settings than the model's.
    """
    if "settings_sha256" not in text:
        return None
    found = sorted(set(text["settings_sha256"]) - {""})
    few = ", ".join(name[:8] for name in found[:4])
    if len(found) > 1:
        raise ValueError(
            f"{_TABLE}: the rows were measured with {len(found)} settings (settings_sha256 {few}); "
            "extract all with the same settings, or, if only limits of quality differ, "
            + ("delete that column" if known else "leave that column out with `drop`")
        )
    if known and known.settings and found and found[0] != known.settings:
        raise ValueError(
            f"{_TABLE} was extracted with other settings (settings_sha256 {few}) than the model's "
            f"({known.settings[:8]}); extract with the same settings, or, if only limits of "
            "quality differ, delete that column"
        )
    return found[0] if found else None


def _feature_names(
    text: pd.DataFrame, id_column: str, options: TableOptions, notes: list[str]
) -> list[str]:
    """Return the names of the feature columns, and add a note on columns without a name."""
    skip = {id_column, options.group, options.batch, *options.drop, *options.clinical}
    names = [
        name
        for name in map(str, text.columns)
        if name not in skip | _NOT_FEATURES and not name.startswith("qc_")
    ]
    if any(name.startswith("qc_") for name in map(str, text.columns)):  # pancseg's own table
        carried = [name for name in names if columns.is_extra(name)]
        names = [name for name in names if name not in carried]
        if carried:
            notes.append(f"Columns of the manifest were not taken as features: {_few(carried)}.")
    told = [name for name in names if name.startswith(_DIAGNOSTICS)]
    if told:
        names = [name for name in names if name not in told]
        notes.append(
            f"{len(told)} columns diagnostics_…, which describe image, mask and settings, were "
            "left out."
        )
    nameless = [name for name in names if _NAMELESS.fullmatch(name)]
    if nameless:
        notes.append(f"{len(nameless)} columns without a name were left out (row numbers?).")
    return [name for name in names if name not in nameless]


def _id_column(text: pd.DataFrame, wanted: str | None, guesses: tuple[str, ...], what: str) -> str:
    if wanted is not None:
        _check_known(text, (wanted,), what, "the id")
        return wanted
    guess = next((name for name in guesses if name in text), str(text.columns[0]))
    counted = list(text[guess]) in (_counted(text, 0), _counted(text, 1))
    if _NAMELESS.fullmatch(guess) and counted and len(text) > 1:
        name = "`id_column`" if what == _TABLE else "`outcome_id`"
        raise ValueError(
            f"{what}: the first column has no name and numbers the rows; name the column of ids "
            f"with {name} ({name} '{guess}' if the row numbers are the ids)"
        )
    return guess


def _counted(text: pd.DataFrame, first: int) -> list[str]:
    return [str(first + row) for row in range(len(text))]


def _check_known(text: pd.DataFrame, names: tuple[str, ...], what: str, use: str) -> None:
    for name in names:
        if name not in text:
            few = ", ".join(map(str, text.columns[:8])) + (", …" if len(text.columns) > 8 else "")
            raise ValueError(f"{use}: {what} has no column {name!r}; choose from {few}")


def _indexed(text: pd.DataFrame, id_column: str, what: str) -> pd.DataFrame:
    ids = text[id_column]
    if is_missing(ids).any():
        raise ValueError(
            f"{what}: {int(is_missing(ids).sum())} rows have no id in {id_column!r}; fill them in"
        )
    refuse_formulas(map(str, ids), f"{what}: ids", "change them in both files")
    twice = ids[ids.duplicated()]
    if len(twice):
        raise ValueError(
            f"{what}: {twice.nunique()} ids in {id_column!r} are duplicated; give one row per id: "
            "take one region with `roi`, or, for several scans of a patient, name the scan's id "
            "with `id_column` and the patient with `group`"
        )
    return text.set_index(id_column)


def _refuse_no_features(
    text: pd.DataFrame, names: Sequence[str], outcomes: tuple[str, ...]
) -> None:
    """Refuse columns of text and of the outcome, all in one line with what leaves them out.

    Columns with some text among numbers are left to :func:`numbers`, unless others are refused.
    Texts are not shown, as they may be paths.
    """
    leaks = outcome_names(names, outcomes)
    shares = {name: share_of_text(text[name]) for name in names if name not in leaks}
    texts = {name: share for name, share in shares.items() if share}
    whole = [name for name, share in texts.items() if share > _MOSTLY]
    if not whole and not leaks:
        return
    said = [among_the_features(leaks)] if leaks else []
    if whole:
        columns_are = "1 column holds" if len(whole) == 1 else f"{len(whole)} columns hold"
        said.append(f"{_TABLE}: {columns_are} text ({_few(list(map(repr, whole)))})")
    if partly := [name for name in texts if name not in whole]:
        said.append(f"some cells of {_few(list(map(repr, partly)))} are text")
    unwanted = [*leaks, *texts]
    them = "it" if len(unwanted) == 1 else "them"
    raise ValueError(f"{'; '.join(said)}; leave {them} out with {dropping(unwanted)}")


def _feature_values(text: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    if not names:
        return pd.DataFrame(index=text.index)
    found = {name: numbers(text[name], f"feature {name!r}") for name in names}
    values = pd.DataFrame(found, index=text.index)
    infinite = values.columns[np.isinf(values.to_numpy()).any(axis=0)]
    if len(infinite):
        count = int(np.isinf(values.to_numpy()).sum())
        raise ValueError(
            f"{_TABLE}: {count} infinite values in {len(infinite)} columns, such as "
            f"{infinite[0]!r}; empty those cells or remove the columns"
        )
    return values


def _volume(
    text: pd.DataFrame, options: TableOptions, known: TableOrigin | None, notes: list[str]
) -> str | None:
    """Return the name of the volume column; for a fitted model, the one it was fitted on."""
    if known is not None:
        if known.volume is None or known.volume in text:
            return known.volume
        notes.append(f"{_TABLE} has no column {known.volume!r}: no prediction from volume only.")
        return None
    if options.volume is not None:
        _check_known(text, (options.volume,), _TABLE, "`volume`")
        return options.volume
    measured = [name for name in VOLUMES if name in text and not is_missing(text[name]).all()]
    return measured[0] if measured else None
