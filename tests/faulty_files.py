"""A disk that fails once: every write, flush, fsync, rename and link of a run is counted."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FaultyFiles:
    """Replaces what Python writes files with; the operation numbered ``at`` fails.

    A write that fails has written half of its bytes.

    Args:
        at: number of the operation that fails, from 1; None counts only.
        on: which files count, by path; all others work.
        always: every later operation on these files fails too.

    Attributes:
        seen: the operations so far, as kind and file name.
    """

    def __init__(
        self,
        at: int | None = None,
        on: Callable[[Path], bool] = lambda path: True,
        always: bool = False,
    ) -> None:
        self._at, self._on, self._always = at, on, always
        self.seen: list[tuple[str, str]] = []

    def install(self, patched: pytest.MonkeyPatch) -> FaultyFiles:
        """Replace the functions until the patch is undone."""
        real = io.open

        def opened(file: Any, mode: str = "r", *args: Any, **how: Any) -> Any:
            found = real(file, mode, *args, **how)
            writes = isinstance(file, str | os.PathLike) and set(mode) & set("wax+")
            return _File(found, Path(file), self) if writes else found

        patched.setattr(io, "open", opened)
        patched.setattr(builtins, "open", opened)
        for module, name in ((os, "fsync"), (os, "replace"), (os, "link")):
            patched.setattr(module, name, self._failing(name, getattr(module, name)))
        write = sitk.WriteImage

        def write_image(image: sitk.Image, name: str, **how: Any) -> None:
            if self.fails("image", Path(name)):
                Path(name).write_bytes(b"half")
                raise RuntimeError("ITK could not write")
            write(image, name, **how)

        patched.setattr(sitk, "WriteImage", write_image)
        return self

    def fails(self, kind: str, path: Path) -> bool:
        """Count an operation, and return whether it is the one that fails."""
        if not self._on(path):
            return False
        self.seen.append((kind, path.name))
        count = len(self.seen)
        return self._at is not None and (count == self._at or (self._always and count > self._at))

    def _failing(self, kind: str, does: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **how: Any) -> Any:
            path = Path(args[-1]) if isinstance(args[-1], str | os.PathLike) else Path(kind)
            if self.fails(kind, path):
                raise FULL
            return does(*args, **how)

        return wrapped


class _File:
    """A file opened for writing whose writes and flushes count; everything else is the file's."""

    def __init__(self, file: Any, path: Path, faults: FaultyFiles) -> None:
        self._file, self._path, self._faults = file, path, faults

    def write(self, content: Any) -> Any:
        if self._faults.fails("write", self._path):
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            raise FULL
        return self._file.write(content)

    def flush(self) -> None:
        if self._faults.fails("flush", self._path):
            raise FULL
        self._file.flush()

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
