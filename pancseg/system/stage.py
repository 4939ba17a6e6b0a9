"""Tell which stage the work on a scan has reached, to whoever listens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

log = logging.getLogger(__name__)

EVERY_S = 1.0
"""Steps within a stage are told at most once in so many seconds."""


class Stage(NamedTuple):
    """A stage of the work on one scan.

    Attributes:
        name: ``read``, ``segment``, ``look again``, ``uncertainty`` or ``features``.
        done: number of slices that went through the network; of ``features``, the region's number.
        total: number of slices of the scan, not all of which need to go through the network; of
            ``look again``, of those around what was found; of ``features``, the number of regions.
            0 where nothing is counted.
    """

    name: str
    done: int = 0
    total: int = 0


class Listener:
    """Passes stages on: each beginning, but of the steps within a stage one in a second at most.

    Whatever goes wrong in passing them on is logged, and stops nothing.

    Args:
        tell: gets the stages.
        clock: returns seconds.
    """

    def __init__(
        self, tell: Callable[[Stage], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell, self._clock = tell, clock
        self._told_s = clock()

    def hear(self, stage: Stage, *, begins: bool) -> None:
        """Pass a stage on, if it begins or if a second has passed since the last one."""
        now = self._clock()
        if not begins and now - self._told_s < EVERY_S:
            return
        self._told_s = now
        try:
            self._tell(stage)
        except Exception:
            log.debug("a stage could not be told", exc_info=True)


_listener: ContextVar[Listener | None] = ContextVar("stage_listener", default=None)


@contextmanager
def heard_by(listener: Listener | None) -> Iterator[None]:
    """Let a listener hear of the stages that are reached within the block, in this thread.

    >>> heard = []
    >>> with heard_by(Listener(heard.append)):
    ...     begin_stage("segment", 0, 280)
    ...     advance_stage("segment", 8, 280)  # not told, as no second has passed
    >>> heard
    [Stage(name='segment', done=0, total=280)]
    """
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def begin_stage(name: str, done: int = 0, total: int = 0) -> None:
    """Tell that a stage begins; the arguments are those of :class:`Stage`."""
    if listener := _listener.get():
        listener.hear(Stage(name, done, total), begins=True)


def advance_stage(name: str, done: int, total: int) -> None:
    """Tell how far a stage has come; the arguments are those of :class:`Stage`."""
    if listener := _listener.get():
        listener.hear(Stage(name, done, total), begins=False)
