"""Predict new patients with a saved model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from pancseg.modelling.inputs.features_table import TableOptions, TableOrigin, read_features
from pancseg.modelling.inputs.join import JoinedTable, join, without_clinical
from pancseg.modelling.inputs.spelling import spelt_like
from pancseg.modelling.overlap import own_rows
from pancseg.modelling.plain.model import PlainModel
from pancseg.modelling.saved_model import SavedModel, helping_features, used_features
from pancseg.modelling.study import CHANCE, CLINICAL, RADIOMICS, VOLUME


def origin_of(saved: SavedModel) -> TableOrigin:
    """Return the properties of the table that the model was fitted on."""
    facts = dict(saved.facts["origin"])
    levels = {name: tuple(texts) for name, texts in facts.pop("levels").items()}
    for name in ("features", "grids"):
        facts[name] = tuple(facts[name])
    return TableOrigin(**facts, levels=levels)


def read_new(
    saved: SavedModel, features: Path, clinical: Path | None, options: TableOptions
) -> JoinedTable:
    """Read new patients' tables in the way the model's tables were read.

    Args:
        saved: the model.
        features: table of their features.
        clinical: table of their clinical variables, their outcomes, or both; None: neither.
        options: id columns, region and group; everything else is taken from the model.

    Raises:
        ValueError: see :func:`.inputs.features_table.read_features` and :func:`.inputs.join.join`.
    """
    known, options = _as_known(saved, options)
    found = read_features(features, options, known=known)
    facts = saved.facts
    exact = facts.get("exact_columns") or ()
    own = own_rows(found.text, facts["row_columns"], facts["salt"], saved.rows, exact)
    if clinical is None:
        return replace(without_clinical(found, options, known), own=own)
    return replace(join(found, clinical, options, tuple(facts["outcome"]), known), own=own)


def _as_known(saved: SavedModel, options: TableOptions) -> tuple[TableOrigin, TableOptions]:
    """Return the origin of the model's table and the options."""
    known, facts = origin_of(saved), saved.facts
    return known, replace(options, batch=facts["batch_column"], exclude_warn=facts["exclude_warn"])


def without_clinical_row(
    saved: SavedModel, features: Path, options: TableOptions, joined: JoinedTable
) -> tuple[pd.DataFrame, list[str]]:
    """Predict the patients that are missing from the clinical file, from their features alone.

    Args:
        saved: the model.
        features: as for :func:`read_new`.
        options: as for :func:`read_new`.
        joined: the result of :func:`read_new`.

    Returns:
        As :func:`predictions`; ids without predictions where the model needs the scanner or site.
    """
    ids = list(joined.unmatched.loc[joined.unmatched["missing_from"] == "clinical", "id"])
    if not ids:  # the feature table is read again only where that is needed
        return pd.DataFrame(), []
    known, options = _as_known(saved, replace(options, group=None))
    found = read_features(features, options, known=known)
    rest = replace(found, values=found.values.loc[ids], text=found.text.loc[ids], unusable=())
    try:
        table, _ = predictions(saved, without_clinical(rest, options, known))
    except ValueError as error:
        return pd.DataFrame({"id": ids}), [f"{len(ids)} rows have no prediction: {error}."]
    return table, [f"{len(ids)} rows were predicted from features alone."]


def predictions(saved: SavedModel, joined: JoinedTable) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per patient and one column per model, and notes on missing values.

    Subtype: the probability of the positive class. Survival: the log hazard, and in other columns
    the probabilities of being event-free at the model's horizons. Models whose columns are
    missing are left out. A patient who lacks all values that a model uses gets no prediction (NaN).

    Rows that failed the verdict come last, without a prediction.

    Raises:
        ValueError: features that the model uses are missing, or a scanner or site is unknown to it.
    """
    blocks, batch = blocks_of(saved, joined), _batch_codes(saved, joined)
    found, notes = pd.DataFrame({"id": joined.features.index}), []
    read = origin_of(saved).features  # of a model of an earlier version, not all of those that help
    helping = [name for name in helping_features(saved.models) if name in read]
    if lost := [name for name in helping if name not in joined.features]:
        notes.append(
            f"the feature table lacks {len(lost)} of {len(helping)} columns by which missing "
            f"values of others are estimated, such as {lost[0]!r}; they count as missing."
        )
    odd = found["id"].isin(joined.new_levels).to_numpy()
    for name, model in saved.models.items():
        if name == CHANCE or not set(model.blocks) <= set(blocks):
            continue
        missing = _missing(blocks, model)
        if CLINICAL in model.blocks:  # told elsewhere
            missing[odd] = False
        some = np.asarray(missing.any(axis=1))
        # Not for a model that uses no column at all.
        all_of = np.asarray(missing.all(axis=1)) & some
        notes += _gap_notes(name, model, some, all_of)
        x = model.prepared(blocks, batch, len(found))
        columns = [column_of(name)]
        found[columns[0]] = model.predictor.score(x)
        if saved.kind == "survival":
            times = horizons_of(saved)
            columns += [curve_column(name, time) for time in times]
            found[columns[1:]] = model.predictor.event_free(x, np.array(times))
        if CLINICAL in model.blocks:
            all_of |= odd
        found.loc[all_of, columns] = np.nan
    if rivals := saved.facts["competing"]:
        notes.append(
            f"the model is cause-specific: event-free shares ignore competing events "
            f"({', '.join(rivals)}) and are no risks of patients."
        )
    unusable = pd.DataFrame({"id": joined.unusable})
    return pd.concat([found, unusable] if len(unusable) else [found], ignore_index=True), notes


def _gap_notes(name: str, model: PlainModel, some: np.ndarray, all_of: np.ndarray) -> list[str]:
    """Return sentences on the patients who lack some, and on those who lack all, of the values.

    Args:
        name: of the model.
        model: it.
        some: (n,) whether a value that the model uses is missing.
        all_of: (n,) whether all of them are.
    """
    found, part = [], int((some & ~all_of).sum())
    if part:
        texts = "; texts: the shares of the levels" if CLINICAL in model.blocks else ""
        how = f"replaced by the medians of the training (0/1: the mean{texts})"
        if model.imputes:
            how = f"estimated from the patient's other values by its equations, or {how}"
        found.append(
            f"{name}: {part} of {len(some)} patients lack some of the values that it uses; these "
            f"were {how}."
        )
    if all_of.any():
        found.append(
            f"{name}: {int(all_of.sum())} of {len(some)} patients lack all values that it uses "
            "and get no prediction."
        )
    return found


def own_patients(joined: JoinedTable) -> list[str]:
    """Return a sentence on the patients that the model was fitted on, who validate nothing."""
    own = [name for name in joined.own or () if name in joined.features.index]
    if not own:
        return []
    first = ", ".join(own[:3]) + (", …" if len(own) > 3 else "")
    these = f"these {len(own)} of {len(joined.features)} patients"
    return [
        f"{these} are the model's own ({first}): it was fitted on them, and what it reaches with "
        "them is apparent performance"
    ]


def horizons_of(saved: SavedModel) -> list[float]:
    """Return the times that survival is predicted for."""
    times = saved.facts["times"]
    return [float(t) for t in saved.facts.get("horizons") or [times[len(times) // 2]]]


def column_of(name: str) -> str:
    """Return the name of the column with a model's predictions."""
    return name.replace(" + ", "_and_").replace(" ", "_")


def curve_column(name: str, time: float) -> str:
    """Return the name of the column with a model's event-free probabilities at a time."""
    return f"{column_of(name)}_event_free_at_{time:.6g}"


def blocks_of(saved: SavedModel, joined: JoinedTable) -> dict[str, pd.DataFrame]:
    """Return the new patients' values by block; blocks of which nothing is known are left out.

    Raises:
        ValueError: features that a model uses are missing.
    """
    used = used_features(saved.models)
    if lost := [name for name in used if name not in joined.features]:
        raise ValueError(
            f"the feature table lacks {len(lost)} of the {len(used)} columns that the model uses, "
            f"such as {lost[0]!r}; extract with the same settings"
        )
    found = {RADIOMICS: joined.features}
    for name, frame in ((VOLUME, joined.volume), (CLINICAL, joined.clinical)):
        if frame.shape[1]:
            found[name] = frame
    return found


def _batch_codes(saved: SavedModel, joined: JoinedTable) -> np.ndarray | None:
    """Return each row's code of its scanner or site, -1 for one that the model does not know."""
    names = saved.facts["batches"]
    if names is None:
        return None
    assert joined.batch is not None
    code_of = {name: code for code, name in enumerate(names)}
    found = spelt_like(pd.Series(joined.batch), names)
    return np.array([code_of.get(name, -1) for name in found], dtype=np.int64)


def _missing(blocks: Mapping[str, pd.DataFrame], model: PlainModel) -> np.ndarray:
    """Return whether each value that a model uses is missing, as a (patients, columns) array."""
    if not model.parts:
        return np.empty((len(blocks[RADIOMICS]), 0), dtype=bool)
    values = [blocks[part.block].reindex(columns=pd.Index(part.names)) for part in model.parts]
    used = np.asarray(model.weights, dtype=bool)
    return np.asarray(pd.concat(values, axis=1).isna())[:, used]
