"""Bound a process's memory where the system can, and recognise errors for lack of memory."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

_SLACK_BYTES = 10**9
"""What libraries take at their first use (measured with torch: less than 0.7 GB)."""
_THREAD_BYTES = 16 * 10**6
"""Address space of a thread: its stack and its heap (measured)."""
_DATA_SIZE = re.compile(r"VmData:\s+(\d+) kB")
_OUT_OF_MEMORY = re.compile(
    r"bad[_ ]alloc|can't allocate memory|cannot allocate memory|out of memory|failed to allocate"
    r"|unable to allocate|insufficient memory|memory allocation",
    re.IGNORECASE,
)


class MemoryLimit:
    """A limit of this process's own memory, counted from what it has when the limit is made.

    On Linux it is ``RLIMIT_DATA``, which counts what a process may write to (heap, arrays, stacks)
    but neither code nor address space that is only reserved. Elsewhere there is no limit.
    Allocations beyond it fail, as they do when memory is used up.

    Args:
        threads: number of threads that the process may still start.
    """

    def __init__(self, threads: int) -> None:
        self._before = _data_bytes() if sys.platform == "linux" else 0
        self._slack = _SLACK_BYTES + threads * _THREAD_BYTES

    def allow(self, extra_bytes: int) -> None:
        """Set how many bytes more may be taken; 0: without limit."""
        if not self._before:
            return
        import resource

        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        wanted = self._before + extra_bytes + self._slack if extra_bytes else most
        if most != resource.RLIM_INFINITY and wanted != resource.RLIM_INFINITY:
            wanted = min(wanted, most)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that it came from, is for lack of memory.

    Libraries in C++ say so in their own words.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("std::bad_alloc"))
        (True, True)
    """
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        if isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _data_bytes() -> int:
    """Return the size of this process's writable memory; 0 if it is not known."""
    try:
        found = _DATA_SIZE.search(Path("/proc/self/status").read_text(encoding="utf-8"))
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
