"""Estimate the memory that a scan needs from its headers, and start no scan that does not fit."""

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
"""Memory of a worker without any scan, by its engine; ``""`` is a worker without a network."""
HEADER_S = 60.0
"""Seconds to wait for a header, which may be on an unreachable share."""
BYTES_PER_VOXEL = 4
"""Memory for segmenting, judging and measuring, in addition to reading the scan (measured)."""
LABEL_BYTES_PER_VOXEL = 6
"""Memory for a mask in addition to reading it: labels as int32, a region, a copy."""


def parse_size(text: str) -> int:
    """Return the number of bytes that a text such as ``4GB``, ``3.5G`` or ``800M`` means.

    >>> parse_size("4GB")
    4000000000

    Raises:
        ValueError: the text is not an amount of memory.
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
    """Return the free memory in bytes, within the limit of this process's container."""
    free = int(psutil.virtual_memory().available)
    try:
        most, used, counts = (path.read_text().strip() for path in _CGROUP)
        cached = dict(line.split() for line in counts.splitlines()).get("inactive_file", "0")
        return min(free, int(most) - int(used) + int(cached))
    except (OSError, ValueError):  # no cgroup, or no limit
        return free


def needed_bytes(cases: Sequence[Case], engine: str) -> int:
    """Return the most memory, in bytes, that a worker takes for the rows of a scan, from headers.

    A file whose header cannot be read within ``HEADER_S`` counts as nothing. The worker that reads
    the file will report what is wrong, and it can be killed if it hangs.

    Args:
        cases: cases of one scan.
        engine: name of the engine that runs the network; empty for no network.
    """
    scan = _read_and_held(cases[0].image, cases[0].series_uid, BYTES_PER_VOXEL)
    masks = {case.mask for case in cases if case.mask}
    drawn = max((_read_and_held(m, None, LABEL_BYTES_PER_VOXEL) for m in masks), default=0)
    return WORKER_BYTES.get(engine, WORKER_BYTES["torch"]) + scan + drawn


def _read_and_held(path: Path, series_uid: str | None, bytes_per_voxel: int) -> int:
    answer: SimpleQueue[int] = SimpleQueue()

    def preview() -> None:
        try:
            size = preview_scan(path, series_uid=series_uid)
        except Exception:  # noqa: BLE001  any file may be broken; the worker reports it in its row
            answer.put(0)
        else:
            answer.put(size.read_bytes + bytes_per_voxel * size.voxels)

    threading.Thread(target=preview, daemon=True).start()
    try:
        return answer.get(timeout=HEADER_S)
    except Empty:
        return 0


class MemoryBudget:
    """Makes scans wait until the memory that they need is free within a total."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._free = total_bytes
        self._changed = threading.Condition()

    def fits(self, size: int) -> bool:
        """Return whether a scan of this size, in bytes, fits when no other is processed."""
        return size <= self.total_bytes

    def take(self, size: int) -> None:
        """Wait until so many bytes are free, and reserve them."""
        with self._changed:
            self._changed.wait_for(lambda: size <= self._free)
            self._free -= size

    def give_back(self, size: int) -> None:
        """Release so many reserved bytes."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


_HIGH_WATER = re.compile(r"VmHWM:\s+(\d+) kB")


def high_water_bytes(pid: int | str = "self") -> int:
    """Return a process's peak resident memory so far; 0 where the system does not report it."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = _HIGH_WATER.search(text)
    return int(found[1]) * 1024 if found else 0


class PeakMemory:
    """Measures this process's peak resident memory since it was created, on Linux only."""

    def __init__(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
            self._known = True
        except OSError:
            self._known = False

    def bytes(self) -> int:
        """Return the peak so far, in bytes; 0 where it is not known."""
        return high_water_bytes() if self._known else 0
