"""Find the limits that a container or a job puts on this process: Linux's control groups.

A process is in a group of each hierarchy (version 2 has one, version 1 one for each resource), and
the limits of all groups above it count as well. ``/proc/self/cgroup`` names the groups,
``/proc/self/mountinfo`` says where their files are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
_ANYTHING = 1 << 60
"""Version 1 writes a number near 2⁶³ where there is no limit."""


def cpu_limit(root: Path = ROOT) -> float:
    """Return the number of CPUs that this process may use at a time; infinity without a limit.

    Args:
        root: folder with ``proc`` and ``sys``.
    """
    limits = [math.inf]
    for group in _groups(root, "cpu"):
        quota = _words(group / "cpu.max") or [
            *_words(group / "cpu.cfs_quota_us"),
            *_words(group / "cpu.cfs_period_us"),
        ]
        if len(quota) == 2 and (time := _number(quota[0])) and (period := _number(quota[1])):
            limits.append(time / period)
    for group in _groups(root, "cpuset"):
        for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
            if cpus := _cpus("".join(_words(group / name))):
                limits.append(cpus)
                break
    return min(limits)


def free_memory(root: Path = ROOT) -> float:
    """Return the bytes that this process may still take; infinity without a limit.

    Args:
        root: folder with ``proc`` and ``sys``.
    """
    left = [math.inf]
    for group in _groups(root, "memory"):
        files = ("memory.max", "memory.high", "memory.limit_in_bytes")
        limits = [n for name in files if (n := _number("".join(_words(group / name))))]
        if not limits or min(limits) > _ANYTHING:
            continue
        used = _number("".join(_words(group / "memory.current"))) or _number(
            "".join(_words(group / "memory.usage_in_bytes"))
        )
        left.append(max(0, min(limits) - used + _reclaimable(group)))
    return min(left)


def _reclaimable(group: Path) -> int:
    """Return the bytes of cached files that the system frees when memory is wanted."""
    words = _words(group / "memory.stat")
    counts = dict(zip(words[::2], words[1::2], strict=False))
    return _number(counts.get("total_inactive_file", counts.get("inactive_file", "0")))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's groups and of all groups above them."""
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        version_2 = number == "0" and not controllers
        if not version_2 and controller not in controllers.split(","):
            continue
        for mount, top in _mounts(root, "" if version_2 else controller):
            # in a container, the mount may begin below the group that the host names
            inside = PurePosixPath(name)
            if inside.is_relative_to(top):
                inside = inside.relative_to(top)
            folder = mount.joinpath(*(part for part in inside.parts if part not in ("/", "..")))
            while True:
                if folder.is_dir():
                    yield folder
                if folder == mount:
                    break
                folder = folder.parent


def _mounts(root: Path, controller: str) -> Iterator[tuple[Path, PurePosixPath]]:
    """Yield where a hierarchy is mounted, and the group that is at the top there.

    Args:
        root: folder with ``proc`` and ``sys``.
        controller: of version 1; empty for version 2.
    """
    found = False
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        fits = kind[0] == "cgroup" and controller in kind[2].split(",")
        if kind[0] == "cgroup2" if not controller else fits:
            found = True
            yield root / fields[4].lstrip("/"), PurePosixPath(fields[3])
    if not found:
        yield root / "sys/fs/cgroup" / controller, PurePosixPath("/")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _number(text: str) -> int:
    """Return a positive number; 0 for ``max``, -1 and anything else that is no limit."""
    return int(text) if text.isascii() and text.isdigit() else 0


def _cpus(text: str) -> int:
    """Return how many CPUs a list such as ``0-3,8`` has; 0 if it is none.

    >>> _cpus("0-3,8")
    5
    """
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            return 0
        count += int(last or first) - int(first) + 1
    return max(0, count)
