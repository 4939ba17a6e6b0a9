"""Owns files for what wants a path and must leave nothing behind, killed or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def scratch_file() -> Iterator[Path]:
    """Give an empty file that can be written, and read, by its path until the end.

    On Linux it lies in memory, under a path of this process alone. Elsewhere it lies in the
    system's temporary folder, where a process that is killed leaves it.
    """
    descriptor = _in_memory()
    if descriptor is None:
        with TemporaryDirectory(prefix="pancseg-") as folder:
            path = Path(folder, "scratch")
            path.touch()
            yield path
        return
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _in_memory() -> int | None:
    """Return the descriptor of a new file without a name, or None where there are none."""
    if not hasattr(os, "memfd_create") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.memfd_create("pancseg")
    except OSError:  # a sandbox may forbid it
        return None
