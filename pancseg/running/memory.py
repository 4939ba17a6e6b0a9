"""Owns how much memory there is, what a scan will take, and who may begin.

Knows headers only.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

import psutil

from pancseg.cohort.case import Case
from pancseg.scans.reading import preview_scan

GB = 10**9
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": GB, "t": 10**12}
_CGROUP = [Path("/sys/fs/cgroup") / f"memory.{name}" for name in ("max", "current", "stat")]

WORKER_BYTES = {"": 300 * 10**6, "openvino": 650 * 10**6, "torch": 950 * 10**6}
"""What a worker takes beside a scan, by its engine; without a network, under ``""``."""
HEADER_S = 60.0
BYTES_PER_VOXEL = 4
"""What segmenting, judging and measuring take beside what reading does, as measured."""
LABEL_BYTES_PER_VOXEL = 6
"""What a mask takes beside what reading it does: labels as int32, a region, a copy."""


def parse_size(text: str) -> int:
    """Return the bytes that a text such as ``4GB``, ``3.5G`` or ``800M`` means.

    Raises:
        ValueError: it means none.
    """
    found = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]?)i?b?\s*", text.lower())
    try:
        size = float(found[1]) * _UNITS[found[2]] if found else 0.0
    except ValueError:
        size = 0.0
    if size <= 0:
        raise ValueError(f"`memory_bytes` {text!r} is not an amount of memory; write it as 4GB")
    return int(size)


def free_bytes() -> int:
    """Return the memory that is free now, as far as this process may use it."""
    free = int(psutil.virtual_memory().available)
    try:
        most, used, counts = (path.read_text().strip() for path in _CGROUP)
        cached = dict(line.split() for line in counts.splitlines()).get("inactive_file", "0")
        return min(free, int(most) - int(used) + int(cached))
    except (OSError, ValueError):  # no cgroup, or no limit
        return free


def needed_bytes(cases: Sequence[Case], engine: str) -> int:
    """Return what a worker will take at most for the rows of a scan, from headers.

    A header that cannot be read, or that does not come within ``HEADER_S`` (a share that has gone),
    counts as nothing: the worker that reads the file will say what is wrong, and can be given up.

    Args:
        cases: rows of one scan.
        engine: what runs the network; empty without one.
    """
    scan = _read_and_held(cases[0].image, cases[0].series_uid, BYTES_PER_VOXEL)
    masks = {case.mask for case in cases if case.mask}
    drawn = max((_read_and_held(m, None, LABEL_BYTES_PER_VOXEL) for m in masks), default=0)
    return WORKER_BYTES.get(engine, WORKER_BYTES["torch"]) + scan + drawn


def _read_and_held(path: Path, series_uid: str | None, bytes_per_voxel: int) -> int:
    answer: SimpleQueue[int] = SimpleQueue()

    def look() -> None:
        try:
            preview = preview_scan(path, series_uid=series_uid)
        except Exception:  # noqa: BLE001  a file of any kind; the worker that reads it is guarded
            answer.put(0)
        else:
            answer.put(preview.read_bytes + bytes_per_voxel * preview.voxels)

    threading.Thread(target=look, daemon=True).start()
    try:
        return answer.get(timeout=HEADER_S)
    except Empty:
        return 0


class MemoryBudget:
    """Lets scans begin as long as what they will take fits together."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._free = total_bytes
        self._changed = threading.Condition()

    def fits(self, size: int) -> bool:
        """Return whether a scan can be done at all."""
        return size <= self.total_bytes

    def take(self, size: int) -> None:
        """Wait until there is room, and take it."""
        with self._changed:
            self._changed.wait_for(lambda: size <= self._free)
            self._free -= size

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


_HIGH_WATER = re.compile(r"VmHWM:\s+(\d+) kB")


def high_water_bytes(pid: int | str = "self") -> int:
    """Return a process's largest resident memory so far; 0 where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = _HIGH_WATER.search(text)
    return int(found[1]) * 1024 if found else 0


class PeakMemory:
    """The peak of resident memory since it was made. Linux only; elsewhere it is not known."""

    def __init__(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
            self._known = True
        except OSError:
            self._known = False

    def bytes(self) -> int:
        """Return the peak so far; 0 where it is not known."""
        return high_water_bytes() if self._known else 0
