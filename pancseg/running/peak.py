"""How much memory this process took at most, for one piece of work at a time."""

from __future__ import annotations

import re
from pathlib import Path

_HIGH_WATER = re.compile(r"VmHWM:\s+(\d+) kB")


def high_water_bytes(pid: int | str = "self") -> int:
    """Return a process's largest resident memory so far; 0 where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = _HIGH_WATER.search(text)
    return int(found[1]) * 1024 if found else 0


class Peak:
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
