"""Owns applying a saved model to new patients, and judging it where their outcomes are known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pancseg.outcomes import measures, subtype
from pancseg.outcomes.calibration import cox_slope, logistic_line
from pancseg.outcomes.measures import Estimate, estimate
from pancseg.outcomes.saved import SavedModel
from pancseg.outcomes.study import BOTH, CHANCE, CLINICAL, RADIOMICS, VOLUME
from pancseg.outcomes.survival import SurvivalTask
from pancseg.outcomes.table import Joined, TableOptions, alone, join, read_features


def read_new(
    saved: SavedModel, features: Path, clinical: Path | None, options: TableOptions
) -> Joined:
    """Read new patients' table; without a clinical file, no outcome is known.

    Raises:
        ValueError: see :mod:`table`.
    """
    found = read_features(features, options)
    if clinical is None:
        return alone(found, options)
    return join(found, clinical, options, tuple(saved.facts["outcome"]))


def predictions(saved: SavedModel, joined: Joined) -> pd.DataFrame:
    """Return one row per patient and one column per model.

    Subtype: the probability of the positive class. Survival: the log hazard, and beside it the
    probability to be event-free at the middle of the model's times. Models whose columns are not
    there are left out.

    Raises:
        ValueError: features that the model needs are missing; a scanner or site it has not seen.
    """
    blocks = _blocks(saved, joined)
    found = pd.DataFrame({"id": joined.features.index})
    for name, model in saved.models.items():
        if name == CHANCE or not set(model.blocks) <= set(blocks):
            continue
        x = model.prepared(blocks)
        if saved.kind == "subtype":
            found[_column(name)] = subtype.SubtypeTask().predict(model.model, x)
        else:
            task = SurvivalTask((_middle(saved),))
            found[_column(name)] = task.predict(model.model, x)
            found[_curve_column(name, task.times[0])] = task.curves(model.model, x)[:, 0]
    return found


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
        ValueError: one class only, or no event.
    """
    positives = y["event"] if saved.kind == "survival" else y
    if positives.sum() in ((0,) if saved.kind == "survival" else (0, len(y))):
        what = "no event" if saved.kind == "survival" else "one class only"
        raise ValueError(f"external validation: {what} in {len(y)} patients; leave --outcome away")
    weights = measures.bootstrap_weights(groups, resamples, 0)
    judge = _judge_survival if saved.kind == "survival" else _judge_subtype
    found = {}
    for name in (RADIOMICS, VOLUME, CLINICAL, BOTH):
        if _column(name) in table:
            vectors = judge(saved, name, table, y, weights)
            found[name] = {measure: estimate(values) for measure, values in vectors.items()}
    return found


def _judge_subtype(
    saved: SavedModel, name: str, table: pd.DataFrame, y: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    score = table[_column(name)].to_numpy()
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
    score, rows = table[_column(name)].to_numpy(), np.arange(len(y))

    def share(pairs: np.ndarray) -> np.ndarray:
        return measures.pair_measure([(rows, score, pairs)], weights)

    middle = _middle(saved)
    curve = table[_curve_column(name, middle)].to_numpy()[:, None]
    errors = measures.squared_errors(y, y, curve, np.array([middle]))[:, 0]
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


def _column(name: str) -> str:
    return name.replace(" + ", "_and_").replace(" ", "_")


def _curve_column(name: str, time: float) -> str:
    return f"{_column(name)}_event_free_at_{time:.6g}"


def _blocks(saved: SavedModel, joined: Joined) -> dict[str, np.ndarray]:
    facts: Mapping[str, Any] = saved.facts
    missing = [name for name in facts["features"] if name not in joined.features]
    used = _used(saved)
    if lost := [name for name in missing if name in used]:
        raise ValueError(
            f"FEATURES lacks {len(lost)} columns that the model uses, such as {lost[0]!r}; extract "
            "with the same settings"
        )
    x = joined.features.reindex(columns=facts["features"]).to_numpy(float)
    if facts["batches"] is not None:
        if joined.batch is None:
            raise ValueError(f"the model needs the column {facts['batch_column']!r} (--batch)")
        place = {name: code for code, name in enumerate(facts["batches"])}
        codes = [place.get(name, -1) for name in joined.batch]
        x = np.column_stack([codes, x])
    found = {RADIOMICS: x}
    if joined.volume.shape[1]:
        found[VOLUME] = joined.volume.to_numpy(float)
    if facts["clinical"] and joined.clinical.shape[1]:
        found[CLINICAL] = _same_indicators(joined.clinical, facts).to_numpy(float)
    return found


def _same_indicators(clinical: pd.DataFrame, facts: Mapping[str, Any]) -> pd.DataFrame:
    """Return clinical columns as the model knows them.

    Which level has no indicator is told by the levels that are there, so all of them must be.

    Raises:
        ValueError: a level that the model has not seen, or one that no new patient has.
    """
    known = facts["clinical"]
    new = [name for name in clinical if name not in known]
    if new:
        raise ValueError(f"clinical value {new[0]!r} was not there when the model was fitted")
    if gone := [name for name in known if name not in clinical]:
        raise ValueError(
            f"no new patient has the clinical value {gone[0]!r}; predict patients of all values "
            "that the model knows together, or without --outcome"
        )
    return clinical.reindex(columns=known)


def _used(saved: SavedModel) -> set[str]:
    """Return features without which a model gives other numbers than it was judged by."""
    return {
        column
        for model in saved.models.values()
        for column, weight in zip(model.columns, model.weights, strict=True)
        if weight and RADIOMICS in model.blocks
    }
