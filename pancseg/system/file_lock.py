"""Lock a file between processes; the system releases the lock when the process ends in any way."""

from __future__ import annotations

import errno
import inspect
from pathlib import Path
from typing import Any

from filelock import FileLock

NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
"""What a file system without locks answers."""
_NO_MARKERS: dict[str, Any] = (
    {"fallback_to_soft": False}
    if "fallback_to_soft" in inspect.signature(FileLock.__init__).parameters
    else {}
)
"""Where the file system has no locks, newer versions of filelock would leave a marker file instead,
which stays when its process is killed."""


def file_lock(path: Path) -> FileLock:
    """Return the lock of a file."""
    return FileLock(path, **_NO_MARKERS)
