"""Estimate how long a run will still take, from the scans that it has really made."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

_MOST_MEDIANS = 5.0
"""A scan counts for at most so many medians: one that hung for an hour says nothing of the rest."""

_MOST_DONE = 0.9
"""No more of a scan counts as done before it is done, however long it takes already."""


class TimeLeft:
    """Estimates the time that the scans which are left will take.

    Scans whose rows are all taken over from an earlier run take no time and say nothing about
    others. Among scans that have earlier rows, as many are expected to be made again as were so
    far.

    Args:
        earlier: name of each scan of the run → whether an earlier run has rows for it.

    Example:
        >>> left = TimeLeft({"P1": False, "P2": False, "P3": False})
        >>> left.end("P1", 60.0)
        >>> left.seconds(workers=1, now_s=0.0)
        120.0
    """

    def __init__(self, earlier: Mapping[str, bool]) -> None:
        self._waiting = dict(earlier)
        self._again = sum(earlier.values())
        self._began_s: dict[str, float] = {}
        self._made_s: list[float] = []
        self._each_s = 0.0
        self._ended_again = self._made_again = 0

    def begin(self, name: str, now_s: float) -> None:
        """Note when a worker began with a scan."""
        if name in self._waiting:
            self._began_s.setdefault(name, now_s)

    def end(self, name: str, spent_s: float | None) -> None:
        """Note that a scan is done.

        Args:
            name: of the scan.
            spent_s: seconds that a worker took for it; None if all its rows were taken over.
        """
        again = self._waiting.pop(name, False)
        self._began_s.pop(name, None)
        if spent_s is not None:
            self._made_s.append(spent_s)
            self._each_s = _typical(self._made_s)
        if again:
            self._again -= 1
            self._ended_again += 1
            self._made_again += spent_s is not None

    def seconds(self, workers: int, now_s: float) -> float | None:
        """Return the seconds that are left; None while too little is known.

        The first scans to end are the smallest ones, so nothing is known before as many were made
        as there are workers.

        Args:
            workers: number of scans that are processed at the same time.
            now_s: the time, on the clock of :meth:`begin`.
        """
        if not self._waiting:
            return 0.0
        made, left = len(self._made_s), len(self._waiting)
        if not made or made < min(workers, made + left):
            return None
        share = self._made_again / self._ended_again if self._ended_again else 0.0
        work_s = self._each_s * (left - self._again + share * self._again)
        longest_s = 0.0
        for name, began_s in self._began_s.items():
            expected_s = self._each_s * (share if self._waiting[name] else 1.0)
            done_s = min(now_s - began_s, _MOST_DONE * expected_s)
            work_s -= done_s
            longest_s = max(longest_s, expected_s - done_s)
        return max(work_s / max(1, min(workers, left)), longest_s)


def _typical(seconds: list[float]) -> float:
    """Return the mean, in which no scan counts for more than a few medians."""
    most = _MOST_MEDIANS * statistics.median(seconds)
    return statistics.fmean(min(each, most) for each in seconds)
