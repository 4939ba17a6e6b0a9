"""Owns the lock on an output folder: one run at a time; it ends with the process that holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pancseg.running.refusal import Refusal


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one run. The system lets go of it when the process ends, however it ends.

    Raises:
        Refusal: another run holds it.
        OSError: no lock can be made there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise Refusal(
            "another run is writing into this output folder; wait for it, or choose another --out"
        ) from None
    except NotImplementedError as error:
        raise OSError("its file system knows no locks; choose an --out on another one") from error
    try:
        yield
    finally:
        lock.release()
