"""Owns reading headers that are lines of text, before voxels or beside them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from pancseg.errors import UnusableCase

_LONGEST_BYTES = 1 << 20
"""A header longer than this is no header."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


def read_lines(file: BinaryIO, last: bytes) -> list[str]:
    """Return the lines up to the one that begins with ``last``.

    Without ``last`` up to an empty line or the end of the file. The file is left behind that line.

    Raises:
        UnusableCase: ``unreadable``, when there is no such line within a mebibyte.
    """
    lines: list[str] = []
    left = _LONGEST_BYTES
    while left > 0 and (line := file.readline(left)):
        left -= len(line)
        text = line.rstrip(b"\r\n")
        if b"\0" in line:
            break
        if not last and not text:
            return lines
        lines.append(text.decode("latin-1"))
        if last and text.lstrip().startswith(last):
            return lines
    else:
        if left > 0 and not last:
            return lines
    raise UnusableCase("unreadable", "the file has no whole header (damaged or truncated?)")


def number(text: str, what: str) -> int:
    """Return a whole number of a header.

    Raises:
        UnusableCase: ``unreadable``, when it is none.
    """
    if not _WHOLE.fullmatch(text.strip()):
        raise UnusableCase("unreadable", f"the header's {what} is not a whole number")
    return int(text)


def number_list(text: str, what: str) -> list[int]:
    """Return the whole numbers of a line, at most 16.

    Raises:
        UnusableCase: ``unreadable``, when some are none.
    """
    return [number(word, what) for word in text.split()[:17]]


def part_beside(header: Path, name: str) -> Path:
    """Return the file that a header names for its voxels: one that lies beside or below it.

    Raises:
        UnusableCase: ``unreadable``, for lists and patterns of files, for names that lead
            elsewhere, and when there is no such file.
    """
    words = Path(name)
    if words.is_absolute() or ".." in words.parts or "\0" in name:
        raise UnusableCase("unreadable", "the header's data file lies outside of its folder")
    if "%" in name or name.upper().startswith("LIST") or not (header.parent / words).is_file():
        raise UnusableCase(
            "unreadable", "the header names no single data file that is there; save it as one file"
        )
    return header.parent / words
