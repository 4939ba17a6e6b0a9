"""Measures how long stages take: each says so to the log, and to whoever collects the seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger(__name__)

_collected: ContextVar[dict[str, float] | None] = ContextVar("stage_seconds", default=None)


@contextmanager
def stages_into(seconds: dict[str, float]) -> Iterator[None]:
    """Add the seconds of each stage that ends in the body, in this thread, to a dictionary."""
    before = _collected.set(seconds)
    try:
        yield
    finally:
        _collected.reset(before)


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
        """Tell each stage's seconds once: to the log at debug level, and to who collects them."""
        collected = _collected.get()
        for stage, seconds in self._seconds.items():
            log.debug("%s: %.3f s", stage, seconds)
            if collected is not None:
                collected[stage] = collected.get(stage, 0.0) + seconds


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Tell how long the body took, as :meth:`Stopwatch.tell` does."""
    watch = Stopwatch()
    try:
        with watch.running(stage):
            yield
    finally:
        watch.tell()
