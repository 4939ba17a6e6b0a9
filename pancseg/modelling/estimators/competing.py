"""Competing events: Aalen–Johansen's cumulative incidence and Fine and Gray's regression.

An event of another cause makes the event of interest impossible, which censoring does not. One
minus Kaplan–Meier, with such events as censored, therefore overstates the probability of the event.
"""

from __future__ import annotations

import numpy as np

CENSORED, EVENT, COMPETING = 0, 1, 2
_STEPS, _SETTLED = 50, 1e-10


def cumulative_incidence(time: np.ndarray, cause: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the Aalen–Johansen probability of the event of interest up to each time.

    Args:
        time: (n,) follow-up.
        cause: (n,) ``CENSORED``, ``EVENT`` or ``COMPETING``.
        times: (t,) times.

    Example:
        >>> times, causes = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 2, 0, 1])
        >>> cumulative_incidence(times, causes, np.array([1.0, 3.0, 4.0])).round(2).tolist()
        [0.25, 0.25, 0.75]
    """
    steps = np.unique(time[cause != CENSORED])
    at_risk = len(time) - np.searchsorted(np.sort(time), steps, side="left")
    events = np.array([np.sum((time == t) & (cause == EVENT)) for t in steps])
    any_event = np.array([np.sum((time == t) & (cause != CENSORED)) for t in steps])
    free_before = np.concatenate([[1.0], np.cumprod(1 - any_event / at_risk)[:-1]])
    curve = np.concatenate([[0.0], np.cumsum(free_before * events / at_risk)])
    return np.asarray(curve[np.searchsorted(steps, times, side="right")])


def fine_gray(x: np.ndarray, time: np.ndarray, cause: np.ndarray) -> np.ndarray:
    """Return (p,) log subdistribution hazard ratios (Fine and Gray 1999, J Am Stat Assoc 94:496).

    Patients with a competing event stay at risk, with the probability of being uncensored by then
    as their weight; tied events are handled as Breslow does.

    Args:
        x: (n, p) values, without gaps.
        time: (n,) follow-up.
        cause: (n,) ``CENSORED``, ``EVENT`` or ``COMPETING``.
    """
    z = x - x.mean(axis=0)
    events = np.flatnonzero(cause == EVENT)
    weight = _at_risk(time, cause, time[events])
    beta = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        relative = weight * np.exp(np.clip(z @ beta, -30, 30))
        relative /= relative.sum(axis=1, keepdims=True)
        mean = relative @ z
        gradient = (z[events] - mean).sum(axis=0)
        hessian = (z * relative.sum(axis=0)[:, None]).T @ z - mean.T @ mean
        step = np.linalg.lstsq(hessian, gradient)[0]
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max(initial=0.0) < _SETTLED:
            break
    return beta


def _at_risk(time: np.ndarray, cause: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return (times, n) weights of the patients at risk of the event at each of the times ``at``.

    Before a time t, censoring at t does not count: G(t−).
    """
    steps = np.unique(time[cause == CENSORED])
    at_risk = np.array([np.sum((time > t) | ((time == t) & (cause == CENSORED))) for t in steps])
    censored = np.array([np.sum((time == t) & (cause == CENSORED)) for t in steps])
    curve = np.concatenate([[1.0], np.cumprod(1 - censored / np.maximum(at_risk, 1))])
    before = curve[np.searchsorted(steps, at, side="left")]
    own = curve[np.searchsorted(steps, time, side="left")]
    still = (time[None, :] >= at[:, None]).astype(float)
    gone = (cause == COMPETING)[None, :] & (time[None, :] < at[:, None])
    return np.asarray(still + gone * before[:, None] / np.where(own > 0, own, 1.0)[None, :])
