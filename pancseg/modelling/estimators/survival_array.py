"""Keep events and times of patients in one array, without importing anything that fits models."""

from __future__ import annotations

import numpy as np

SURVIVAL = np.dtype([("event", "?"), ("time", "f8")])


def survival_outcome(event: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return events and times as one structured array.

    Args:
        event: (n,) whether the event was seen.
        time: (n,) follow-up.

    Example:
        >>> survival_outcome(np.array([True, False]), np.array([3.0, 8.0]))["time"].tolist()
        [3.0, 8.0]
    """
    found = np.empty(len(time), dtype=SURVIVAL)
    found["event"], found["time"] = event, time
    return found
