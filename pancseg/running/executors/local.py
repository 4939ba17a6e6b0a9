"""Process scans in child processes on this machine, each supervised by a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors.early import EarlyWorker
from pancseg.running.executors.supervisor import SupervisedWorker
from pancseg.running.memory import MemoryBudget
from pancseg.running.messages import Message, OnStage, Request
from pancseg.system.stage import Stage

_QueueItem = tuple[Request, Message] | BaseException | None
"""A message, an error that ends the run, or None when a thread has no more requests."""


class LocalExecutor:
    """Processes requests in a number of worker processes.

    All workers are started at once. The constructor waits for the first, to find out whether the
    plan can be carried out.

    Args:
        plan: what is done with every scan.
        workers: number of processes.
        threads: CPU threads of all workers together.
        budget: memory of all workers together.
        verbose: print paths and tracebacks.
        early: a process that was started before, for the first worker.

    Raises:
        RunRefused: the plan cannot be carried out.
    """

    def __init__(
        self,
        plan: ProcessingPlan,
        *,
        workers: int,
        threads: int,
        budget: MemoryBudget,
        verbose: bool = False,
        early: EarlyWorker | None = None,
    ) -> None:
        each = max(1, threads // workers)
        self._budget = budget
        first = SupervisedWorker(plan, each, verbose, early.take() if early else None)
        self._workers = [
            first,
            *(SupervisedWorker(plan, each, verbose) for _ in range(workers - 1)),
        ]
        self.budget: MemoryBudget | None = budget
        self.at_once = workers
        self._messages: queue.Queue[_QueueItem] = queue.Queue(maxsize=4 * workers)
        self._stopped = threading.Event()
        for worker in self._workers:
            with suppress(OSError):  # it is launched again when it gets a request
                worker.launch()  # does not wait until the worker is ready
        try:
            if early and early.meanwhile:
                early.meanwhile()
            self.network_info: dict[str, Any] = first.start().network_info
        except BaseException:
            self.close()
            raise
        for worker in self._workers:
            worker.proven = True

    def execute(
        self, requests: Iterator[Request], on_stage: OnStage
    ) -> Iterator[tuple[Request, Message]]:
        """Yield all messages as they arrive, in any order of the requests."""
        source, budget = _SharedIterator(requests), self._budget
        threads = [
            threading.Thread(target=self._serve, args=(worker, source, budget), daemon=True)
            for worker in self._workers
        ]
        for thread in threads:
            thread.start()
        running = len(threads)
        while running:
            item = self._messages.get()
            if item is None:
                running -= 1
            elif isinstance(item, BaseException):
                raise item
            elif isinstance(item[1], Stage):
                on_stage(item[0], item[1])
            else:
                yield item

    def close(self) -> None:
        """End all child processes, even if they are busy."""
        self._stopped.set()
        for worker in self._workers:
            worker.stop()

    def _serve(
        self, worker: SupervisedWorker, requests: _SharedIterator, budget: MemoryBudget
    ) -> None:
        """Let one worker process requests until there are no more."""
        try:
            while not self._stopped.is_set() and (request := requests.take()) is not None:
                budget.take(request.memory_bytes)
                try:
                    worker.run(request, partial(self._take, request))
                finally:
                    budget.give_back(request.memory_bytes)
            self._messages.put(None)
        except BaseException as error:  # noqa: BLE001  ``execute`` raises it
            if not self._stopped.is_set():
                self._messages.put(error)

    def _take(self, request: Request, message: Message) -> None:
        """Put a message into the queue; a stage only if there is room for it at once."""
        if isinstance(message, Stage):
            with suppress(queue.Full):
                self._messages.put_nowait((request, message))
        else:
            self._messages.put((request, message))


class _SharedIterator:
    """An iterator that several threads can use."""

    def __init__(self, requests: Iterator[Request]) -> None:
        self._requests = requests
        self._lock = threading.Lock()

    def take(self) -> Request | None:
        """Return the next request, or None if there are no more."""
        with self._lock:
            return next(self._requests, None)
