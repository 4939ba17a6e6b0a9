"""Compute net benefit (Vickers and Elkin 2006), for survival weighted for censoring."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pancseg.modelling.estimators.cox import censoring_survival
from pancseg.modelling.validation.measures import estimate

THRESHOLDS = np.arange(1, 100) / 100
"""Threshold probabilities of decision curves."""


def class_status(y: np.ndarray) -> np.ndarray:
    """Return (n, 2) weights of each patient as one with and one without the class."""
    return np.column_stack([y == 1, y == 0]).astype(float)


def status_at(y: np.ndarray, train: np.ndarray, time: float) -> np.ndarray:
    """Return (n, 2) weights of each patient as one with and one without the event by a time.

    Who is censored before has no weight; the others stand for them (Graf 1999).

    Args:
        y: (n,) events and times.
        train: outcomes from which the censoring distribution is estimated.
        time: the horizon.
    """
    own = censoring_survival(train, y["time"], before=True)
    then = float(censoring_survival(train, np.array([time]))[0])
    died = y["event"] & (y["time"] <= time) & (own > 0)
    free = (y["time"] > time) & (then > 0)
    return np.column_stack([died / np.where(own > 0, own, 1.0), free / (then if then > 0 else 1.0)])


def net_benefit(risk: np.ndarray, status: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return each patient's contribution to the net benefit at each threshold, (n, thresholds).

    Args:
        risk: (n,) predicted probabilities.
        status: (n, 2) weights with and without the event.
        thresholds: (t,) between 0 and 1: from this risk on a patient is treated.
    """
    called = risk[:, None] >= thresholds
    odds = thresholds / (1 - thresholds)
    return np.asarray(called * (status[:, :1] - status[:, 1:] * odds))


def decision_curve(
    name: str, risk: np.ndarray, status: np.ndarray, weights: np.ndarray, wider: float = 1.0
) -> pd.DataFrame:
    """Return the net benefit of a model and its interval at each threshold.

    Args:
        name: of the model; ``all`` treats every patient, whatever the risk.
        risk: (repeats, n) predicted risks; each repeat is judged on its own.
        status: (repeats, n, 2) weights with and without the event.
        weights: (b, n) bootstrap weights.
        wider: by how much intervals are wider than the bootstrap's.

    Returns:
        Columns ``model``, ``threshold``, ``net_benefit``, ``low_95``, ``high_95``.
    """
    risk = np.ones_like(risk) if name == "all" else risk
    each = [net_benefit(r, s, THRESHOLDS) for r, s in zip(risk, status, strict=True)]
    values = weights @ np.mean(each, axis=0) / weights.sum(axis=1)[:, None]
    found = [estimate(column, wider=wider) for column in values.T]
    return pd.DataFrame(
        {
            "model": name,
            "threshold": THRESHOLDS,
            "net_benefit": [one.value for one in found],
            "low_95": [one.low for one in found],
            "high_95": [one.high for one in found],
        }
    )
