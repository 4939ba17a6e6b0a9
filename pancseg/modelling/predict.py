"""Predict new patients with a saved model, and measure how well that fits their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from pancseg.modelling.endpoint import subtype_outcome, survival_outcome_of
from pancseg.modelling.inputs.cell_values import MISSING_CLASS, is_missing, is_missing_class
from pancseg.modelling.inputs.features_table import TableOptions, TableOrigin, read_features
from pancseg.modelling.inputs.join import JoinedTable, join, without_clinical
from pancseg.modelling.inputs.outcome_coding import EventCoding
from pancseg.modelling.inputs.spelling import spelt_like
from pancseg.modelling.overlap import own_rows
from pancseg.modelling.plain.model import PlainModel
from pancseg.modelling.refusals import FEWEST_EVENTS, FEWEST_OF_CLASS
from pancseg.modelling.saved_model import SavedModel, helping_features, used_features
from pancseg.modelling.study import BOTH, CHANCE, CLINICAL, RADIOMICS, VOLUME
from pancseg.modelling.subtype import NET_BENEFIT
from pancseg.modelling.survival import named_time, treatment_threshold
from pancseg.modelling.validation import measures
from pancseg.modelling.validation.calibration import cox_slope, in_the_large, logistic_line
from pancseg.modelling.validation.limits import honest
from pancseg.modelling.validation.measures import Estimate, estimate
from pancseg.modelling.validation.net_benefit import class_status, net_benefit, status_at
from pancseg.modelling.validation.new_patients import risks_of, smooth_curves
from pancseg.system.text.number_text import percent

_VALIDATION_COLUMNS = (
    "model", "measure", "value", "low_95", "high_95", "rows", "positive_or_events", "kind",
)  # fmt: skip
_ANOTHER_UNIT = 7
"""Median times that differ by more than this are probably in two units.

A month has 30 days and a year 12 months; medians of two cohorts rarely differ that much.
"""


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
    if lost := [name for name in helping_features(saved.models) if name not in joined.features]:
        notes.append(
            f"the feature table lacks {len(lost)} columns by which missing values of others are "
            f"estimated, such as {lost[0]!r}; they count as missing."
        )
    odd = found["id"].isin(joined.new_levels).to_numpy()
    for name, model in saved.models.items():
        if name == CHANCE or not set(model.blocks) <= set(blocks):
            continue
        missing = _missing(blocks, model)
        if CLINICAL in model.blocks:  # told elsewhere
            missing[odd] = False
        some = missing.any(axis=1)
        all_of = missing.all(axis=1) & some  # not for a model that uses no column at all
        if some.any():
            texts = "; texts: the shares of the levels" if CLINICAL in model.blocks else ""
            how = f"replaced by the medians of the training (0/1: the mean{texts})"
            if model.imputes:
                how = f"estimated from the patient's other values by its equations, or {how}"
            notes.append(
                f"{name}: {int(some.sum())} of {len(found)} patients lack values that it uses; "
                f"they were {how}. "
                f"{int(all_of.sum())} patients lack all of them and get no prediction."
            )
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


def known_outcome(
    saved: SavedModel,
    joined: JoinedTable,
    positive: str | None,
    event_is: str | None,
) -> tuple[JoinedTable, np.ndarray] | None:
    """Return the new patients whose outcome is known, and their outcomes; None if there are none.

    Args:
        saved: the model.
        joined: new patients.
        positive: the class to tell from all others, where its name differs from the model's.
        event_is: the value that means event, where it differs from the model's.

    Raises:
        ValueError: outcomes that cannot be understood (see :mod:`.inputs.outcome_coding`), or a
            class that the model was not fitted with.
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
        coding = EventCoding(event_is or saved.facts["event_is"], fitted=event_is is None)
        judged, found = survival_outcome_of(joined, columns[0], columns[1], coding, True)
    return judged, found.y


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


def external(
    saved: SavedModel, table: pd.DataFrame, y: np.ndarray, groups: np.ndarray, resamples: int = 1000
) -> dict[str, dict[str, Estimate]]:
    """Return measures of the saved models on patients that they have not seen.

    A model is left out where the patients that it predicts are of one class, or have no event; a
    measure where too few patients have or lack the event.

    Args:
        saved: the models.
        table: the result of :func:`predictions`.
        y: (n,) outcomes of the same rows.
        groups: (n,) patients of the same rows.
        resamples: number of resamples of the patient bootstrap.

    Raises:
        ValueError: all patients are of one class or have no event, or no model is left.
    """
    if not _has_contrast(saved.kind, y):
        what = "no event" if saved.kind == "survival" else "only one class"
        raise ValueError(
            f"external validation is not possible: {what} in {len(y)} patients; they were predicted"
        )
    judge = _judge_survival if saved.kind == "survival" else _judge_subtype
    threshold = benefit_threshold(saved, y)
    times = horizons_of(saved) if saved.kind == "survival" else []
    found = {}
    for name in (RADIOMICS, VOLUME, CLINICAL, BOTH):
        if column_of(name) not in table:
            continue
        known = table[column_of(name)].notna().to_numpy()
        if not _has_contrast(saved.kind, y[known]):
            continue
        weights = measures.bootstrap_weights(groups[known], resamples, 0)
        vectors = judge(saved, name, table[known], y[known], weights, threshold)
        found[name] = {
            measure: honest(estimate(values), measure, y[known], groups[known])
            for measure, values in vectors.items()
        }
        score = table.loc[known, column_of(name)].to_numpy(float)
        free = table.loc[known, [curve_column(name, t) for t in times]].to_numpy(float)
        curves = smooth_curves(risks_of(y[known], score, free, times), weights)
        found[name] |= {index_name(time): curve.ici for time, curve in curves.items()}
    if not found:
        raise ValueError(
            "external validation is not possible: no model predicts patients both with and without "
            "the event or positive class"
        )
    return found


def doubts(saved: SavedModel, y: np.ndarray) -> list[str]:
    """Return warnings about new patients' outcomes that are few or look odd.

    Args:
        saved: the model.
        y: (n,) their outcomes.
    """
    if not len(y):
        return []
    few = "warning: {} of {} rows {}, too few to judge the model by; give at least {}"
    if saved.kind == "subtype":
        smaller = int(min(y.sum(), len(y) - y.sum()))
        line = few.format(smaller, len(y), "are of the smaller class", FEWEST_OF_CLASS)
        return [line] * (smaller < FEWEST_OF_CLASS)
    events, middle = int(y["event"].sum()), middle_of(saved)
    longest, usual = float(y["time"].max()), float(np.median(y["time"]))
    found = [few.format(events, len(y), "have an event", FEWEST_EVENTS)] * (events < FEWEST_EVENTS)
    if middle >= longest:
        found.append(
            f"warning: no patient was followed up to {middle:.3g}, the middle of the model's times "
            f"(the longest follow-up is {longest:.3g}); measures at that time are left empty"
        )
    fitted = saved.facts.get("median_time") or usual
    if not fitted / _ANOTHER_UNIT < usual < fitted * _ANOTHER_UNIT:
        found.append(
            f"warning: times are about {usual:.3g} here and {fitted:.3g} in the model's cohort; "
            "are both in the same unit?"
        )
    return found


def validation_table(
    found: Mapping[str, Mapping[str, Estimate]],
    table: pd.DataFrame,
    y: np.ndarray,
    apparent: bool = False,
) -> pd.DataFrame:
    """Return the result of :func:`external` as a table, a row per model and measure.

    Args:
        found: the result of :func:`external`.
        table: the predictions that were judged.
        y: (n,) their outcomes.
        apparent: whether the patients are those that the model was fitted on.
    """
    positive = np.asarray(y["event"] if y.dtype.names else y, bool)
    rows = []
    for name, measured in found.items():
        known = table[column_of(name)].notna().to_numpy()
        counts = int(known.sum()), int(positive[known].sum())
        of = "apparent performance" if apparent else "external validation"
        rows += [
            (name, m, one.value, one.low, one.high, *counts, of) for m, one in measured.items()
        ]
    return pd.DataFrame(rows, columns=list(_VALIDATION_COLUMNS))


def is_validation_table(path: Path) -> bool:
    """Return whether a file is there and begins as :func:`validation_table` does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        header = file.readline(1000).decode("utf-8-sig", "replace")
    columns = tuple(header.strip().split(","))
    return columns in (_VALIDATION_COLUMNS, _VALIDATION_COLUMNS[:-1])  # older ones lack the kind


def _has_contrast(kind: str, y: np.ndarray) -> bool:
    if kind == "survival":
        return bool(y["event"].any())
    return 0 < int(y.sum()) < len(y)


def benefit_threshold(saved: SavedModel, y: np.ndarray) -> float:
    """Return the threshold of the net benefit, which is the mean risk of the new patients.

    For survival it is that by the middle one of the model's times.
    """
    return treatment_threshold(y, middle_of(saved)) if saved.kind == "survival" else float(y.mean())


def benefit_name(threshold: float, time: float = 0.0) -> str:
    """Return the name of the net benefit at a threshold, by a time; 0: of a class.

    >>> benefit_name(0.372), benefit_name(0.372, 9.0)
    ('net benefit at 37 %', 'net benefit by 9 at 37 %')
    """
    by = f" by {named_time(time)}" if time else ""
    return f"{NET_BENEFIT}{by} at {percent(threshold)}"


def index_name(time: float) -> str:
    """Return the name of the integrated calibration index at a time; 0: of a class."""
    return f"ICI at {named_time(time)}" if time else "ICI"


def _judge_subtype(
    saved: SavedModel, name: str, table: pd.DataFrame, y: np.ndarray, weights: np.ndarray,
    threshold: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    score = table[column_of(name)].to_numpy()
    called = score >= saved.models[name].threshold
    pairs = [(np.arange(len(y)), score, measures.class_pairs(y))]
    slope, _ = logistic_line(y, score, weights)
    gained = net_benefit(score, class_status(y), np.array([threshold]))[:, 0]
    return {
        "AUC": measures.pair_measure(pairs, weights),
        "PR-AUC": measures.average_precision(y, score, weights),
        "Brier": measures.mean_measure((score - y) ** 2, weights),
        benefit_name(threshold): measures.mean_measure(gained, weights),
        "sensitivity": measures.mean_measure(np.where(y == 1, called, np.nan), weights),
        "specificity": measures.mean_measure(np.where(y == 0, ~called, np.nan), weights),
        "calibration slope": slope,
        "calibration-in-the-large": in_the_large(y, score, weights),
    }


def _judge_survival(
    saved: SavedModel, name: str, table: pd.DataFrame, y: np.ndarray, weights: np.ndarray,
    threshold: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    score, rows = table[column_of(name)].to_numpy(), np.arange(len(y))

    def share(pairs: np.ndarray) -> np.ndarray:
        return measures.pair_measure([(rows, score, pairs)], weights)

    times, middle = np.array(horizons_of(saved)), middle_of(saved)
    free = table[[curve_column(name, time) for time in times]].to_numpy(float)
    errors = measures.squared_errors(y, y, free, times)
    errors = measures.steadied(errors, measures.known_weights(y, y, times))
    told = [_told(y, time) for time in times]
    errors[:, ~np.array(told)] = np.nan
    tau = float(np.quantile(y["time"][y["event"]], 0.9))
    found = {"Harrell's C": share(measures.harrell_pairs(y))}
    found["Uno's C"] = share(measures.uno_pairs(y, y, tau))
    for time in times:
        found[f"AUC at {named_time(time)}"] = share(measures.horizon_pairs(y, y, time))
    for time, values in zip(times, errors.T, strict=True):
        found[f"Brier at {named_time(time)}"] = measures.mean_measure(values, weights)
    if sum(told) > 1:
        within, mean = times[told], measures.integrated(errors[:, told], times[told])
        name_of = f"integrated Brier, {named_time(within[0])} to {named_time(within[-1])}"
        found[name_of] = measures.mean_measure(mean, weights)
    at_middle = 1 - free[:, times == middle][:, 0]
    gained = net_benefit(at_middle, status_at(y, y, middle), np.array([threshold]))[:, 0]
    if not _told(y, middle):
        gained = np.full(len(y), np.nan)
    found[benefit_name(threshold, middle)] = measures.mean_measure(gained, weights)
    found["calibration slope"] = cox_slope(y, score, np.zeros(len(y)), weights)
    return found


def _told(y: np.ndarray, time: float) -> bool:
    """Return whether anything is known at a time: follow-up goes beyond it, or nobody was lost."""
    unknown = ~y["event"] & (y["time"] < time)
    return bool(time < y["time"].max() or not unknown.any())


def horizons_of(saved: SavedModel) -> list[float]:
    """Return the times that survival is predicted for."""
    times = saved.facts["times"]
    return [float(t) for t in saved.facts.get("horizons") or [times[len(times) // 2]]]


def middle_of(saved: SavedModel) -> float:
    """Return the one of the times that survival is predicted for at which models are judged."""
    times = horizons_of(saved)
    middle = saved.facts.get("middle")
    return middle if middle in times else times[len(times) // 2]


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
            f"the feature table lacks {len(lost)} columns that the model uses, such as "
            f"{lost[0]!r}; extract with the same settings"
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
