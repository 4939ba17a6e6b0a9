"""Write files that appear whole or not at all, and remove the leftovers of killed processes."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".partial-"
_LEFTOVER = re.compile(rf"{re.escape(_PREFIX)}(?:[0-9]+|new)-(.+)", re.DOTALL)
"""Names that :func:`partial_path` gives; a hidden file of another name is somebody else's."""
_OWNER_ONLY = 0o600
_NO_HARD_LINKS = (
    errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP,
    errno.EINVAL,
)  # fmt: skip


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


def is_leftover(name: str) -> bool:
    """Return whether a file's name is one that :func:`partial_path` gives."""
    return bool(_LEFTOVER.fullmatch(name))


def final_name(name: str) -> str:
    """Return the name that an unfinished file would have got; empty if it is not one.

    >>> final_name(".partial-12-report.md"), final_name("report.md")
    ('report.md', '')
    """
    found = _LEFTOVER.fullmatch(name)
    return found[1] if found else ""


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files that a killed process left in a folder.

    No other process may be writing to the folder, because its files would be removed too.
    """
    for entry in folder.iterdir():
        if is_leftover(entry.name) and not (entry.is_dir() and not entry.is_symlink()):
            entry.unlink()


def move_to_free_name(written: Path, path: Path) -> None:
    """Give a finished file its name, unless a file of that name has appeared: that one is kept.

    Where the file system has hard links, the two steps (is the name free, take it) are one.
    Elsewhere an empty file takes the name first.

    Args:
        written: the finished file; stays where it is if the name is taken.
        path: the name, in the same folder.

    Raises:
        FileExistsError: the name is taken.
        OSError: the name cannot be given.
    """
    _sync(written)
    try:
        os.link(written, path, follow_symlinks=False)
    except FileExistsError:
        if not os.path.samefile(written, path):  # NFS may report a link twice
            raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(written, path)
        return
    written.unlink()


def unshare(path: Path) -> None:
    """Replace a file that has several names (hard links) by a copy, so that only it is changed.

    A file is shared after ``cp -al``, or by some programs for backups. Without this, appending to
    it would change the other names' content too.

    Raises:
        OSError: the copy cannot be written.
    """
    if path.is_file() and path.stat().st_nlink > 1:
        with whole_files([path]) as partial:
            shutil.copyfile(path, partial[path])


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
        for temporary in partial.values():
            temporary.unlink(missing_ok=True)  # of a killed process, or a link to another file
            if private:
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
    probe = partial_path(folder / "probe")
    try:
        probe.unlink(missing_ok=True)
        probe.touch(exist_ok=False)
    finally:
        probe.unlink(missing_ok=True)


def _make_private(path: Path) -> None:
    """Create an empty file that only the owner can read."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))


def _sync(path: Path) -> None:
    """Force a file's content to the disk before the file gets its name.

    Without it, a power cut could leave an empty file under the new name.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
