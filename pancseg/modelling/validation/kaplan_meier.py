"""Kaplan and Meier's curve with its log-log interval, its median, and the median follow-up."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import CensoredData, ecdf

from pancseg.modelling.estimators.competing import CENSORED
from pancseg.modelling.validation.measures import Estimate


class KaplanMeier(NamedTuple):
    """A curve and its pointwise 95 % interval, as SciPy's empirical distribution functions."""

    curve: Any
    low: Any
    high: Any


def kaplan_meier_curve(y: np.ndarray) -> KaplanMeier:
    """Return the curve of (n,) events and times; its interval is NaN where it is 1 or 0."""
    curve = ecdf(CensoredData.right_censored(y["time"], ~y["event"])).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no interval where the curve is 1 or 0
        interval = curve.confidence_interval(method="log-log")
    return KaplanMeier(curve, interval.low, interval.high)


class CurvePoint(NamedTuple):
    """A Kaplan–Meier probability with its interval, and the number at risk."""

    time: float
    event_free: Estimate
    at_risk: int


def kaplan_meier_points(y: np.ndarray, times: Sequence[float]) -> list[CurvePoint]:
    """Return the curve at some times, with its pointwise 95 % interval (log-log).

    Args:
        y: (n,) events and times.
        times: at which to read the curve.
    """
    parts, found = kaplan_meier_curve(y), []
    for time in times:
        values = [float(part.evaluate(time)) for part in parts]
        if values[0] == 1:
            values = [1.0, float("nan"), float("nan")]
        found.append(CurvePoint(time, Estimate(*values), int((y["time"] >= time).sum())))
    return found


def median_time(y: np.ndarray) -> Estimate:
    """Return the median of Kaplan and Meier's curve; NaN where the curve does not reach 1/2.

    The interval is of those times at which the curve's log-log interval contains 1/2 (Brookmeyer
    and Crowley 1982); its upper end is NaN where the upper curve stays above 1/2.
    """
    found, ends = kaplan_meier_curve(y), []
    for part in found:
        below = np.flatnonzero(np.nan_to_num(part.probabilities, nan=1.0) <= 0.5)
        ends.append(float(found.curve.quantiles[below[0]]) if len(below) else float("nan"))
    return Estimate(*ends)


def median_follow_up(y: np.ndarray, cause: np.ndarray | None = None) -> Estimate:
    """Return the median follow-up: the curve of the time to censoring (Schemper and Smith 1996).

    It is Kaplan and Meier's curve with events and censorings exchanged, and says how long patients
    would have been followed if nobody had had an event.

    Args:
        y: (n,) events and times.
        cause: (n,) 0 censored, 1 event, 2 competing event, where competing events were named: they
            end the follow-up as the event does.
    """
    turned = y.copy()
    turned["event"] = ~y["event"] if cause is None else cause == CENSORED
    return median_time(turned)
