"""Limit the threads of libraries, so that together they use the machine's cores once."""

from __future__ import annotations

import math
import os

from pancseg.system.processes.cgroup import cpu_limit

_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)  # fmt: skip


_JOB = "SLURM_CPUS_PER_TASK"


def available_cores() -> int:
    """Return the number of cores this process may use, at least 1.

    It is the smallest of its affinity, the quotas of its container or job (control groups), and
    ``SLURM_CPUS_PER_TASK``, as not every cluster holds a job to its cores. ``OMP_NUM_THREADS`` does
    not count: it is for threads in one process, and many clusters set it to 1.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    asked = os.environ.get(_JOB, "")
    if asked.isascii() and asked.isdigit():
        cores = min(cores, int(asked))
    return max(1, math.floor(min(cores, cpu_limit())))


def limit_threads(threads: int) -> None:
    """Limit the threads of SimpleITK and of the linear algebra libraries loaded so far."""
    import SimpleITK as sitk
    import threadpoolctl

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    threadpoolctl.threadpool_limits(threads)


def environment(threads: int) -> dict[str, str]:
    """Return the environment variables that limit the threads of a new process."""
    return dict.fromkeys(_VARIABLES, str(threads))
