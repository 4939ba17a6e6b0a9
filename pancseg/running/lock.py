"""Lock an output folder, so that only one run at a time writes into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import Timeout

from pancseg.errors import RunRefused
from pancseg.system.file_lock import NO_LOCKS, file_lock


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for the block. The system releases the lock when the process ends in any way.

    Args:
        folder: folder of the run's state; made if need be, and removed if the run writes nothing.

    Raises:
        RunRefused: another run has locked the folder.
        OSError: the folder cannot be locked.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lock"
    lock = file_lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunRefused(
            "another run is writing into this output folder; wait for it, or choose another `out`"
        ) from None
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        raise OSError(
            "its file system does not support locks; choose an `out` on another one"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            if made and [entry.name for entry in folder.iterdir()] == [path.name]:
                path.unlink()
        lock.release()
        with suppress(OSError):
            for one in made:  # only empty folders can be removed: the run wrote nothing
                one.rmdir()
