"""Compute the measures of saved models in new patients, one value per bootstrap weighting."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pancseg.modelling.predict import column_of, curve_column, horizons_of
from pancseg.modelling.saved_model import SavedModel
from pancseg.modelling.subtype import NET_BENEFIT
from pancseg.modelling.survival import treatment_threshold
from pancseg.modelling.times import named_time
from pancseg.modelling.validation import measures
from pancseg.modelling.validation.calibration import cox_slope, in_the_large, logistic_line
from pancseg.modelling.validation.net_benefit import class_status, net_benefit, status_at
from pancseg.modelling.validation.new_patients import too_few
from pancseg.system.text.number_text import percent


def measured_externally(
    saved: SavedModel, name: str, table: pd.DataFrame, y: np.ndarray, weights: np.ndarray,
    threshold: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return measure → (b,) values of one model.

    Args:
        saved: the models.
        name: name of one of them.
        table: its predictions of all rows, the result of :func:`.predict.predictions`.
        y: (n,) outcomes of the same rows.
        weights: (b, n) bootstrap weights.
        threshold: of the net benefit.
    """
    of_kind = _of_survival if saved.kind == "survival" else _of_class
    return of_kind(saved, name, table, y, weights, threshold)


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


def _of_class(
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


def _of_survival(
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
        pairs = measures.horizon_pairs(y, y, time)
        few = too_few(status_at(y, y, time)[None])  # one event has the interval of its controls
        found[f"AUC at {named_time(time)}"] = share(pairs * (few is None))
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
