"""Choose the executor of a run: this process, child processes or a cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pancseg.cohort.case import Case, name_key
from pancseg.errors import RunRefused
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors.early import EarlyWorker
from pancseg.running.executors.local import LocalExecutor
from pancseg.running.memory import GB, WORKER_BYTES, MemoryBudget, free_bytes
from pancseg.running.messages import Message, OnStage, Request
from pancseg.running.options import RunOptions
from pancseg.system.threads import available_cores


class Executor(Protocol):
    """Processes requests in one or more workers.

    Attributes:
        network_info: the weights and the engine, for the provenance; empty without a network.
        budget: memory that the workers share; on a cluster, memory of each worker. None if no limit
            is known.
        at_once: number of scans that are processed at the same time.
    """

    network_info: dict[str, Any]
    budget: MemoryBudget | None
    at_once: int

    def execute(
        self, requests: Iterator[Request], on_stage: OnStage
    ) -> Iterator[tuple[Request, Message]]:
        """Yield the messages of all requests; call ``on_stage`` in between, in this thread."""
        ...

    def close(self) -> None:
        """Leave no worker behind."""
        ...


def executor_for(
    plan: ProcessingPlan,
    cases: Sequence[Case],
    options: RunOptions,
    early: EarlyWorker | None = None,
) -> Executor:
    """Start the workers for a cohort.

    Args:
        plan: what is done with every scan.
        cases: the cohort; the number of its scans limits the number of workers.
        options: which executor, and how many workers.
        early: a worker process that was started before, for a run with workers on this machine.

    Raises:
        RunRefused: the plan cannot be carried out with these options.
    """
    if options.elsewhere:
        from pancseg.running.executors.dask_cluster import ClusterExecutor

        return ClusterExecutor(plan, options)
    workers = options.workers_for(len(rows_by_scan(cases)))
    threads = options.threads or available_cores()
    budget = MemoryBudget(options.memory_bytes or free_bytes())
    if not workers:
        from pancseg.running.executors.inline import (
            InlineExecutor,  # imports the network and features, which only workers need
        )

        return InlineExecutor(plan, threads, budget)
    if options.memory_bytes:
        _refuse_idle_workers(workers, WORKER_BYTES[expected_engine(plan)], options.memory_bytes)
    return LocalExecutor(
        plan,
        workers=workers,
        threads=threads,
        budget=budget,
        verbose=options.verbose,
        early=early,
    )


def expected_engine(plan: ProcessingPlan) -> str:
    """Return the engine by which a worker's memory is estimated, without loading any."""
    if not plan.weights:
        return ""
    wanted = plan.engine if plan.engine in WORKER_BYTES else "torch"
    return "openvino" if plan.engine == "auto" and find_spec("openvino") else wanted


def _refuse_idle_workers(workers: int, each_bytes: int, most_bytes: int) -> None:
    """Refuse more workers than fit into the memory even before they read a scan."""
    fitting = max(1, most_bytes // each_bytes)
    if workers > fitting:
        needed = workers * each_bytes
        raise RunRefused(
            f"{workers} workers need {needed / GB:.1f} GB before they read a scan, but "
            f"`memory_bytes` is {most_bytes / GB:.1f} GB; set `workers` to {fitting}"
        )


def scan_of(case: Case) -> tuple[Path, str | None, str]:
    """Return what identifies the scan of a case: file, series and name."""
    return case.image, case.series_uid, name_key(case.scan_name)


def rows_by_scan(cases: Sequence[Case]) -> dict[tuple[Path, str | None, str], list[int]]:
    """Return scan → positions of its cases, in the order of each scan's first case."""
    found: defaultdict[tuple[Path, str | None, str], list[int]] = defaultdict(list)
    for index, case in enumerate(cases):
        found[scan_of(case)].append(index)
    return dict(found)
