"""Process scans in the calling process: nothing to start, but no protection from crashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from pancseg.errors import RunRefused
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.memory import MemoryBudget
from pancseg.running.messages import Message, OnStage, Request
from pancseg.running.worker import Worker
from pancseg.system.threads import limit_threads


class InlineExecutor:
    """Processes one request after another in the calling process."""

    def __init__(self, plan: ProcessingPlan, threads: int, budget: MemoryBudget) -> None:
        """Load what the plan needs.

        Raises:
            RunRefused: the weights, the engine or the settings cannot be used.
        """
        try:
            self._worker = Worker(replace(plan, threads=threads))
        except (FileNotFoundError, ValueError) as error:
            raise RunRefused(str(error)) from error
        limit_threads(threads)
        self.budget: MemoryBudget | None = budget
        self.at_once = 1
        self.network_info: dict[str, Any] = self._worker.network_info

    def execute(
        self, requests: Iterator[Request], on_stage: OnStage
    ) -> Iterator[tuple[Request, Message]]:
        """Yield the messages of all requests, in order."""
        for request in requests:
            for message in self._worker.messages(request, partial(on_stage, request)):
                yield request, message

    def close(self) -> None:
        """Do nothing: there is no worker to end."""
