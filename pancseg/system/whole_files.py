"""Write files that appear whole or not at all, and remove the leftovers of killed processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".partial-"
_OWNER_ONLY = 0o600


def partial_path(path: Path, writer: str | None = None) -> Path:
    """Return a file's path while it is being written: ``.partial-<writer>-<name>`` in its folder.

    The suffix is kept, because some libraries choose a file's format by it.

    >>> partial_path(Path("masks", "P1.nii.gz"), "new").name
    '.partial-new-P1.nii.gz'

    Args:
        path: path of the finished file.
        writer: name of the writer; None: the id of this process.
    """
    return path.with_name(f"{_PREFIX}{writer or os.getpid()}-{path.name}")


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files that a killed process left in a folder.

    No other process may be writing to the folder, because its files would be removed too.
    """
    for leftover in folder.glob(f"{_PREFIX}*"):
        leftover.unlink()


@contextmanager
def whole_files(paths: Iterable[Path], *, private: bool = False) -> Iterator[dict[Path, Path]]:
    """Yield a temporary path for each file, and rename all of them at the end of the block.

    The files are renamed in the order given, once all of them are on disk. If anything fails
    before that, no file is replaced and nothing is left behind. A killed process can leave
    temporary files (:func:`partial_path`), but never an unfinished file under its final name.

    Args:
        paths: final paths of the files.
        private: whether only the owner may read the files (mode 0600), from the first byte on.

    Yields:
        Final path → temporary path in the same folder. The caller writes and closes each of these.

    Raises:
        OSError: disk full, no permission, no such folder.
    """
    partial = {path: partial_path(path) for path in paths}
    try:
        if private:
            for temporary in partial.values():
                _make_private(temporary)
        yield partial
        for written in partial.values():
            _sync(written)
        for path, written in partial.items():
            os.replace(written, path)
    finally:
        for leftover in partial.values():
            leftover.unlink(missing_ok=True)


def write_whole(files: Mapping[Path, bytes], *, private: bool = False) -> None:
    """Write small files, path → content, in the order given, as :func:`whole_files` does."""
    with whole_files(files, private=private) as partial:
        for path, content in files.items():
            partial[path].write_bytes(content)


def check_writable(folder: Path) -> None:
    """Make a folder if necessary and test that files can be written to it, before the real work.

    Raises:
        OSError: no permission, disk full, or the path is that of a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with whole_files([folder / ".probe"]) as partial:
        partial[folder / ".probe"].write_bytes(b"")
    (folder / ".probe").unlink()


def _make_private(path: Path) -> None:
    """Create an empty file that only the owner can read."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))


def _sync(path: Path) -> None:
    """Force a file's content to the disk before the file gets its name.

    Without it, a power cut could leave an empty file under the new name.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
