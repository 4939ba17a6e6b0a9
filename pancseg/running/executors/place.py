"""Chooses where the work is done: in this process, in child processes or on a cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pancseg.cohort.case import Case, name_key
from pancseg.errors import RunRefused
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors.local import LocalExecutor
from pancseg.running.memory import GB, WORKER_BYTES, MemoryBudget, free_bytes
from pancseg.running.messages import Message, Request
from pancseg.running.options import RunOptions
from pancseg.system.threads import available_cores


class Executor(Protocol):
    """Where workers are.

    Attributes:
        about: what they make masks with, for the provenance; empty where they make none.
        budget: memory that they share, or that each has on a cluster; None: no limit is known.
    """

    about: dict[str, Any]
    budget: MemoryBudget | None

    def execute(self, requests: Iterator[Request]) -> Iterator[tuple[Request, Message]]:
        """Yield the messages of all requests."""
        ...

    def close(self) -> None:
        """Leave no worker behind."""
        ...


def executor_for(work: ProcessingPlan, cases: Sequence[Case], options: RunOptions) -> Executor:
    """Start workers for a cohort where the options say.

    Raises:
        Refusal: the work cannot be done as it is asked for.
    """
    if options.elsewhere:
        from pancseg.running.executors.dask_cluster import ClusterExecutor

        return ClusterExecutor(work, options)
    workers = options.workers_for(len(rows_by_scan(cases)))
    threads = options.threads or available_cores()
    budget = MemoryBudget(options.memory_bytes or free_bytes())
    if not workers:
        from pancseg.running.executors.inline import (
            InlineExecutor,  # what workers load, this process needs not
        )

        return InlineExecutor(work, threads, budget)
    if options.memory_bytes:
        _refuse_idle_workers(workers, WORKER_BYTES[_engine_of(work)], options.memory_bytes)
    return LocalExecutor(
        work,
        workers=workers,
        threads=threads,
        budget=budget,
        timeout_s=options.timeout_s,
        verbose=options.verbose,
    )


def _engine_of(work: ProcessingPlan) -> str:
    """Return the engine, without loading any, by which a worker's memory is told."""
    if not work.weights:
        return ""
    wanted = work.engine if work.engine in WORKER_BYTES else "torch"
    return "openvino" if work.engine == "auto" and find_spec("openvino") else wanted


def _refuse_idle_workers(workers: int, each_bytes: int, most_bytes: int) -> None:
    """Refuse more workers than there is memory for before any of them has a scan."""
    fitting = max(1, most_bytes // each_bytes)
    if workers > fitting:
        needed = workers * each_bytes
        raise RunRefused(
            f"{workers} workers take {needed / GB:.1f} GB before they read a scan, and "
            f"`memory_bytes` is {most_bytes / GB:.1f} GB; give `workers` {fitting}, or more memory"
        )


def scan_of(case: Case) -> tuple[Path, str | None, str]:
    """Return what tells the scan of a case from others: file, series and name."""
    return case.image, case.series_uid, name_key(case.scan_name)


def rows_by_scan(cases: Sequence[Case]) -> dict[tuple[Path, str | None, str], list[int]]:
    """Return the places of each scan's rows, in the order in which scans come first."""
    found: defaultdict[tuple[Path, str | None, str], list[int]] = defaultdict(list)
    for index, case in enumerate(cases):
        found[scan_of(case)].append(index)
    return dict(found)
