"""A temporary file with a path that leaves nothing behind, even if the process is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def scratch_file() -> Iterator[Path]:
    """Yield the path of an empty file that can be written and read until the end of the block.

    On Linux the file is in memory and its path is valid in this process only. Elsewhere it is in
    the system's temporary folder, and stays there if the process is killed.
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
    """Return the descriptor of a new file in memory, or None where the system has none."""
    if not hasattr(os, "memfd_create") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.memfd_create("pancseg")
    except OSError:  # a sandbox may forbid it
        return None
