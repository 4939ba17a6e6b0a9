"""Read headers that are lines of text, in the file of the voxels or beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from pancseg.errors import UnusableCase

_LONGEST_BYTES = 1 << 20
"""Anything longer than this is not a header."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


def read_lines(file: BinaryIO, last: bytes) -> list[str]:
    """Return the lines up to and including the one that begins with ``last``.

    Without ``last``, up to an empty line or the end of the file. Reading stops after that line.

    Raises:
        UnusableCase: ``unreadable``, when there is no such line within one mebibyte.
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
    raise UnusableCase(
        "unreadable",
        "the file has no complete header (damaged or truncated?); copy or export it again",
    )


def number(text: str, what: str) -> int:
    """Return a whole number from a header; ``what`` names it in the error message.

    Raises:
        UnusableCase: ``unreadable``, when the text is not a whole number.
    """
    if not _WHOLE.fullmatch(text.strip()):
        raise UnusableCase(
            "unreadable", f"the header's {what} is not a whole number; export the scan again"
        )
    return int(text)


def number_list(text: str, what: str) -> list[int]:
    """Return the whole numbers of a line, up to 17: more than any image has axes.

    Raises:
        UnusableCase: ``unreadable``, when one of them is not a whole number.

    >>> number_list("512 512 90", "sizes")
    [512, 512, 90]
    """
    return [number(word, what) for word in text.split()[:17]]


def part_beside(header: Path, name: str) -> Path:
    """Return the file that a header names for its voxels, in the header's folder or below.

    Raises:
        UnusableCase: ``unreadable``, for lists and patterns of files, for names that lead
            elsewhere, and when there is no such file.
    """
    relative = Path(name)
    if relative.is_absolute() or ".." in relative.parts or "\0" in name:
        raise UnusableCase(
            "unreadable", "the header's data file is outside the header's folder; move it there"
        )
    if "%" in name or name.upper().startswith("LIST") or not (header.parent / relative).is_file():
        raise UnusableCase(
            "unreadable", "the header does not name one existing data file; save it as one file"
        )
    return header.parent / relative
