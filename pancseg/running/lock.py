"""Owns the lock on an output folder: one run at a time; it ends with the process that holds it."""

from __future__ import annotations

import errno
import inspect
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pancseg.errors import RunRefused

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
_NO_MARKERS: dict[str, Any] = (
    {"fallback_to_soft": False}
    if "fallback_to_soft" in inspect.signature(FileLock.__init__).parameters
    else {}
)
"""Newer versions of filelock would leave a marker where locks fail, which outlives its owner."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one run. The system lets go of it when the process ends, however it ends.

    Raises:
        Refusal: another run holds it.
        OSError: no lock can be made there.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lock"
    lock = FileLock(path, **_NO_MARKERS)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunRefused(
            "another run is writing into this output folder; wait for it, or choose another `out`"
        ) from None
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        raise OSError("its file system knows no locks; choose an `out` on another one") from error
    try:
        yield
    finally:
        with suppress(OSError):
            if made and [entry.name for entry in folder.iterdir()] == [path.name]:
                path.unlink()
        lock.release()
        with suppress(OSError):
            for one in made:  # nothing came of the run: no folder of it stays
                one.rmdir()
