"""Read headers that are lines of text: lines, numbers, units, and the file of the voxels."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pancseg.errors import UnusableCase

_LONGEST_BYTES = 1 << 20
"""Anything longer than this is not a header."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")

GZIP = b"\x1f\x8b"
_ARCHIVES = {
    GZIP: "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc": "7-Zip",
}

_UNITS_MM = {
    "": 1.0, "?": 1.0, "???": 1.0, "none": 1.0, "unknown": 1.0, "mm": 1.0, "cm": 10.0, "m": 1000.0,
    "um": 1e-3, "\N{MICRO SIGN}m": 1e-3, "\N{GREEK SMALL LETTER MU}m": 1e-3, "micron": 1e-3,
    "microns": 1e-3, "nm": 1e-6,
}  # fmt: skip
"""Length in mm of each unit that a header may name; no unit is millimetres."""
_PREFIXES_MM = {"milli": 1.0, "centi": 10.0, "": 1000.0, "micro": 1e-3, "nano": 1e-6}
for _prefix, _mm in _PREFIXES_MM.items():
    _UNITS_MM.update(
        dict.fromkeys((f"{_prefix}{m}" for m in ("meter", "metre", "meters", "metres")), _mm)
    )


def archive_problem(beginning: bytes) -> str:
    r"""Return what is wrong with a file that is an archive under another name; else nothing.

    >>> archive_problem(b"PK\x03\x04")
    'the file is packed with zip; unpack it'
    """
    for magic, kind in _ARCHIVES.items():
        if beginning.startswith(magic):
            return f"the file is packed with {kind}; unpack it"
    return ""


def read_lines(file: BinaryIO, last: bytes) -> list[str]:
    """Return a file's lines up to and including the one that begins with ``last``.

    Without ``last``, up to an empty line or the end of the file. Reading stops after that line.

    Raises:
        UnusableCase: ``unreadable``, when there is no such line within one mebibyte, or the whole
            file is an archive.
    """
    if problem := archive_problem(file.read(8)):
        raise UnusableCase("unreadable", problem)
    file.seek(0)
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


def unit_mm(text: str) -> float:
    """Return the length in mm of a unit that a header names.

    Raises:
        UnusableCase: ``geometry``, when it is no unit that we know.

    >>> unit_mm("cm"), unit_mm("")
    (10.0, 1.0)
    """
    known = _UNITS_MM.get(_as_utf_8(text).strip().lower())
    if known is None:
        raise UnusableCase(
            "geometry",
            "the header states lengths in a unit other than mm, cm, m or um; export the scan in mm",
        )
    return known


def floats(words: Sequence[str]) -> list[float]:
    """Return numbers from a header; NaN for a word that is no number.

    >>> floats(["0.5", "none"])
    [0.5, nan]
    """
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            found.append(float("nan"))
    return found


def part_beside(header: Path, name: str) -> Path:
    """Return the file that a header names for its voxels, in the header's folder or below.

    Args:
        header: the file of the header.
        name: what the header says, decoded from Latin-1. Programs write UTF-8 or Latin-1, and on
            Windows backslashes.

    Raises:
        UnusableCase: ``unreadable``, for lists and patterns of files, for names that lead
            elsewhere, and when there is no such file.
    """
    if name.upper().split()[:1] == ["LIST"] or "%" in name:
        raise UnusableCase(
            "unreadable", "the header names a list of data files; save the volume as one file"
        )
    spellings = (os.fsdecode(name.encode("latin-1")), name)
    for spelling in dict.fromkeys(each for s in spellings for each in (s, s.replace("\\", "/"))):
        relative = Path(spelling)
        if relative.is_absolute() or ".." in relative.parts or "\0" in name:
            raise UnusableCase(
                "unreadable",
                "the header's data file is outside the header's folder; move it there",
            )
        if (header.parent / relative).is_file():
            return header.parent / relative
    raise UnusableCase(
        "unreadable", "the header does not name one existing data file; save it as one file"
    )


def _as_utf_8(text: str) -> str:
    """Return a text that was decoded from Latin-1 as UTF-8, if it is that."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
