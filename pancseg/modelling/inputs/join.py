"""Join features and clinical data into one checked cohort, and note what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pancseg.cohort.formulas import refuse_formulas
from pancseg.modelling.inputs.cell_values import is_missing, read_table, shown
from pancseg.modelling.inputs.clinical import (
    clinical_levels,
    clinical_numbers,
    finite,
    new_levels,
)
from pancseg.modelling.inputs.features_table import (
    FeatureTable,
    TableOptions,
    TableOrigin,
    _check_known,
    _id_column,
    _indexed,
)
from pancseg.modelling.inputs.id_matching import in_spelling_of, unmatched
from pancseg.modelling.inputs.leaks import refuse_outcome_names, refuse_twins
from pancseg.modelling.inputs.spelling import merged, one_spelling


@dataclass(frozen=True)
class JoinedTable:
    """Features and clinical columns of the same patients, in the order of the feature table.

    Attributes:
        features: (n, features) numbers.
        clinical: (n, clinical) numbers; text columns are 0/1 indicators.
        volume: (n, 1), or (n, 0) without a volume column.
        outcomes: all columns of the clinical file as text, with the same index.
        groups: (n,) rows with equal values stay in one fold.
        batch: (n,) scanner or site, or None.
        origin: names, settings, region and grids of the feature table.
        patients: (n,) the patient of each row, where a group has several patients; None: the groups
            are the patients.
        grids: (n,) ``qc_grid_mm``, or None.
        notes: sentences on what was joined and left out.
        unmatched: ids that are in one file only, with the file that lacks them.
        unusable: ids of the feature table whose rows failed the verdict.
        new_levels: ids of new patients with a clinical value that the model was fitted without.
        own: ids of new patients whom the model was fitted on; None if that cannot be told.
    """

    features: pd.DataFrame
    clinical: pd.DataFrame
    volume: pd.DataFrame
    outcomes: pd.DataFrame
    groups: np.ndarray
    batch: np.ndarray | None
    origin: TableOrigin = field(default_factory=TableOrigin)
    patients: np.ndarray | None = None
    grids: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    unmatched: pd.DataFrame = field(default_factory=pd.DataFrame)
    unusable: tuple[str, ...] = ()
    new_levels: frozenset[str] = frozenset()
    own: tuple[str, ...] | None = None

    def count(self, rows: np.ndarray | slice = slice(None)) -> int:
        """Return the number of patients among these rows."""
        return len(np.unique((self.groups if self.patients is None else self.patients)[rows]))

    def size(self, rows: np.ndarray | slice = slice(None)) -> str:
        """Return the size of the cohort as text, such as "60 rows of 40 patients"."""
        patients, count = self.count(rows), len(self.features[rows])
        return f"{count} patients" if count == patients else f"{count} rows of {patients} patients"

    def rows(self, keep: np.ndarray, note: str | None = None) -> JoinedTable:
        """Return the cohort with these rows only, with one more note that says why."""
        return replace(
            self,
            features=self.features[keep],
            clinical=self.clinical[keep],
            volume=self.volume[keep],
            outcomes=self.outcomes[keep],
            groups=self.groups[keep],
            batch=None if self.batch is None else self.batch[keep],
            patients=None if self.patients is None else self.patients[keep],
            grids=None if self.grids is None else self.grids[keep],
            notes=self.notes + ((note,) if note else ()),
        )


def join(
    found: FeatureTable,
    path: Path,
    options: TableOptions,
    outcome_columns: tuple[str, ...],
    known: TableOrigin | None = None,
) -> JoinedTable:
    """Join features with the clinical file by id.

    Args:
        found: the features.
        path: the clinical file.
        options: how the tables are read.
        outcome_columns: columns of the clinical file with the outcome.
        known: origin of the table that a model was fitted on; then the clinical file may lack all
            outcome columns.

    Raises:
        ValueError: a column is missing, ids are duplicated, no id matches, or an outcome is among
            the features.
    """
    clinical = read_table(path, "the clinical file")
    refuse_outcome_names(found.values, outcome_columns)
    names = (str(found.text.index.name), "patient_id")
    id_column = _id_column(clinical, options.outcome_id, names, "the clinical file")
    if known is None or set(outcome_columns) & set(clinical.columns):
        _check_known(clinical, outcome_columns, "the clinical file", "the outcome")
    if leaks := sorted(set(options.clinical) & set(outcome_columns)):
        raise ValueError(
            f"`clinical` {leaks[0]}: that column is the outcome itself, which is a leak; leave it "
            "out of the clinical variables"
        )
    nameless = is_missing(clinical[id_column])
    clinical = _indexed(clinical[~nameless], id_column, "the clinical file")
    mine = found.values.index
    theirs, note = in_spelling_of(mine, clinical.index)
    clinical = clinical.set_axis(theirs)
    both = [name for name in mine if name in clinical.index]
    if not both:
        raise ValueError(
            f"no id of the feature table ({len(mine)} rows) is in the clinical file "
            f"({len(clinical)} rows); name the id columns with `id_column` and `outcome_id`"
        )
    alone = unmatched(mine, theirs, found.unusable)
    lost = Counter(alone["missing_from"])
    notes = (
        *found.notes,
        f"{len(both)} rows matched{note}; {lost['clinical']} of the feature table are not in the "
        f"clinical file, {lost['features']} of the clinical file are not in the feature table.",
        *[f"{int(nameless.sum())} rows of the clinical file have no id."] * bool(nameless.any()),
    )
    return _columns_of(replace(found, notes=notes), clinical, both, options, alone, known)


def without_clinical(found: FeatureTable, options: TableOptions, known: TableOrigin) -> JoinedTable:
    """Return features without clinical data, for prediction from features alone."""
    nothing = pd.DataFrame(index=found.text.index)
    frame = pd.DataFrame(columns=["id", "missing_from"])
    return _columns_of(found, nothing, list(found.values.index), options, frame, known)


def _columns_of(
    features: FeatureTable,
    clinical: pd.DataFrame,
    ids: list[str],
    options: TableOptions,
    unmatched: pd.DataFrame,
    known: TableOrigin | None,
) -> JoinedTable:
    text = features.text.loc[ids]
    outcomes = clinical.loc[ids]
    present = {*outcomes.columns, *text.columns}

    def column(name: str, asked_by: str) -> pd.Series[str]:
        if name == text.index.name:
            return text.index.to_series()
        if name not in present:
            if known and asked_by != "`group`":
                asked_by = f"the model's {asked_by}"
            there = list(outcomes.columns)[:8]
            few = ", ".join(map(str, there)) + (", …" if len(outcomes.columns) > 8 else "")
            choose = f"; the clinical file has {few}" if there else ""
            raise ValueError(f"{asked_by}: neither file has a column {name!r}{choose}")
        return outcomes[name] if name in outcomes else text[name]

    names, notes = _clinical_names(options, known, present)
    refuse_formulas(names, "`clinical`: names of columns", "rename them")
    groups, patients, more = _units(text, outcomes, options, known, column)
    if known is None:
        refuse_twins(features.values.loc[ids], text.drop(columns=list(options.drop)), groups)
    batch = None
    if options.batch is not None:
        cells = column(options.batch, "`batch`")
        batch = np.asarray(_named(cells, "`batch`", "scanner or site", more))
    volume = pd.DataFrame(index=pd.Index(ids))
    if (name := features.origin.volume) is not None:
        volume[name] = finite(text[name], f"volume {name!r}")
    levels, parts, new = {}, [pd.DataFrame(index=pd.Index(ids))], set()
    for name in names:
        cells = column(name, "`clinical`")
        levels[name] = known.levels[name] if known else clinical_levels(cells, name)
        parts.append(clinical_numbers(cells, name, levels[name]))
        odd = cells[new_levels(cells, levels[name])]
        new |= set(map(str, odd.index))
        more += _told_new_levels(name, odd, levels[name])
    return JoinedTable(
        features.values.loc[ids],
        pd.concat(parts, axis=1),
        volume,
        outcomes,
        groups,
        batch,
        replace(features.origin, levels=levels),
        patients,
        np.asarray(text["qc_grid_mm"]) if "qc_grid_mm" in text else None,
        (*features.notes, *notes, *more),
        unmatched,
        features.unusable,
        frozenset(new),
    )


def _told_new_levels(name: str, odd: pd.Series[str], levels: tuple[str, ...]) -> list[str]:
    """Return a note on patients with a value of a clinical variable that the model never saw."""
    if not len(odd):
        return []
    known = ", ".join(repr(level) for level in levels if level)
    return [
        f"clinical variable {name!r}: {len(odd)} patients have values that the model was fitted "
        f"without ({shown(odd, 3)}; it knows {known}), and get no prediction from clinical "
        "variables. Empty those cells to have them treated as missing."
    ]


def _units(
    text: pd.DataFrame,
    outcomes: pd.DataFrame,
    options: TableOptions,
    known: TableOrigin | None,
    column: Callable[[str, str], pd.Series[str]],
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the group of each row, the patient of each row, and notes."""
    notes: list[str] = []
    patients = _patients(text, outcomes, options, known, notes)
    groups = np.asarray(text.index, dtype=str) if patients is None else patients
    if (group := _group_column(options, known, outcomes, text)) is not None:
        cells = column(group, "`group`")
        groups = np.asarray(_named(cells, "`group`", "group", notes), dtype=str)
        if patients is not None and known is None:  # nothing is trained on new patients
            groups, joined = _with_patients_whole(groups, patients)
            notes += [
                f"{joined} patients (patient_id) are in several groups of {group}, which were "
                "merged; if patient_id does not name patients, leave it out with `drop`."
            ] * (joined > 0)
    if patients is None or len(set(patients)) <= len(set(groups)):
        patients = groups  # the groups are patients, or finer than patient_id
    if (count := len(set(patients))) < len(patients):
        by = group if patients is groups and group else "patient_id"
        notes.append(f"{len(patients)} rows of {count} patients, by {by}.")
    return groups, patients, notes


def _with_patients_whole(groups: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, int]:
    """Merge groups that share a patient; return them and the number of patients in several groups.

    A merged group has the name of the group of its first row.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    several = pd.Series(groups).groupby(patients).nunique()
    _, left = np.unique(groups, return_inverse=True)
    _, right = np.unique(patients, return_inverse=True)
    first = right.max() + 1
    nodes = first + left.max() + 1
    edges = coo_array((np.ones(len(left)), (right, first + left)), shape=(nodes, nodes))
    _, part = connected_components(edges, directed=False)
    names = pd.Series(groups).groupby(part[right]).transform("first")
    return names.to_numpy(dtype=str), int((several > 1).sum())


def _patients(
    text: pd.DataFrame,
    outcomes: pd.DataFrame,
    options: TableOptions,
    known: TableOrigin | None,
    notes: list[str],
) -> np.ndarray | None:
    """Return each row's ``patient_id``, from either file; None if it is unknown.

    Raises:
        ValueError: some rows have no ``patient_id``, and no other column to group by was named.
    """
    if text.index.name == "patient_id":
        return np.asarray(text.index, dtype=str)
    tables = [t.drop(columns=list(options.drop), errors="ignore") for t in (outcomes, text)]
    named = [table["patient_id"] for table in tables if "patient_id" in table]
    if not named:
        return None
    for cells in named:
        refuse_formulas(map(str, cells), "patient_id", "change them in both files")
    gaps = [int(is_missing(cells).sum()) for cells in named]
    if (count := min(gaps)) == 0:
        return np.asarray(named[gaps.index(0)], dtype=str)
    if known is None and options.group is None:
        raise ValueError(
            f"patient_id: {count} rows name no patient; fill them in, or name with `group` the "
            "column that identifies the patient"
        )
    notes.append(f"patient_id: {count} rows name no patient; the column was not used.")
    return None


def _group_column(
    options: TableOptions, known: TableOrigin | None, *tables: pd.DataFrame
) -> str | None:
    """Return the column to group by; a fitted model's only where it is present without gaps."""
    if known is None or options.group is not None:
        return options.group
    named = next((t[known.group] for t in tables if known.group in t), None)
    return None if named is None or is_missing(named).any() else known.group


def _clinical_names(
    options: TableOptions, known: TableOrigin | None, present: set[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Return the clinical variables, and a note where a fitted model's are missing."""
    if known is None:
        return options.clinical, []
    if lost := sorted(set(known.levels) - present):
        return (), [f"no column {lost[0]!r}: no prediction from clinical variables."]
    return tuple(known.levels), []


def _named(cells: pd.Series[str], asked_by: str, what: str, notes: list[str]) -> pd.Series[str]:
    """Return names in one spelling each, and add a note where there were several."""
    if (count := int(is_missing(cells).sum())) > 0:
        raise ValueError(f"{asked_by}: {count} rows name no {what}; fill them in")
    refuse_formulas(map(str, cells), f"{asked_by}: values", "change them")
    found, several = one_spelling(cells)
    notes += merged(asked_by, several)
    return found
