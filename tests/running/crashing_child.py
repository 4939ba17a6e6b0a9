"""A worker process that ends badly at scans with telling names: a stand-in for broken libraries."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from pancseg import scans
from pancseg.running import child

_read = scans.read


def _badly(path: str | Path, **options: Any) -> sitk.Image:
    name = Path(path).name
    if "segfault" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "kernel" in name:  # kills for lack of memory
        os.kill(os.getpid(), signal.SIGKILL)
    if "exit" in name:
        os._exit(7)
    if "hang" in name:
        time.sleep(600)
    if "print" in name:
        os.write(1, b"what a library prints must not disturb anything\n")
    if "memoryerror" in name:
        raise MemoryError
    return _read(path, **options)


if __name__ == "__main__":
    scans.read = _badly
    child.main()
