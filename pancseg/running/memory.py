"""Estimate the memory that a scan needs from its headers, and start no scan that does not fit."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from pancseg.cohort.case import Case
from pancseg.errors import RunRefused
from pancseg.features.memory import typical_bytes
from pancseg.features.settings import FeatureSettings
from pancseg.scans.masks import preview_mask
from pancseg.scans.reading import Preview, preview_scan
from pancseg.system.processes.cgroup import free_memory
from pancseg.system.processes.patience import answer_within

GB = 10**9
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": GB, "t": 10**12}

LEAST_MEMORY_BYTES = 100 * 10**6
LARGEST_WITHOUT_UNIT = 4096
"""A smaller number of bytes is likely a number of GB."""
WORKER_BYTES = {"": 300 * 10**6, "openvino": 650 * 10**6, "torch": 950 * 10**6}
"""Memory of a worker without any scan, by its engine; ``""`` is a worker without a network."""
SECOND_LOOK_BYTES = {"openvino": 130 * 10**6, "torch": 250 * 10**6}
"""Further memory of a worker for a second look (its network, measured: 61 and 186 MB, windows of
192×256)."""
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
        ValueError: the text is not an amount of memory, or it is less than 100 MB.
    """
    found = re.fullmatch(r"([\d.]+)\s*([kmgt]?)i?b?", text.strip().lower())
    try:
        size = float(found[1]) * _UNITS[found[2]] if found else 0.0
    except ValueError:
        size = 0.0
    if size <= 0:
        raise ValueError(f"`memory_bytes` {text!r} is not an amount of memory; write it as 4GB")
    refuse_little(int(size), f"`memory_bytes` {text!r} is {size:,.0f} bytes")
    return int(size)


def refuse_little(size: int, given: str) -> None:
    """Refuse an amount of memory in which nothing can be done, because a unit is missing.

    Args:
        size: number of bytes.
        given: what was given, for the message.

    Raises:
        RunRefused: it is less than ``LEAST_MEMORY_BYTES``.
    """
    if size >= LEAST_MEMORY_BYTES:
        return
    remedy = f"did you mean {size}GB?" if 0 < size <= LARGEST_WITHOUT_UNIT else "give more"
    least = LEAST_MEMORY_BYTES // 10**6
    raise RunRefused(f"{given} (expected at least {least} MB); {remedy}")


def free_bytes() -> int:
    """Return the free memory in bytes, within the limits of this process's container or job."""
    return int(min(psutil.virtual_memory().available, free_memory()))


class NeededMemory(NamedTuple):
    """The memory, in bytes, that a worker takes for the rows of a scan.

    Attributes:
        scan: for the worker, the scan and its masks, at most.
        features: for the features of a pancreas; other regions may take more.
    """

    scan: int
    features: int


def needed_memory(
    cases: Sequence[Case], engine: str, settings: FeatureSettings | None, looks: int = 1
) -> NeededMemory:
    """Return the memory that a worker takes for the rows of a scan, by headers.

    Args:
        cases: cases of one scan.
        engine: name of the engine that runs the network; empty for no network.
        settings: of the features; None if none are computed.
        looks: number of looks, each with a network of its own.
    """
    scan = _previewed(cases[0].image, cases[0].series_uid)
    features = typical_bytes(settings, scan.voxels) if settings and scan else 0
    return NeededMemory(needed_bytes(cases, engine, scan, looks), features)


def needed_bytes(
    cases: Sequence[Case], engine: str, scan: Preview | None = None, looks: int = 1
) -> int:
    """Return the most memory, in bytes, that a worker takes for the rows of a scan, from headers.

    A file whose header cannot be read within ``HEADER_S`` counts as nothing. The worker that reads
    the file will report what is wrong, and it can be killed if it hangs. Features are not included.

    Args:
        cases: cases of one scan.
        engine: name of the engine that runs the network; empty for no network.
        scan: the scan's size, if it is known.
        looks: number of looks, each with a network of its own.
    """
    scan = scan or _previewed(cases[0].image, cases[0].series_uid)
    masks = {case.mask for case in cases if case.mask}
    drawn = max((_held(_previewed_mask(m, scan), LABEL_BYTES_PER_VOXEL) for m in masks), default=0)
    worker = WORKER_BYTES.get(engine, WORKER_BYTES["torch"])
    if looks > 1:
        worker += SECOND_LOOK_BYTES.get(engine, SECOND_LOOK_BYTES["torch"])
    return worker + _held(scan, BYTES_PER_VOXEL) + drawn


def _held(size: Preview | None, bytes_per_voxel: int) -> int:
    return size.read_bytes + bytes_per_voxel * size.voxels if size else 0


def _previewed(path: Path, series_uid: str | None) -> Preview | None:
    """Return the size of a volume; None if its header cannot be read in time."""
    try:
        return answer_within(HEADER_S, lambda: preview_scan(path, series_uid=series_uid))
    except Exception:  # noqa: BLE001  any file may be broken; the worker reports it in its row
        return None


def _previewed_mask(path: Path, scan: Preview | None) -> Preview | None:
    try:
        return answer_within(HEADER_S, lambda: preview_mask(path, scan))
    except Exception:  # noqa: BLE001  as for scans
        return None


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
