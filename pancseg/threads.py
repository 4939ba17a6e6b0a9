"""Owns how many threads libraries use, so that the cores of the machine are used once."""

from __future__ import annotations

import os

_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)  # fmt: skip


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_threads(threads: int) -> None:
    """Limit the threads of SimpleITK and of the linear algebra libraries loaded so far."""
    import SimpleITK as sitk
    import threadpoolctl

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    threadpoolctl.threadpool_limits(threads)


def environment(threads: int) -> dict[str, str]:
    """Return the variables that limit the threads of a process from its start."""
    return dict.fromkeys(_VARIABLES, str(threads))
