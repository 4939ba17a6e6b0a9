"""Writes files that appear whole or not at all, and removes what a killed writer left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".partial-"
_OWNER_ONLY = 0o600


def partial_path(path: Path, writer: str | None = None) -> Path:
    """Return where a file lies until it is whole: ``.partial-<writer>-<name>``, beside it.

    The suffix stays, since some libraries choose a file's format by it.

    Args:
        path: of the file when it is whole.
        writer: who writes it; None: this process, by its number.
    """
    return path.with_name(f"{_PREFIX}{writer or os.getpid()}-{path.name}")


def remove_leftovers(folder: Path) -> None:
    """Remove the files in a folder that a killed process has not finished writing.

    Nobody else may be writing there.
    """
    for left in folder.glob(f"{_PREFIX}*"):
        left.unlink()


@contextmanager
def whole_files(paths: Iterable[Path], *, private: bool = False) -> Iterator[dict[Path, Path]]:
    """Give each file a temporary path to be written to; afterwards all get their own names.

    They get them in the order given, when everything is on the disk. When something goes wrong
    before that, none is replaced and nothing is left behind. Killed, the process can leave
    temporary files (:func:`partial_path`), never a file under its own name that is not whole.

    Args:
        paths: of the files.
        private: whether only their owner may read them (mode 0600), from the first byte on.

    Yields:
        Path → temporary path, in the same folder. Each must have been written and closed.

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
        for left in partial.values():
            left.unlink(missing_ok=True)


def write_whole(files: Mapping[Path, bytes], *, private: bool = False) -> None:
    """Write small files together, as :func:`whole_files` does, in the order given."""
    with whole_files(files, private=private) as partial:
        for path, content in files.items():
            partial[path].write_bytes(content)


def check_writable(folder: Path) -> None:
    """Make a folder and try it, to say before the work, not after it, that nothing can be written.

    Raises:
        OSError: no permission, disk full, a file in the way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with whole_files([folder / ".probe"]) as partial:
        partial[folder / ".probe"].write_bytes(b"")
    (folder / ".probe").unlink()


def _make_private(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))


def _sync(path: Path) -> None:
    """Have a file's content on the disk before anything bears its name.

    A kill cannot lose what was written, but a power cut could leave the new name on an empty file.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
