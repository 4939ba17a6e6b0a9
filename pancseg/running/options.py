"""Where and how a cohort is run; nothing here changes a value of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pancseg.errors import RunRefused
from pancseg.running.memory import GB, free_bytes
from pancseg.system.threads import available_cores

LEAST_BYTES_A_WORKER = 2 * GB


@dataclass(frozen=True)
class RunOptions:
    """Where and how a cohort is run.

    Attributes:
        workers: worker processes; 0: in this process, where a crash ends the run; None: as many as
            there are cores, scans, and 2 GB of memory for each.
        threads: CPU threads of all workers together; None: all cores.
        timeout_s: a scan that takes longer is given up; None: never.
        memory_bytes: what all workers may take together, on a cluster each thread of a Dask worker;
            None: what is free now, on a cluster an equal share of the worker's own limit.
        retry: do failed rows again; otherwise they stay as they are while nothing has changed.
        strict: stop at the first row that is not usable.
        verbose: workers print paths and tracebacks.
        pseudonyms: the cases' ids are pseudonyms; the output will say so.
        scheduler: address of a Dask scheduler whose workers do the work.
        slurm: settings of dask-jobqueue's SLURMCluster, and ``jobs``: how many.

    Example:
        >>> from pancseg import RunOptions, run_cohort
        >>> gently = RunOptions(workers=1, threads=1, timeout_s=600)
        >>> results = run_cohort("cohort.csv", "results", weights="monet_phantom", options=gently)
    """

    workers: int | None = None
    threads: int | None = None
    timeout_s: float | None = None
    memory_bytes: int | None = None
    retry: bool = True
    strict: bool = False
    verbose: bool = False
    pseudonyms: bool = False
    scheduler: str | None = None
    slurm: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be done.

        Raises:
            Refusal: a time limit without a process that could be ended.
        """
        if self.workers == 0 and self.timeout_s is not None and not self.elsewhere:
            raise RunRefused(
                "`timeout_s` ends a worker process, and with `workers` 0 there is none; "
                "leave one of them out"
            )

    @property
    def elsewhere(self) -> bool:
        """Whether the work is done on a cluster."""
        return bool(self.scheduler or self.slurm)

    def workers_for(self, scans: int) -> int:
        """Return how many worker processes a number of scans gets."""
        if self.workers is not None:
            return min(self.workers, max(scans, 1))
        fitting = (self.memory_bytes or free_bytes()) // LEAST_BYTES_A_WORKER
        return max(1, min(self.threads or available_cores(), scans, fitting))


DEFAULT = RunOptions()
