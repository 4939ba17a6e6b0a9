"""Follow a run: scans that are done, the stages of those in work, and the time that is left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from pancseg.running.run_log import RunLog
from pancseg.running.time_left import TimeLeft
from pancseg.system.stage import Stage

log = logging.getLogger(__name__)

LOG_EVERY_S = 10.0
"""Seconds between two lines of the log about the progress within one scan."""


class RunProgress(NamedTuple):
    """How far a run has come.

    Attributes:
        done: number of scans that are done.
        total: number of scans.
        left_s: seconds that the run will still take; None while too little is known.
        at_work: name of each scan that a worker is processing → the stage that it has reached.

    Example:
        >>> from pancseg import RunProgress, run_cohort
        >>> seen, weights = [], "monet_phantom"
        >>> results = run_cohort("cohort.csv", "results", weights=weights, watch=seen.append)
        >>> seen[-1] == RunProgress(done=1, total=1, left_s=0.0, at_work={})
        True
    """

    done: int
    total: int
    left_s: float | None
    at_work: Mapping[str, Stage]


Watch = Callable[[RunProgress], None]


class ProgressTracker:
    """Collects what workers tell, and passes it on to the log and to whoever watches the run.

    A failure to show or to log it stops nothing.

    Args:
        earlier: name of each scan → whether an earlier run has rows for it.
        workers: returns the number of scans that are processed at the same time.
        log: gets a line about a scan in work every ten seconds at most; None for no log.
        watch: called with the progress whenever it changes.
        clock: returns seconds.
    """

    def __init__(
        self,
        earlier: Mapping[str, bool],
        workers: Callable[[], int],
        log: RunLog | None,
        watch: Watch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._done = len(earlier), 0
        self._workers, self._log, self._watch, self._clock = workers, log, watch, clock
        self._left = TimeLeft(earlier)
        self._at_work: dict[str, Stage] = {}
        self._began_s: dict[str, float] = {}
        self._logged_s: dict[str, float] = {}

    def reach(self, name: str, stage: Stage) -> None:
        """Note that a scan has reached a stage."""
        now_s = self._clock()
        self._left.begin(name, now_s)
        self._at_work[name] = stage
        began_s = self._began_s.setdefault(name, now_s)
        if now_s - self._logged_s.setdefault(name, now_s) >= LOG_EVERY_S:
            self._logged_s[name] = now_s
            if self._log:
                with suppress(OSError):  # of a full disk; what matters will be written, or fail
                    self._log.progress(name, stage, now_s - began_s, self.now().left_s)
        self._show(self.now())

    def end(self, name: str, spent_s: float | None) -> RunProgress:
        """Note that a scan is done, and return the progress.

        Args:
            name: of the scan.
            spent_s: seconds that a worker took for it; None if nothing was made anew.
        """
        self._done += 1
        for noted in (self._at_work, self._began_s, self._logged_s):
            noted.pop(name, None)
        self._left.end(name, spent_s)
        now = self.now()
        self._show(now)
        return now

    def now(self) -> RunProgress:
        """Return the progress at this moment."""
        left_s = self._left.seconds(self._workers(), self._clock())
        return RunProgress(self._done, self._total, left_s, dict(self._at_work))

    def _show(self, now: RunProgress) -> None:
        try:
            self._watch(now)
        except Exception:
            log.debug("the progress could not be shown", exc_info=True)
