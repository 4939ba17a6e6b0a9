"""Start a worker process before it is known what it will do.

A worker imports for most of a second before it can work. One that is started before the cohort is
read imports at the same time as the process that reads it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress

from pancseg.running.executors.process import ChildProcess, worker_process


class EarlyWorker:
    """A worker process that imports what it needs and then waits to be taken.

    It ends with this object, at the latest, if nobody takes it.

    Args:
        threads: CPU threads of the process; whoever takes it may limit it to fewer.
        verbose: let it print to standard error.
        meanwhile: something that has to be done anyway, such as an import; the run calls it while
            it waits for its workers.

    Example:
        >>> early = EarlyWorker(threads=1, verbose=False)
        >>> process = early.take()
        >>> process.alive, early.take()
        (True, None)
        >>> process.kill()
        >>> process.wait()
    """

    def __init__(
        self, threads: int, verbose: bool, meanwhile: Callable[[], None] | None = None
    ) -> None:
        self.meanwhile = meanwhile
        self._process: ChildProcess | None = None
        with suppress(OSError):  # the run starts its workers itself, and says why it cannot
            self._process = worker_process(threads, verbose)
            self._unused = weakref.finalize(self, _end, self._process)

    def take(self) -> ChildProcess | None:
        """Return the process to the first who asks; None to all others, and if it has ended."""
        process, self._process = self._process, None
        if process is None:
            return None
        self._unused.detach()
        if process.alive:
            return process
        process.end()
        return None

    def end(self) -> None:
        """End the process, unless it was taken."""
        if process := self.take():
            _end(process)


def _end(process: ChildProcess) -> None:
    process.kill()
    process.end()
