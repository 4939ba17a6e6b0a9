"""A worker process that ends badly at scans with telling names: a stand-in for broken libraries."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from pancseg import read_scan
from pancseg.processing import scan_reading
from pancseg.running import keys
from pancseg.running.executors import child

_read, _of_files_as_it_is = read_scan, keys.of_files


def _badly(path: str | Path, **options: Any) -> sitk.Image:
    name = Path(path).name
    if "segfault" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "kernel" in name:  # kills for lack of memory
        os.kill(os.getpid(), signal.SIGKILL)
    if "exit" in name:
        os._exit(7)
    if "abort" in name:  # as C++ does
        os.write(2, f"terminate called: {path}\n".encode())
        os.abort()
    if "hang" in name:
        time.sleep(600)
    if "stopped" in name:  # by a debugger, or as if by a file share that has gone
        os.kill(os.getpid(), signal.SIGSTOP)
    if "print" in name:
        os.write(1, b"what a library prints must not disturb anything\n")
    _lack_memory(name)
    return _read(path, **options)


def _lack_memory(name: str) -> None:
    if "memoryerror" in name:
        raise MemoryError
    if "greedy" in name:
        np.zeros(20 * 10**9, np.uint8)  # takes no memory before it is written to
    if "torch" in name:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 B")


def _of_files(path: Path, series_uid: str | None = None) -> str:
    if "beside" in path.name:  # an exception outside of any row
        raise KeyError(str(path))
    return _of_files_as_it_is(path, series_uid)


if __name__ == "__main__":
    scan_reading.read_scan = _badly
    keys.of_files = _of_files
    child.main()
