"""Options of a run: workers, threads, memory, cluster. None changes a value of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from pancseg.errors import RunRefused
from pancseg.running.memory import GB, free_bytes, refuse_little
from pancseg.system.threads import available_cores

LEAST_BYTES_A_WORKER = 2 * GB


@dataclass(frozen=True)
class RunOptions:
    """Where and how a cohort is run.

    Attributes:
        workers: number of worker processes. 0 works in the calling process, where a crash ends the
            run. None takes as many as there are cores, scans and units of 2 GB of memory.
        threads: CPU threads of all workers together; None takes all cores.
        timeout_s: seconds after which a scan is given up. None takes an hour and, for each row and
            pass of the network, 4 s for each MB of memory that the scan is expected to need; with
            ``workers=0`` there is no limit.
        memory_bytes: memory of all workers together; on a cluster, of each thread of a Dask worker.
            None takes the memory that is free now; on a cluster, an equal share of the Dask
            worker's limit.
        retry: process failed rows again. If False, they are kept while their inputs are unchanged.
        strict: stop at the first row that is not usable.
        verbose: workers print paths and tracebacks.
        pseudonyms: the cases' ids are pseudonyms, which is recorded in the output.
        scheduler: address of a Dask scheduler whose workers process the scans.
        slurm: settings of dask-jobqueue's SLURMCluster, and ``jobs``, the number of jobs.

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
        """Refuse options that are impossible or contradict each other.

        Raises:
            RunRefused: a number is too small, or there is a time limit but no worker process that
                could be ended.
            TypeError: text or a fraction instead of a whole number.
        """
        least = {"workers": 0, "threads": 1, "memory_bytes": 0}
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, Integral):
                raise TypeError(f"`{name}` is a whole number, not {value!r}")
            if value is not None and value < smallest:
                raise RunRefused(f"`{name}` is {value}; give {smallest} or more")
        if self.memory_bytes is not None:
            refuse_little(self.memory_bytes, f"`memory_bytes` is {self.memory_bytes}")
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise RunRefused(f"`timeout_s` is {self.timeout_s}; give more than 0 seconds")
        if self.scheduler and self.slurm:
            raise RunRefused("`scheduler` and `slurm` both name a cluster; omit one of them")
        if self.elsewhere and self.workers is not None:
            raise RunRefused("`workers` is for this machine, not for a cluster; omit it")
        if self.workers == 0 and self.timeout_s is not None and not self.elsewhere:
            raise RunRefused(
                "`timeout_s` ends a worker process, but with `workers` 0 there is none; "
                "omit one of them"
            )

    @property
    def elsewhere(self) -> bool:
        """Whether the cohort is run on a cluster."""
        return bool(self.scheduler or self.slurm)

    def workers_for(self, scans: int) -> int:
        """Return the number of worker processes for a number of scans."""
        if self.workers is not None:
            return min(self.workers, max(scans, 1))
        fitting = (self.memory_bytes or free_bytes()) // LEAST_BYTES_A_WORKER
        return max(1, min(self.threads or available_cores(), scans, fitting))


DEFAULT = RunOptions()
