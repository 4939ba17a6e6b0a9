"""Owns writing: files appear whole or not at all. Knows nothing about what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_files(paths: Iterable[Path]) -> Iterator[dict[Path, Path]]:
    """Give each file a temporary path to be written to; afterwards all get their own names.

    They get them in the order given, when everything is on the disk. When something goes wrong
    before that, none is replaced and nothing is left behind. Killed, the process can leave
    temporary files (``.<name>.<pid>.partial``), never a file under its own name that is not whole.

    Yields:
        Path → temporary path, in the same folder. Each must have been written and closed.

    Raises:
        OSError: disk full, no permission, no such folder.
    """
    partial = {path: path.with_name(f".{path.name}.{os.getpid()}.partial") for path in paths}
    try:
        yield partial
        for written in partial.values():
            _sync(written)
        for path, written in partial.items():
            os.replace(written, path)
    finally:
        for left in partial.values():
            left.unlink(missing_ok=True)


def write_whole(files: Mapping[Path, bytes]) -> None:
    """Write small files together, as :func:`whole_files` does, in the order given."""
    with whole_files(files) as partial:
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


def _sync(path: Path) -> None:
    """Have a file's content on the disk before anything bears its name.

    A kill cannot lose what was written, but a power cut could leave the new name on an empty file.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
