"""Reads the scans named on standard input under limits, one line of JSON about each.

A process of its own: what hangs or crashes costs one scan.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from pancseg import UnusableCase, preview_scan, read_scan
from pancseg.scans.arrays import voxel_array

CPU_SECONDS, SECONDS = 60, 600
"""What one scan may take: of work, and until it is taken to hang."""
MORE_MEMORY_BYTES = 1 << 30


def peak_bytes() -> int:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def tried(path: Path) -> dict[str, object]:
    """Read one scan; tell what became of it and what it took."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = peak_bytes(), time.process_time()
    said: dict[str, object] = {"promised": 0}
    try:
        said["promised"] = preview_scan(path).read_bytes
        image = read_scan(path)
        voxels = voxel_array(image).astype(np.float64)
        said |= {"code": "read", "axes": voxels.ndim, "voxels": voxels.ravel().tolist()}
        said["spacing"] = image.GetSpacing()
    except UnusableCase as unusable:
        said |= {"code": unusable.code, "fact": unusable.fact}
    said["seconds"] = time.process_time() - start
    said["bytes"] = peak_bytes() - before
    return said


if __name__ == "__main__":
    warnings.simplefilter("error")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MORE_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for path in json.loads(sys.stdin.read()):
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # nobody handles it: the process ends
        signal.alarm(SECONDS)
        print(json.dumps(tried(Path(path))), flush=True)
