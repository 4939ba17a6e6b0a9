"""Limit the threads of libraries, so that together they use the machine's cores once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)  # fmt: skip


_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Return the number of cores this process may use: its affinity, within a container's quota."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, min(len(os.sched_getaffinity(0)), _quota()))
    return os.cpu_count() or 1


def _quota() -> int:
    """Return a container's CPU quota in whole cores; ``sys.maxsize`` if there is no limit."""
    try:
        time, period = map(int, _QUOTA.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return sys.maxsize
    return time // period


def limit_threads(threads: int) -> None:
    """Limit the threads of SimpleITK and of the linear algebra libraries loaded so far."""
    import SimpleITK as sitk
    import threadpoolctl

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    threadpoolctl.threadpool_limits(threads)


def environment(threads: int) -> dict[str, str]:
    """Return the environment variables that limit the threads of a new process."""
    return dict.fromkeys(_VARIABLES, str(threads))
