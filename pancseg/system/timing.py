"""Measure how long the stages of a run take; log the seconds, and collect them if asked to."""

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
    """Add the seconds of each stage that ends within the block, in this thread, to a dictionary.

    >>> seconds = {}
    >>> with stages_into(seconds), timed("read"):
    ...     pass
    >>> list(seconds)
    ['read']
    """
    before = _collected.set(seconds)
    try:
        yield
    finally:
        _collected.reset(before)


class Stopwatch:
    """Adds up the wall time of stages that alternate many times."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def running(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self._seconds[stage] = self._seconds.get(stage, 0.0) + spent

    def tell(self) -> None:
        """Log each stage's seconds at debug level, and add them to those that are collected."""
        collected = _collected.get()
        for stage, seconds in self._seconds.items():
            log.debug("%s: %.3f s", stage, seconds)
            if collected is not None:
                collected[stage] = collected.get(stage, 0.0) + seconds


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Measure the block as one stage, and report it like :meth:`Stopwatch.tell` does."""
    watch = Stopwatch()
    try:
        with watch.running(stage):
            yield
    finally:
        watch.tell()
