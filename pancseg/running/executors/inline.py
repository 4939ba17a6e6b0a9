"""The work in this very process: nothing to start, and no protection from crashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pancseg.errors import RunRefused
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.memory import MemoryBudget
from pancseg.running.messages import Message, Request
from pancseg.running.worker import Worker
from pancseg.system.threads import limit_threads


class InlineExecutor:
    """Does one request after the other."""

    def __init__(self, work: ProcessingPlan, threads: int, budget: MemoryBudget) -> None:
        """Load what the work needs.

        Raises:
            Refusal: it is not to be had.
        """
        try:
            self._worker = Worker(replace(work, threads=threads))
        except (FileNotFoundError, ValueError) as error:
            raise RunRefused(str(error)) from error
        limit_threads(threads)
        self.budget: MemoryBudget | None = budget
        self.about: dict[str, Any] = self._worker.about

    def execute(self, requests: Iterator[Request]) -> Iterator[tuple[Request, Message]]:
        """Yield every request's messages."""
        for request in requests:
            for message in self._worker.messages(request):
                yield request, message

    def close(self) -> None:
        """Nothing is left behind."""
