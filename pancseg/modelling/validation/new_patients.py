"""Calibration curves of a saved model in new patients, and whether they are enough for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pancseg.modelling.validation.calibration import SmoothCurve, smooth_curve
from pancseg.modelling.validation.net_benefit import class_status, status_at

FEWEST = 5
"""Rows with and without the event that a curve needs.

Of n rows with the event a share exp(-n) of bootstrap resamples has none: 1 % of them for 5.
"""

Risks = tuple[float, np.ndarray, np.ndarray]
"""Horizon (0 for a class), (1, n) predicted risks, (1, n, 2) weights with and without the event."""


def risks_of(
    y: np.ndarray, score: np.ndarray, event_free: np.ndarray, horizons: Sequence[float]
) -> list[Risks]:
    """Return predicted risks and what is known of the outcome, by horizon.

    Args:
        y: (n,) outcomes, from which also censoring is estimated.
        score: (n,) probabilities of the class.
        event_free: (n, horizons) probabilities; not used for a class.
        horizons: times; empty for a class.
    """
    if y.dtype.names is None:
        return [(0.0, score[None], class_status(y)[None])]
    return [
        (time, 1 - event_free[None, :, place], status_at(y, y, time)[None])
        for place, time in enumerate(horizons)
    ]


def too_few(status: np.ndarray) -> tuple[int, int] | None:
    """Return the numbers of rows with and without the event; None where they are enough.

    Args:
        status: (1, n, 2) weights with and without the event.
    """
    with_event, without = (int(count) for count in (status[0] > 0).sum(axis=0))
    return None if min(with_event, without) >= FEWEST else (with_event, without)


def smooth_curves(risks: Sequence[Risks], weights: np.ndarray) -> dict[float, SmoothCurve]:
    """Return the smooth calibration curve at each horizon where one can be computed.

    Args:
        risks: the result of :func:`risks_of`.
        weights: (b, n) bootstrap weights.
    """
    found = {}
    for horizon, risk, status in risks:
        curve = None if too_few(status) else smooth_curve(risk, status, weights)
        if curve is not None:
            found[horizon] = curve
    return found
