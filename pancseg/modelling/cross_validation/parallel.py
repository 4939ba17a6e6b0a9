"""Compute folds in several processes, and say in one line when one of them dies."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from joblib import Parallel

from pancseg.errors import ProcessDied

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_MORE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def in_processes(jobs: Iterable[Any], workers: int) -> Iterator[Any]:
    """Yield the results of joblib's jobs, in their order.

    Arrays go to the processes through pipes: joblib would write large ones to a temporary folder,
    which may be full, or may be read by others.

    Args:
        jobs: calls made by ``joblib.delayed``.
        workers: number of processes.

    Raises:
        ProcessDied: a process was killed or could not be started.
    """
    try:
        yield from Parallel(n_jobs=workers, return_as="generator", max_nbytes=None)(jobs)
    except (BrokenProcessPool, BrokenPipeError) as error:
        raise ProcessDied(
            "a process that fits models died, probably for lack of memory; use fewer `workers`"
        ) from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise ProcessDied(
                "the temporary folder or the shared memory is full, so that no process can be "
                "started; set TMPDIR to a folder with room, or use 1 as `workers`"
            ) from error
        if error.errno in _NO_MORE:
            raise ProcessDied(
                "the system starts no more processes (memory, processes or open files are at their "
                "limit); use fewer `workers`"
            ) from error
        raise
