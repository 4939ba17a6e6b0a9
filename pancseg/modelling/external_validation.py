"""Judge a saved model by new patients' known outcomes: external validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pancseg.modelling.endpoint import Endpoint, subtype_outcome, survival_outcome_of
from pancseg.modelling.inputs.cell_values import MISSING_CLASS, is_missing, is_missing_class
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.inputs.outcome_coding import EventCoding
from pancseg.modelling.inputs.spelling import meaning
from pancseg.modelling.predict import column_of, curve_column, horizons_of
from pancseg.modelling.refusals import FEWEST_EVENTS, FEWEST_OF_CLASS
from pancseg.modelling.saved_model import SavedModel
from pancseg.modelling.study import SHOWN
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


def known_outcome(
    saved: SavedModel,
    joined: JoinedTable,
    positive: str | None,
    event_is: str | None,
) -> tuple[JoinedTable, Endpoint] | None:
    """Return the new patients whose outcome is known, and the endpoint; None if there are none.

    Competing events are told apart where the event column is coded as the model's was.

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
        return subtype_outcome(joined, columns[0], positive, others)
    known = saved.facts["event_is"]
    alike = event_is is None or (known is not None and meaning(event_is) == meaning(known))
    rivals = tuple(saved.facts["competing"]) if alike else ()
    coding = EventCoding(event_is or known, rivals, fitted=event_is is None or bool(rivals))
    return survival_outcome_of(joined, columns[0], columns[1], coding, True)


def external(
    saved: SavedModel, table: pd.DataFrame, y: np.ndarray, groups: np.ndarray, resamples: int = 1000
) -> dict[str, dict[str, Estimate]]:
    """Return measures of the saved models on patients that they have not seen.

    A model is left out where the patients that it predicts are of one class, or have no event; a
    measure where too few patients have or lack the event.

    Args:
        saved: the models.
        table: the result of :func:`.predict.predictions`.
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
    for name in SHOWN:
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


def middle_of(saved: SavedModel) -> float:
    """Return the one of the times that survival is predicted for at which models are judged."""
    times = horizons_of(saved)
    middle = saved.facts.get("middle")
    return middle if middle in times else times[len(times) // 2]
