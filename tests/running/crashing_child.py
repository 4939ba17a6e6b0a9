"""A worker process that ends badly at scans with telling names: a stand-in for broken libraries."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from pancseg import read_scan
from pancseg.processing import scan
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
    if "print" in name:
        os.write(1, b"what a library prints must not disturb anything\n")
    if "memoryerror" in name:
        raise MemoryError
    return _read(path, **options)


def _of_files(path: Path) -> str:
    if "beside" in path.name:  # an exception outside of any row
        raise KeyError(str(path))
    return _of_files_as_it_is(path)


if __name__ == "__main__":
    scan.read_scan = _badly
    keys.of_files = _of_files
    child.main()
