"""Owns applying a saved model to new patients, and judging it where their outcomes are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pancseg.modelling import subtype
from pancseg.modelling.inputs.cell_values import MISSING_CLASS, is_missing, is_missing_class
from pancseg.modelling.inputs.features_table import TableOptions, TableOrigin, read_features
from pancseg.modelling.inputs.join import JoinedTable, join, without_clinical
from pancseg.modelling.saved_model import SavedModel
from pancseg.modelling.study import (
    BOTH,
    CHANCE,
    CLINICAL,
    FEWEST_EVENTS,
    FEWEST_OF_CLASS,
    RADIOMICS,
    VOLUME,
    subtype_outcome,
    survival_outcome_of,
)
from pancseg.modelling.survival import SurvivalTask
from pancseg.modelling.validation import measures
from pancseg.modelling.validation.calibration import cox_slope, logistic_line
from pancseg.modelling.validation.measures import Estimate, estimate
from pancseg.modelling.validation.nested_cv import FittedModel

_ANOTHER_UNIT = 7
"""Days are farther from months, and months from years; two cohorts' medians rarely are."""


def origin_of(saved: SavedModel) -> TableOrigin:
    """Return what is known of the table that the model was fitted on."""
    facts = saved.facts["origin"]
    levels = {name: tuple(texts) for name, texts in facts["levels"].items()}
    tuples = {name: tuple(facts[name]) for name in ("features", "grids") if name in facts}
    fields = {field.name for field in dataclasses.fields(TableOrigin)}
    told = {name: value for name, value in facts.items() if name in fields}
    return TableOrigin(**{**told, **tuples, "levels": levels})


def read_new(
    saved: SavedModel, features: Path, clinical: Path | None, options: TableOptions
) -> JoinedTable:
    """Read new patients' table as the model's was read; without an outcome it is not known.

    Args:
        saved: the model.
        features: their features.
        clinical: their clinical variables, their outcomes, or both.
        options: id columns, region and group; the rest is the model's.

    Raises:
        ValueError: see :mod:`table`.
    """
    known, options = _as_known(saved, options)
    found = read_features(features, options, known=known)
    if clinical is None:
        return without_clinical(found, options, known)
    return join(found, clinical, options, tuple(saved.facts["outcome"]), known)


def _as_known(saved: SavedModel, options: TableOptions) -> tuple[TableOrigin, TableOptions]:
    """Return what the model knows of its table, as far as it uses it, and how new ones are read."""
    known, facts, used = origin_of(saved), saved.facts, _used(saved)
    known = replace(known, features=tuple(name for name in known.features if name in used))
    return known, replace(options, batch=facts["batch_column"], exclude_warn=facts["exclude_warn"])


def without_clinical_row(
    saved: SavedModel, features: Path, options: TableOptions, joined: JoinedTable
) -> tuple[pd.DataFrame, list[str]]:
    """Predict those of FEATURES whom the clinical file does not know, by features alone.

    Args:
        saved: the model.
        features: as for :func:`read_new`.
        options: likewise.
        joined: of :func:`read_new`.

    Returns:
        As :func:`predictions`; without predictions where the model needs the scanner or site.
    """
    ids = list(joined.unmatched.loc[joined.unmatched["missing_from"] == "clinical", "id"])
    if not ids:  # FEATURES is read again for those alone whom it concerns
        return pd.DataFrame(), []
    known, options = _as_known(saved, replace(options, group=None))
    found = read_features(features, options, known=known)
    rest = replace(found, values=found.values.loc[ids], text=found.text.loc[ids], unusable=())
    try:
        table, _ = predictions(saved, without_clinical(rest, options, known))
    except ValueError as error:
        return pd.DataFrame({"id": ids}), [f"{len(ids)} rows got no prediction: {error}."]
    return table, [f"{len(ids)} rows were predicted by features alone."]


def predictions(saved: SavedModel, joined: JoinedTable) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per patient and one column per model, and notes on missing values.

    Subtype: the probability of the positive class. Survival: the log hazard, and beside it the
    probability to be event-free at the middle of the model's times. Models whose columns are not
    there are left out; a patient without any of a model's values gets no prediction (NaN).

    Rows that failed the verdict come last, without a prediction.

    Raises:
        ValueError: features that the model needs are missing; a scanner or site it has not seen.
    """
    blocks = _blocks(saved, joined)
    found, notes = pd.DataFrame({"id": joined.features.index}), []
    for name, model in saved.models.items():
        if name == CHANCE or not set(model.blocks) <= set(blocks):
            continue
        missing = _missing(saved, joined, model)
        some = missing.any(axis=1)
        all_of = missing.all(axis=1) & some  # a model may use none
        if some.any():
            notes.append(
                f"{name}: {int(some.sum())} of {len(found)} patients lack values that it uses: the "
                f"training's medians stand for them; {int(all_of.sum())} lack all and get none."
            )
        x = model.prepared(blocks)
        if saved.kind == "subtype":
            found[column_of(name)] = subtype.SubtypeTask().predict(model.model, x)
        else:
            task = SurvivalTask((_middle(saved),))
            found[column_of(name)] = task.predict(model.model, x)
            found[_curve_column(name, task.times[0])] = task.curves(model.model, x)[:, 0]
        columns = [column_of(name)]
        if saved.kind == "survival":
            columns.append(_curve_column(name, _middle(saved)))
        found.loc[all_of, columns] = np.nan
    unusable = pd.DataFrame({"id": joined.unusable})
    return pd.concat([found, unusable] if len(unusable) else [found], ignore_index=True), notes


def known_outcome(
    saved: SavedModel,
    joined: JoinedTable,
    positive: str | None,
    event_is: str | None,
) -> tuple[JoinedTable, np.ndarray] | None:
    """Return new patients with a known outcome, and it; None where none is known.

    Args:
        saved: the model.
        joined: new patients.
        positive: the class to tell from any other, where it is spelt otherwise than the model's.
        event_is: the value that means event, where it is not the model's.

    Raises:
        ValueError: see :mod:`coding`; a class that the model was not fitted with.
    """
    columns = saved.facts["outcome"]
    if not set(columns) <= set(joined.outcomes):
        return None
    others, classes = tuple(saved.facts["others"]), saved.facts["classes"]
    missing = is_missing_class(joined.outcomes[columns[-1]], (*others, *classes))
    if (missing | is_missing(joined.outcomes[columns[0]], MISSING_CLASS)).all():
        return None
    if saved.kind == "subtype":
        others = () if positive else others
        positive = positive or classes[1]
        judged, found = subtype_outcome(joined, columns[0], positive, others)
    else:
        fitted, event_is = event_is is None, event_is or saved.facts["event_is"]
        judged, found = survival_outcome_of(joined, columns[0], columns[1], event_is, True, fitted)
    return judged, found.y


def external(
    saved: SavedModel, table: pd.DataFrame, y: np.ndarray, groups: np.ndarray, resamples: int = 1000
) -> dict[str, dict[str, Estimate]]:
    """Return measures of the saved models on patients whom they have never seen.

    Args:
        saved: for what is predicted.
        table: of :func:`predictions`, same rows.
        y: outcome of these rows.
        groups: their patients.
        resamples: of the patient bootstrap.

    Raises:
        ValueError: one class only, or no event. Models for whose patients that is so are left out.
    """
    if not _has_contrast(saved.kind, y):
        what = "no event" if saved.kind == "survival" else "one class only"
        raise ValueError(
            f"external validation: {what} in {len(y)} patients; they were predicted, not judged"
        )
    judge = _judge_survival if saved.kind == "survival" else _judge_subtype
    found = {}
    for name in (RADIOMICS, VOLUME, CLINICAL, BOTH):
        if column_of(name) not in table:
            continue
        there = table[column_of(name)].notna().to_numpy()
        if not _has_contrast(saved.kind, y[there]):
            continue
        weights = measures.bootstrap_weights(groups[there], resamples, 0)
        vectors = judge(saved, name, table[there], y[there], weights)
        found[name] = {measure: estimate(values) for measure, values in vectors.items()}
    if not found:
        raise ValueError("external validation: no model predicts patients of both kinds")
    return found


def doubts(saved: SavedModel, y: np.ndarray) -> list[str]:
    """Return what new patients' outcomes can hardly tell, with numbers.

    Args:
        saved: the model.
        y: their outcomes.
    """
    if not len(y):
        return []
    few = "warning: {} of {} rows {}: what follows says next to nothing"
    if saved.kind == "subtype":
        smaller = int(min(y.sum(), len(y) - y.sum()))
        told = few.format(smaller, len(y), "are of the smaller class")
        return [told] * (smaller < FEWEST_OF_CLASS)
    events, middle = int(y["event"].sum()), _middle(saved)
    longest, usual = float(y["time"].max()), float(np.median(y["time"]))
    found = [few.format(events, len(y), "have an event")] * (events < FEWEST_EVENTS)
    if middle >= longest:
        found.append(
            f"warning: nobody was followed for {middle:.3g}, the middle of the model's times (the "
            f"longest is {longest:.3g}); what needs to know of that time is left out"
        )
    fitted = saved.facts.get("median_time", usual)
    if not fitted / _ANOTHER_UNIT < usual < fitted * _ANOTHER_UNIT:
        found.append(
            f"warning: times are about {usual:.3g} here and {fitted:.3g} in the model's cohort; "
            "are both in the same unit?"
        )
    return found


def validation_table(
    found: Mapping[str, Mapping[str, Estimate]], table: pd.DataFrame, y: np.ndarray
) -> pd.DataFrame:
    """Return :func:`external` as a table: a row for each model and measure, with its numbers."""
    positive = np.asarray(y["event"] if y.dtype.names else y, bool)
    rows = []
    for name, measured in found.items():
        there = table[column_of(name)].notna().to_numpy()
        counts = int(there.sum()), int(positive[there].sum())
        rows += [(name, m, one.value, one.low, one.high, *counts) for m, one in measured.items()]
    columns = ["model", "measure", "value", "low_95", "high_95", "rows", "positive_or_events"]
    return pd.DataFrame(rows, columns=columns)


def _has_contrast(kind: str, y: np.ndarray) -> bool:
    if kind == "survival":
        return bool(y["event"].any())
    return 0 < int(y.sum()) < len(y)


def _judge_subtype(
    saved: SavedModel, name: str, table: pd.DataFrame, y: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    score = table[column_of(name)].to_numpy()
    called = score >= saved.models[name].threshold
    pairs = [(np.arange(len(y)), score, measures.class_pairs(y))]
    slope, intercept = logistic_line(y, score, weights)
    return {
        "AUC": measures.pair_measure(pairs, weights),
        "PR-AUC": measures.average_precision(y, score, weights),
        "Brier": measures.mean_measure((score - y) ** 2, weights),
        "sensitivity": measures.mean_measure(np.where(y == 1, called, np.nan), weights),
        "specificity": measures.mean_measure(np.where(y == 0, ~called, np.nan), weights),
        "calibration slope": slope,
        "calibration intercept": intercept,
    }


def _judge_survival(
    saved: SavedModel, name: str, table: pd.DataFrame, y: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    score, rows = table[column_of(name)].to_numpy(), np.arange(len(y))

    def share(pairs: np.ndarray) -> np.ndarray:
        return measures.pair_measure([(rows, score, pairs)], weights)

    middle = _middle(saved)
    curve = table[_curve_column(name, middle)].to_numpy()[:, None]
    errors = measures.squared_errors(y, y, curve, np.array([middle]))[:, 0]
    unknown = ~y["event"] & (y["time"] < middle)
    if middle >= y["time"].max() and unknown.any():  # nobody was followed so long
        errors = np.full(len(y), np.nan)
    tau = float(np.quantile(y["time"][y["event"]], 0.9))
    return {
        "Harrell's C": share(measures.harrell_pairs(y)),
        "Uno's C": share(measures.uno_pairs(y, y, tau)),
        f"AUC at {middle:.3g}": share(measures.horizon_pairs(y, y, middle)),
        f"Brier at {middle:.3g}": measures.mean_measure(errors, weights),
        "calibration slope": cox_slope(y, score, np.zeros(len(y)), weights),
    }


def _middle(saved: SavedModel) -> float:
    """Return the middle one of the model's times."""
    times = saved.facts["times"]
    return float(times[len(times) // 2])


def column_of(name: str) -> str:
    """Return the column in which a model's predictions stand."""
    return name.replace(" + ", "_and_").replace(" ", "_")


def _curve_column(name: str, time: float) -> str:
    return f"{column_of(name)}_event_free_at_{time:.6g}"


def _blocks(saved: SavedModel, joined: JoinedTable) -> dict[str, np.ndarray]:
    facts: Mapping[str, Any] = saved.facts
    names = origin_of(saved).features
    used = _used(saved)
    if lost := [name for name in names if name in used and name not in joined.features]:
        raise ValueError(
            f"FEATURES lacks {len(lost)} columns that the model uses, such as {lost[0]!r}; extract "
            "with the same settings"
        )
    x = joined.features.reindex(columns=names).to_numpy(float)
    if facts["batches"] is not None:
        assert joined.batch is not None
        place = {name: code for code, name in enumerate(facts["batches"])}
        codes = [place.get(name, -1) for name in joined.batch]
        x = np.column_stack([codes, x])
    found = {RADIOMICS: x}
    if joined.volume.shape[1]:
        found[VOLUME] = joined.volume.to_numpy(float)
    if joined.clinical.shape[1]:
        found[CLINICAL] = joined.clinical.to_numpy(float)
    return found


def _missing(saved: SavedModel, joined: JoinedTable, model: FittedModel) -> np.ndarray:
    """Return (patients, columns) which of the values that a model uses are missing."""
    tables = {
        RADIOMICS: joined.features,
        VOLUME: joined.volume,
        CLINICAL: joined.clinical,
    }
    there = pd.concat([tables[name] for name in model.blocks], axis=1)
    used = [c for c, weight in zip(model.columns, model.weights, strict=True) if weight]
    return np.asarray(there[used].isna())


def _used(saved: SavedModel) -> set[str]:
    """Return features without which a model gives other numbers than it was judged by."""
    return {
        column
        for model in saved.models.values()
        for column, weight in zip(model.columns, model.weights, strict=True)
        if weight and RADIOMICS in model.blocks
    }
