"""Owns the join: features and clinical data → one checked cohort, with what was left out and why.

Knows nothing about models.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from pancseg import columns
from pancseg.outcomes.reading import is_missing, numbers, read_text_table, shown

_NOT_FEATURES = {column.name for column in (*columns.IDS, *columns.HASHES)}
VOLUMES = (
    "original_shape_MeshVolume", "original_shape_VoxelVolume", "qc_volume_ml",
    "volume_ml", "volume",
)  # fmt: skip
_MOST_LEVELS = 10


@dataclass(frozen=True)
class TableOptions:
    """How the tables are read.

    Attributes:
        id_column: of FEATURES; None: ``patient_id``, else the clinical file's id, else the first.
        outcome_id: the id column of the clinical file; None: the same name, else its first column.
        group: column whose equal values are never parted; None: every row is a patient.
        roi: the region to take where the table has several.
        batch: column that names scanner or site.
        volume: the column that measures volume; None: the first known name.
        clinical: columns of clinical variables.
        drop: columns of FEATURES that are no features.
        exclude_warn: leave out rows with ``qc_status`` warn too.
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
class Features:
    """FEATURES, read: one row per id.

    Attributes:
        values: (n, features) numbers, NaN where missing; the index is the id as text.
        text: every column as read, same index.
        volume: name of the volume's column in ``text``, if there is one.
        notes: what was left out, in sentences.
    """

    values: pd.DataFrame
    text: pd.DataFrame
    volume: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Joined:
    """Features and clinical columns of the same patients, in the order of FEATURES.

    Attributes:
        features: (n, features).
        clinical: (n, clinical) numbers, text columns as 0/1 indicators.
        volume: (n, 1) or (n, 0).
        outcomes: the clinical file's cells as text, same index.
        groups: (n,) what must stay together in a fold.
        batch: (n,) scanner or site, or None.
        notes: what was joined and left out, in sentences.
        unmatched: ids with the file that lacks them.
    """

    features: pd.DataFrame
    clinical: pd.DataFrame
    volume: pd.DataFrame
    outcomes: pd.DataFrame
    groups: np.ndarray
    batch: np.ndarray | None
    notes: tuple[str, ...] = ()
    unmatched: pd.DataFrame = field(default_factory=pd.DataFrame)

    def rows(self, keep: np.ndarray, note: str | None = None) -> Joined:
        """Return the cohort with these rows only, and a note on why."""
        return Joined(
            self.features[keep],
            self.clinical[keep],
            self.volume[keep],
            self.outcomes[keep],
            self.groups[keep],
            None if self.batch is None else self.batch[keep],
            self.notes + ((note,) if note else ()),
            self.unmatched,
        )


def read_features(path: Path, options: TableOptions, also_id: str | None = None) -> Features:
    """Read FEATURES; rows that failed the verdict are left out and counted.

    Args:
        path: pancseg's table, or any CSV or Parquet file with an id column.
        options: how.
        also_id: an id column to look for after ``patient_id``.

    Raises:
        ValueError: one clear line; see the issue's list of bad input.
    """
    text = read_text_table(path, "FEATURES")
    text, notes = _usable_rows(text, options)
    id_column = _id_column(text, options.id_column, ("patient_id", also_id), "FEATURES")
    text = _indexed(text, id_column, "FEATURES")
    skip = {id_column, options.group, options.batch, *options.drop, *options.clinical}
    _check_known(text, options.drop, "FEATURES", "--drop")
    names = [
        name
        for name in map(str, text.columns)
        if name not in skip | _NOT_FEATURES and not name.startswith("qc_")
    ]
    values = _feature_values(text, names)
    empty = values.columns[values.isna().all()]
    if len(empty) == len(names):
        raise ValueError(f"FEATURES: all {len(names)} feature columns are empty")
    if len(empty):
        notes.append(f"{len(empty)} feature columns are empty in every row and were left out.")
    return Features(values.drop(columns=empty), text, _volume(text, options), tuple(notes))


def join(
    found: Features, path: Path, options: TableOptions, outcome_columns: tuple[str, ...]
) -> Joined:
    """Join features with the clinical file by id.

    Raises:
        ValueError: no such column, duplicated ids, nothing matches, an outcome among the features.
    """
    clinical = read_text_table(path, "the clinical file")
    _refuse_outcome_names(found.values, outcome_columns)
    names = (str(found.text.index.name), "patient_id")
    id_column = _id_column(clinical, options.outcome_id, names, "the clinical file")
    _check_known(clinical, outcome_columns, "the clinical file", "the outcome")
    if told := sorted(set(options.clinical) & set(outcome_columns)):
        raise ValueError(
            f"--clinical {told[0]}: that column is the outcome itself; a model that is given it "
            "has nothing to foretell"
        )
    clinical = _indexed(clinical[~is_missing(clinical[id_column])], id_column, "the clinical file")
    features, clinical, note = _same_ids(found, clinical)
    both = [name for name in features.values.index if name in clinical.index]
    if not both:
        raise ValueError(
            f"no id of FEATURES ({len(features.values)} rows) is in the clinical file "
            f"({len(clinical)} rows); name the id columns with --id and --outcome-id"
        )
    unmatched = _unmatched(features.values.index, clinical.index)
    lost = Counter(unmatched["missing_from"])
    notes = (
        *found.notes,
        f"{len(both)} patients matched{note}; {lost['clinical']} of FEATURES are not in the "
        f"clinical file, {lost['features']} of the clinical file are not in FEATURES.",
    )
    return _columns_of(features, clinical, both, options, notes, unmatched)


def alone(found: Features, options: TableOptions) -> Joined:
    """Return features without a clinical file, as prediction needs them."""
    nothing = pd.DataFrame(index=found.text.index)
    frame = pd.DataFrame(columns=["id", "missing_from"])
    return _columns_of(found, nothing, list(found.values.index), options, found.notes, frame)


def _columns_of(
    features: Features,
    clinical: pd.DataFrame,
    ids: list[str],
    options: TableOptions,
    notes: tuple[str, ...],
    unmatched: pd.DataFrame,
) -> Joined:
    text = features.text.loc[ids]
    outcomes = clinical.loc[ids]

    def column(name: str, option: str) -> pd.Series[str]:
        if name in outcomes:
            return outcomes[name]
        if name in text:
            return text[name]
        raise ValueError(f"{option}: there is no column {name!r} in either file")

    groups = np.asarray(ids if options.group is None else column(options.group, "--group"))
    batch = None
    if options.batch is not None:
        cells = column(options.batch, "--batch")
        if is_missing(cells).any():
            raise ValueError(
                f"--batch: {int(is_missing(cells).sum())} rows name no scanner or site"
            )
        batch = np.asarray(cells, dtype=str)
    volume = pd.DataFrame(index=pd.Index(ids))
    if features.volume is not None:
        volume["volume"] = numbers(text[features.volume], f"volume {features.volume!r}")
    parts = [clinical_numbers(column(name, "--clinical"), name) for name in options.clinical]
    return Joined(
        features.values.loc[ids],
        pd.concat(parts, axis=1) if parts else pd.DataFrame(index=pd.Index(ids)),
        volume,
        outcomes,
        groups,
        batch,
        notes,
        unmatched,
    )


def clinical_numbers(cells: pd.Series[str], name: str) -> pd.DataFrame:
    """Return a clinical variable as numbers, or text with few levels as 0/1 indicators.

    The levels are facts of the table, not fitted; the indicator of the first one is left out.
    """
    try:
        return numbers(cells, name).to_frame(name)
    except ValueError:
        pass
    missing = is_missing(cells)
    levels = sorted(set(cells[~missing]))
    if len(levels) > _MOST_LEVELS:
        raise ValueError(
            f"--clinical {name!r}: {len(levels)} different texts, such as "
            f"{shown(cells[~missing], 3)}; at most {_MOST_LEVELS} can be indicators"
        )
    parts = {f"{name}={level}": (cells == level).astype(float) for level in levels[1:]}
    found = pd.DataFrame(parts, index=cells.index)
    found[missing] = np.nan
    return found


def _usable_rows(text: pd.DataFrame, options: TableOptions) -> tuple[pd.DataFrame, list[str]]:
    notes = []
    if "roi" in text and text["roi"].nunique() > 1:
        regions = sorted(text["roi"].unique())
        if options.roi is None:
            raise ValueError(
                f"FEATURES has {len(regions)} regions ({', '.join(regions[:6])}); take one: --roi"
            )
        if options.roi not in regions:
            raise ValueError(f"--roi: no row has {options.roi!r}; found {', '.join(regions[:6])}")
        text = text[text["roi"] == options.roi]
        notes.append(f"Region {options.roi}: {len(text)} rows.")
    if "qc_status" in text:
        status = text["qc_status"].str.casefold()
        out = {"fail", "error"} | ({"warn"} if options.exclude_warn else set())
        for name in sorted(out & set(status)):
            notes.append(f"{int((status == name).sum())} rows with qc_status {name} were left out.")
        if (status == "warn").any() and not options.exclude_warn:
            notes.append(f"{int((status == 'warn').sum())} rows with qc_status warn were kept.")
        text = text[~status.isin(out)]
    if not len(text):
        raise ValueError("FEATURES has no usable row")
    return text, notes


def _id_column(
    text: pd.DataFrame, wanted: str | None, guesses: tuple[str | None, ...], what: str
) -> str:
    if wanted is not None:
        _check_known(text, (wanted,), what, "the id")
        return wanted
    return next((n for n in guesses if n is not None and n in text), str(text.columns[0]))


def _check_known(text: pd.DataFrame, names: tuple[str, ...], what: str, use: str) -> None:
    for name in names:
        if name not in text:
            few = ", ".join(map(str, text.columns[:8]))
            raise ValueError(f"{use}: {what} has no column {name!r}; its columns are {few}, …")


def _indexed(text: pd.DataFrame, id_column: str, what: str) -> pd.DataFrame:
    ids = text[id_column]
    if is_missing(ids).any():
        raise ValueError(f"{what}: {int(is_missing(ids).sum())} rows have no id in {id_column!r}")
    twice = ids[ids.duplicated()]
    if len(twice):
        raise ValueError(
            f"{what}: {twice.nunique()} ids in {id_column!r} are duplicated; one row per id is "
            "needed (--roi takes one region; --id and --group keep several rows of a patient)"
        )
    return text.set_index(id_column)


def _feature_values(text: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    if not names:
        raise ValueError("FEATURES has no feature column")
    found = {name: numbers(text[name], f"feature {name!r} (or --drop it)") for name in names}
    values = pd.DataFrame(found, index=text.index)
    infinite = values.columns[np.isinf(values.to_numpy()).any(axis=0)]
    if len(infinite):
        count = int(np.isinf(values.to_numpy()).sum())
        raise ValueError(
            f"FEATURES: {count} infinite values in {len(infinite)} columns, such as "
            f"{infinite[0]!r}; empty those cells or --drop the columns"
        )
    return values


def _volume(text: pd.DataFrame, options: TableOptions) -> str | None:
    if options.volume is not None:
        _check_known(text, (options.volume,), "FEATURES", "--volume")
        return options.volume
    known = [name for name in VOLUMES if name in text and not is_missing(text[name]).all()]
    return known[0] if known else None


def _refuse_outcome_names(values: pd.DataFrame, outcome_columns: tuple[str, ...]) -> None:
    wanted = {name.casefold() for name in outcome_columns}
    leaks = [name for name in map(str, values.columns) if name.casefold() in wanted]
    if leaks:
        raise ValueError(
            f"the outcome {leaks[0]!r} is among the features, which is a leak; --drop it"
        )


def refuse_outcome_values(features: pd.DataFrame, outcome: np.ndarray, column: str) -> None:
    """Refuse a feature that is the outcome under another name: equal up to a factor and offset."""
    centred = outcome - outcome.mean()
    for name, cells in features.items():
        x = cells.to_numpy()
        seen = ~np.isnan(x)
        if seen.sum() < 10 or np.ptp(x[seen]) == 0 or np.ptp(outcome[seen]) == 0:
            continue
        if abs(np.corrcoef(x[seen], centred[seen])[0, 1]) > 1 - 1e-9:
            raise ValueError(
                f"the feature {name!r} is the outcome {column!r} under another name, which is a "
                "leak; --drop it"
            )


def _same_ids(features: Features, clinical: pd.DataFrame) -> tuple[Features, pd.DataFrame, str]:
    """Bring ids to one spelling where integers were written in two ways (7, 007, 7.0)."""
    if set(features.values.index) & set(clinical.index):
        return features, clinical, ""
    mine = [_as_integer(name) for name in features.values.index]
    theirs = [_as_integer(name) for name in clinical.index]
    if len(set(mine)) < len(mine) or len(set(theirs)) < len(theirs):
        return features, clinical, ""
    text = features.text.set_axis(pd.Index(mine, name=features.text.index.name))
    values = features.values.set_axis(pd.Index(mine, name=features.values.index.name))
    return (
        Features(values, text, features.volume, features.notes),
        clinical.set_axis(pd.Index(theirs)),
        " (ids read as integers)",
    )


def _as_integer(name: str) -> str:
    found = re.fullmatch(r"0*(\d+)(\.0+)?", name)
    return found[1] if found else name


def _unmatched(mine: pd.Index[str], theirs: pd.Index[str]) -> pd.DataFrame:
    known, others = set(mine), set(theirs)
    rows = [(name, "clinical") for name in mine if name not in others]
    rows += [(name, "features") for name in theirs if name not in known]
    return pd.DataFrame(rows, columns=["id", "missing_from"])
