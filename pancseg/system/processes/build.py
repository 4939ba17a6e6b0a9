"""Identify the pancseg that a process runs, so that two processes can be compared."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pancseg.system.version import __version__

_SOURCES = (".py", ".yaml", ".csv")


class Build(NamedTuple):
    """A version of pancseg, to the byte.

    Attributes:
        version: its number.
        sha256: hash of its source files, wherever they are; line ends do not count.
    """

    version: str
    sha256: str


@cache
def own_build() -> Build:
    """Return the build that this process runs, as its files were at the first call."""
    return build_at(Path(__file__).parents[2])


def build_at(package: Path) -> Build:
    """Return the build whose source files are in a folder, with this process's version."""
    total = hashlib.sha256()
    for path in sorted(p for p in package.rglob("*") if p.suffix in _SOURCES):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        name = path.relative_to(package).as_posix().encode()
        total.update(b"%d %s %d\n" % (len(name), name, len(content)))
        total.update(content)
    return Build(__version__, total.hexdigest())


def difference(other: Build | None, where: str) -> str:
    """Return how another process's build differs from this one's; empty if it does not.

    Args:
        other: the other process's build; None if it has not told it.
        where: the other process, at the beginning of a sentence.
    """
    mine = own_build()
    if other == mine:
        return ""
    if other is not None and other.version == mine.version:
        return f"{where} has other source files of pancseg {mine.version} than this process"
    version = other.version if other else "of another version"
    return f"{where} has pancseg {version}, this process {mine.version}"
