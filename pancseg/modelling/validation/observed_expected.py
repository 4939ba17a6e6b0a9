"""Compare the observed risk of a cohort with the mean predicted one, under bootstrap weights.

Observed is 1 minus the Kaplan–Meier probability at the horizon, expected the mean predicted risk of
all patients, censored ones included (McLernon et al. 2023, Ann Intern Med 176:105). Competing
events count as censored in both, as the models are cause-specific.
"""

from __future__ import annotations

import numpy as np

_BLOCK = 256
"""Event times at which all patients are counted at once."""


def observed_risk(y: np.ndarray, horizon: float, weights: np.ndarray) -> np.ndarray:
    """Return (b,) observed risks: shares of a class, or of an event by a time.

    Args:
        y: (n,) classes of 0 and 1, or events and times.
        horizon: the time, for which 1 minus the weighted Kaplan–Meier probability is taken; not
            used for a class.
        weights: (b, n) bootstrap weights.
    """
    if y.dtype.names is None:
        return mean_risk(y.astype(float), weights)
    died, time = y["event"] & (y["time"] <= horizon), y["time"]
    times, free = np.unique(time[died]), np.ones(len(weights))
    for first in range(0, len(times), _BLOCK):
        at = times[first : first + _BLOCK]
        at_risk = weights @ (time[:, None] >= at)
        events = weights[:, died] @ (time[died][:, None] == at).astype(float)
        share = np.divide(events, at_risk, out=np.zeros_like(at_risk), where=at_risk > 0)
        free = free * (1 - share).prod(axis=1)
    return np.asarray(1 - free)


def mean_risk(risk: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (b,) weighted means of (n,) predicted risks."""
    return np.asarray(weights @ risk / weights.sum(axis=1))


def observed_over_expected(
    y: np.ndarray, risk: np.ndarray, weights: np.ndarray, horizon: float = 0.0
) -> np.ndarray:
    """Return (b,) ratios of observed to mean predicted risk; NaN where nothing is predicted.

    Args:
        y: (n,) classes of 0 and 1, or events and times.
        risk: (n,) predicted risks of the class, or of the event by the horizon.
        weights: (b, n) bootstrap weights.
        horizon: the time; not used for a class.

    Example:
        >>> observed_over_expected(np.array([0, 1]), np.array([0.2, 0.3]), np.ones((1, 2)))
        array([2.])
    """
    observed, expected = observed_risk(y, horizon, weights), mean_risk(risk, weights)
    nothing = np.full(len(weights), np.nan)
    return np.asarray(np.divide(observed, expected, out=nothing, where=expected > 0))
