"""Compute the keys of rows and masks: hashes of the bytes and settings that they are made from.

File names do not count. ``RESULT_VERSION`` is part of every row's key: raise it with every change
that moves a value of the table. ``MASK_VERSION`` is part of every mask's key: raise it with every
change that moves a voxel of a mask.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pancseg.scans.dicom.detect import is_of_series

RESULT_VERSION = 6
MASK_VERSION = 1

_DETACHED = re.compile(rb"^(?:ElementDataFile *= *|data ?file: *)(\S[^\r\n]*)", re.M | re.I)
_HEADERS = (".mhd", ".nhdr", ".mha", ".nrrd")
_WITH_DATA = (".mha", ".nrrd")
"""Headers that usually have their voxel data in the same file."""
_LONGEST_HEADER_BYTES = 1 << 16


def of_row(*parts: Any) -> str:
    """Return the key of a row; the parts are everything it is made from, as JSON-able values."""
    return _of(RESULT_VERSION, *parts)


def of_mask(*parts: Any) -> str:
    """Return the key of a mask; the parts are everything it is made from, as JSON-able values."""
    return _of("mask", MASK_VERSION, *parts)


def of_scan(image: str, series: str) -> str:
    """Return the key of a scan, which does not depend on any version."""
    return _of("scan", image, series)


def _of(*parts: Any) -> str:
    """Return the SHA-256 of JSON-able parts."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def of_files(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of a folder's DICOM images whatever their names.

    A header's detached voxel data are part of the hash. Other files in a folder (notes, thumbnails,
    reports) are not.

    Returns:
        64 hexadecimal digits. Empty if a part cannot be read to its end, such as a missing file or
        a pipe, because then nothing can be recognised as unchanged.
    """
    try:
        if path.is_dir():
            digests = sorted(map(of_file, filter(is_of_series, path.iterdir())))
            return _of("folder", digests) if all(digests) else ""
        if path.suffix.lower() not in _HEADERS:
            return of_file(path)
        with path.open("rb") as file:
            named = _DETACHED.findall(file.read(_LONGEST_HEADER_BYTES))
        beside = [path.parent / name.decode("utf-8", "replace").strip() for name in named]
        digests = [of_file(p) for p in beside if p.is_file()]
        if not digests and path.suffix.lower() in _WITH_DATA:
            return of_file(path)
        return _of("header", of_file(path), digests)
    except (OSError, ValueError):  # ValueError: a name with a NUL character
        return ""


def of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; empty if the file cannot be read."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""
