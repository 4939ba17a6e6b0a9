"""Compute who is at risk at each event, with Efron's weights for tied events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RiskSets:
    """The risk set of each event; rows are in ``order``, the latest time first.

    Of d events at one time, the k-th (k = 0 … d − 1) has everyone at risk in its risk set, minus a
    weight of k/d for each of those d patients (Efron 1977, J Am Stat Assoc 72:557). Without ties
    this is Breslow's risk set.

    Attributes:
        order: (n,) indices of the caller's rows by falling time; all other indices refer to this
            order.
        time: (ties,) distinct event times, the latest first.
        event: (e,) rows with an event.
        last: (e,) the last row at risk at each event.
        tie: (e,) index into ``time``.
        start: (ties,) index into ``event`` of the first event of each tie.
        share: (e,) k/d.
    """

    order: np.ndarray
    time: np.ndarray
    event: np.ndarray
    last: np.ndarray
    tie: np.ndarray
    start: np.ndarray
    share: np.ndarray

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Sum values over each event's risk set: (n, …) in ``order`` → (e, …)."""
        everyone = np.cumsum(values, axis=0)[self.last]
        tied = np.add.reduceat(values[self.event], self.start, axis=0)[self.tie]
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(everyone - share * tied)

    def sums_over_events(self, values: np.ndarray) -> np.ndarray:
        """Sum values over the events whose risk set contains a row: (e,) → (n,).

        This is the transpose of :meth:`totals`.
        """
        n = len(self.order)
        found = np.cumsum(np.bincount(self.last, values, n)[::-1])[::-1]
        found[self.event] -= np.bincount(self.tie, self.share * values)[self.tie]
        return found

    def tied_means(self, values: np.ndarray) -> np.ndarray:
        """Replace each event's value by the mean over the events at its time: (e, …)."""
        sums = np.add.reduceat(values, self.start, axis=0)
        counts = np.bincount(self.tie).reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray((sums / counts)[self.tie])

    def baseline(self, relative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return event times, rising, and the cumulative baseline hazard from each of them on.

        Args:
            relative: (n,) hazard ratios in ``order``.
        """
        steps = np.bincount(self.tie, 1 / self.totals(relative), len(self.time))
        return self.time[::-1], np.cumsum(steps[::-1])


def risk_sets(y: np.ndarray) -> RiskSets:
    """Return the risk sets of a structured array with fields ``event`` and ``time``."""
    order = np.argsort(-y["time"], kind="stable")
    falling = -y["time"][order]
    event = np.flatnonzero(y["event"][order])
    times, start, tie, deaths = np.unique(
        falling[event], return_index=True, return_inverse=True, return_counts=True
    )
    last = np.searchsorted(falling, falling[event], side="right") - 1
    share = (np.arange(len(event)) - start[tie]) / deaths[tie]
    return RiskSets(order, -times, event, last, tie, start, share)
