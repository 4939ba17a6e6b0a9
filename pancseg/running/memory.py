"""Owns how much memory there is, what a scan will take, and who may begin.

Knows headers only.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

import psutil

from pancseg import scans
from pancseg.case import Case
from pancseg.unusable import UnusableCase

GB = 10**9
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": GB, "t": 10**12}
_CGROUP = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")

WORKER_BYTES = {"network": 950 * 10**6, "features": 300 * 10**6}
"""What a worker takes beside a scan: with the network (OpenVINO 580 MB, torch 950), without."""
BYTES_PER_VOXEL = 6
"""What segmenting, judging and measuring take beside what reading does, as measured."""


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
        raise ValueError(f"--memory {text!r} is no amount of memory; write it as 4GB")
    return int(size)


def free_bytes() -> int:
    """Return the memory that is free now, as far as this process may use it."""
    free = int(psutil.virtual_memory().available)
    try:
        most, used = (path.read_text().strip() for path in _CGROUP)
        return min(free, int(most) - int(used))
    except (OSError, ValueError):  # no cgroup, or no limit
        return free


def needed_bytes(case: Case, network: bool) -> int:
    """Return what a worker will take at most for a scan, from its header.

    A header that cannot be read counts as nothing: reading the scan will say what is wrong.
    """
    try:
        preview = scans.preview(case.image, series_uid=case.series_uid)
    except UnusableCase:
        return WORKER_BYTES["network" if network else "features"]
    own = BYTES_PER_VOXEL * preview.voxels
    return WORKER_BYTES["network" if network else "features"] + preview.read_bytes + own


class Budget:
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
