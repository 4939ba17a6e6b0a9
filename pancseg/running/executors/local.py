"""Child processes on this machine, each with a thread that watches over it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pancseg.errors import RunRefused
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors.supervisor import SupervisedWorker
from pancseg.running.memory import MemoryBudget
from pancseg.running.messages import Message, Request

_Told = tuple[Request, Message] | BaseException | None


class LocalExecutor:
    """A number of workers; the first one is started at once, to see that the work can be done.

    Args:
        work: what is to be done with every scan.
        workers: how many processes.
        threads: CPU threads of all of them together.
        budget: memory that all of them may take together.
        timeout_s: for a scan; None: no limit.
        verbose: print paths and tracebacks.

    Raises:
        Refusal: the work cannot be done.
    """

    def __init__(
        self,
        work: ProcessingPlan,
        *,
        workers: int,
        threads: int,
        budget: MemoryBudget,
        timeout_s: float | None = None,
        verbose: bool = False,
    ) -> None:
        each = max(1, threads // workers)
        self._budget = budget
        self._workers = [SupervisedWorker(work, each, timeout_s, verbose) for _ in range(workers)]
        self.budget: MemoryBudget | None = budget
        self._told: queue.Queue[_Told] = queue.Queue(maxsize=4 * workers)
        self._stopped = threading.Event()
        for worker in self._workers:
            with suppress(OSError):  # who needs one tries again
                worker.launch()  # all at once; whoever needs one waits for it
        try:
            self.about: dict[str, Any] = self._workers[0].start().about
        except RunRefused:
            self.close()
            raise
        for worker in self._workers:
            worker.proven = True

    def execute(self, requests: Iterator[Request]) -> Iterator[tuple[Request, Message]]:
        """Yield all messages as they come; the requests' order is not kept."""
        source, budget = _Shared(requests), self._budget
        threads = [
            threading.Thread(target=self._serve, args=(worker, source, budget), daemon=True)
            for worker in self._workers
        ]
        for thread in threads:
            thread.start()
        running = len(threads)
        while running:
            told = self._told.get()
            if told is None:
                running -= 1
            elif isinstance(told, BaseException):
                raise told
            else:
                yield told

    def close(self) -> None:
        """End all children, whatever they do."""
        self._stopped.set()
        for worker in self._workers:
            worker.stop()

    def _serve(self, worker: SupervisedWorker, requests: _Shared, budget: MemoryBudget) -> None:
        try:
            while not self._stopped.is_set() and (request := requests.take()) is not None:
                budget.take(request.memory_bytes)
                try:
                    worker.run(request, lambda message, r=request: self._told.put((r, message)))  # type: ignore[misc]
                finally:
                    budget.give_back(request.memory_bytes)
            self._told.put(None)
        except BaseException as error:  # noqa: BLE001  raised by who waits
            if not self._stopped.is_set():
                self._told.put(error)


class _Shared:
    """An iterator that several threads take from."""

    def __init__(self, requests: Iterator[Request]) -> None:
        self._requests = requests
        self._lock = threading.Lock()

    def take(self) -> Request | None:
        """Return the next request, or None when there is no more."""
        with self._lock:
            return next(self._requests, None)
