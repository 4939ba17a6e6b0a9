"""Say what competing events mean for a survival model, and measure its score with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.competing import (
    COMPETING,
    EVENT,
    cumulative_incidence,
    fine_gray,
)
from pancseg.modelling.estimators.cox import kaplan_meier
from pancseg.modelling.estimators.cox_solver import newton_cox
from pancseg.modelling.settings import unit_of
from pancseg.modelling.survival import horizons
from pancseg.modelling.times import timed
from pancseg.modelling.validation.measures import Estimate, bootstrap_weights
from pancseg.system.text.number_text import percent

_RESAMPLES = 200
_ONE_SD = (15.87, 84.13)
"""Percentiles one standard deviation below and above the mean of a normal distribution."""


def cause_specific(endpoint: Endpoint, time_unit: str | None = None) -> list[str]:
    """Return the sentences on competing events for the verdict; none without any.

    Args:
        endpoint: the endpoint; competing events are either named or several values mean censored.
        time_unit: what a time of 1 is; None: not told.
    """
    if endpoint.censored_codes:
        counts = ", ".join(f"{name!r} {count}" for name, count in endpoint.censored_codes.items())
        return [
            f"Cause-specific: {len(endpoint.censored_codes)} values of the event column count as "
            f"censored ({counts} patients). Hazards and Harrell's C are of this event alone, and "
            "if one of the values is a competing event, 1 − Kaplan–Meier overstates how often the "
            "event occurs: name it with `competing`."
        ]
    if endpoint.cause is None:
        return []
    last = told_times(endpoint)[-1]
    among, alone = incidence(endpoint, np.array([last]))[0]
    count = int((endpoint.cause == COMPETING).sum())
    counted = f"{count} {'patient' if count == 1 else 'patients'}"
    return [
        f"Cause-specific: {counted} with a competing event count{'s' * (count == 1)} as censored "
        "wherever models are fitted and judged. Predicted risks, Brier score, net benefit and "
        "calibration are therefore those without competing events only if these are independent "
        "of the event, which cannot be tested. The event occurs in "
        f"{percent(among, 1)} of the patients by {timed(last, unit_of(time_unit))} "
        f"(Aalen–Johansen); 1 − Kaplan–Meier, {percent(alone, 1)}, would be the share without them "
        "under the same assumption."
    ]


def told_times(endpoint: Endpoint, chosen: Sequence[float] = ()) -> list[float]:
    """Return the times at which incidences are told, the last event's included.

    Args:
        endpoint: the endpoint.
        chosen: horizons of the report; none: quartiles of the event times, those after 0.
    """
    last = float(endpoint.y["time"][endpoint.y["event"]].max())
    return sorted({*(chosen or horizons(endpoint.y)), last})


def incidence(endpoint: Endpoint, times: np.ndarray) -> np.ndarray:
    """Return (times, 2) Aalen–Johansen's cumulative incidence and 1 − Kaplan–Meier."""
    assert endpoint.cause is not None
    among = cumulative_incidence(endpoint.y["time"], endpoint.cause, times)
    return np.column_stack([among, 1 - kaplan_meier(endpoint.y, times)])


def mean_score(scores: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return (n,) out-of-fold log hazards, centred by fold and averaged over repeats.

    The log hazards of two folds are of two models, each with a baseline of its own: only
    differences within a fold mean anything.

    Args:
        scores: (repeats, n) out-of-fold log hazards.
        folds: (repeats, n) test fold of each row.

    Example:
        >>> mean_score(np.array([[1.0, 3.0, 11.0, 15.0]]), np.array([[0, 0, 1, 1]]))
        array([-1.,  1., -2.,  2.])
    """
    centred = np.empty_like(scores, dtype=float)
    for repeat, (score, fold) in enumerate(zip(scores, folds, strict=True)):
        means = np.bincount(fold, score) / np.maximum(np.bincount(fold), 1)
        centred[repeat] = score - means[fold]
    return np.asarray(centred.mean(axis=0))


def hazard_ratios(
    endpoint: Endpoint, score: np.ndarray, groups: np.ndarray, seed: int
) -> dict[str, Estimate]:
    """Return hazard ratios per standard deviation of an out-of-fold score.

    Their 95 % intervals are normal on the log scale (:func:`ratio_of`).

    Args:
        endpoint: the endpoint, with causes.
        score: (n,) what :func:`mean_score` returned.
        groups: (n,) rows that stay together, for the bootstrap of 200 resamples.
        seed: random seed of the bootstrap.

    Returns:
        The subdistribution hazard ratio of the event (Fine and Gray), and the cause-specific
        hazard ratios of the event and of the competing events; NaN for a constant score.
    """
    assert endpoint.cause is not None
    found: dict[str, list[float]] = {name: [] for name in RATIOS}
    spread = score.std()
    weights = bootstrap_weights(groups, _RESAMPLES, seed)
    for weight in weights:
        rows = np.repeat(np.arange(len(score)), weight.astype(int))
        time, cause = endpoint.y["time"][rows], endpoint.cause[rows]
        x = score[rows, None] / (spread or 1.0)
        if np.ptp(x) == 0 or not (cause == EVENT).any():
            values = [np.nan] * len(RATIOS)
        else:
            values = [fine_gray(x, time, cause)[0]]
            for wanted in (EVENT, COMPETING):
                y = np.zeros(len(rows), dtype=endpoint.y.dtype)
                y["event"], y["time"] = cause == wanted, time
                one = newton_cox(x, y, 0.0, 0.0)[0] if y["event"].any() else np.nan
                values.append(one)
        for name, value in zip(RATIOS, values, strict=True):
            found[name].append(float(value))
    return {name: ratio_of(np.array(values)) for name, values in found.items()}


def ratio_of(logs: np.ndarray) -> Estimate:
    """Return a ratio with a 95 % interval that is normal on the log scale.

    The standard error is half the range of the middle 68.3 % of the resamples, so that single ones
    in which the score happens to order all events do not matter. Percentiles of the resamples would
    lie too far from 1: a coefficient estimated from few events is biased away from 0, and that of a
    resample is biased once more.

    Args:
        logs: the log ratio, then its value in each bootstrap resample of patients.

    Returns:
        The ratio; NaN ends where no resample has one.

    Example:
        >>> found = ratio_of(np.append(0.5, np.linspace(0.3, 0.9, 101)))
        >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
        (1.649, 1.104, 2.463)
    """
    known = logs[1:][~np.isnan(logs[1:])]
    reach = np.nan
    if len(known):
        below, above = np.percentile(known, _ONE_SD)
        reach = norm.ppf(0.975) * (above - below) / 2
    ends = (logs[0], logs[0] - reach, logs[0] + reach)
    return Estimate(*(float(np.exp(np.clip(value, -30, 30))) for value in ends))


RATIOS = (
    "event, subdistribution (Fine–Gray)",
    "event, cause-specific (Cox)",
    "competing events, cause-specific (Cox)",
)
