"""Owns how long stages take: each says so to the log, and who wants to know listens there.

Knows nothing about what the stages do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class Stopwatch:
    """Adds up the wall time of stages that come many times in turn."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def running(self, stage: str) -> Iterator[None]:
        """Add the time that the body takes to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self._seconds[stage] = self._seconds.get(stage, 0.0) + spent

    def tell(self) -> None:
        """Log each stage once, at debug level; the record's arguments are (stage, seconds)."""
        for stage, seconds in self._seconds.items():
            log.debug("%s: %.3f s", stage, seconds)


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Log how long the body took, as :meth:`Stopwatch.tell` does."""
    watch = Stopwatch()
    try:
        with watch.running(stage):
            yield
    finally:
        watch.tell()
