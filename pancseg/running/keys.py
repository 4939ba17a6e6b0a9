"""Owns the keys of results: the same bytes and settings have the same one, whatever their names.

RESULT_VERSION is part of a row's: raise it with every change that moves a value of the table.
MASK_VERSION is part of a mask's: raise it with every change that moves a voxel of a mask.
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
"""Headers that have their data in the same file, as a rule."""
_LONGEST_HEADER_BYTES = 1 << 16


def of_row(*parts: Any) -> str:
    """Return the key of what a row is made from."""
    return _of(RESULT_VERSION, *parts)


def of_mask(*parts: Any) -> str:
    """Return the key of what a mask is made from."""
    return _of("mask", MASK_VERSION, *parts)


def of_scan(image: str, series: str) -> str:
    """Return the key of a scan, which no version changes."""
    return _of("scan", image, series)


def _of(*parts: Any) -> str:
    """Return the SHA-256 of JSON-able parts."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def of_files(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of a folder's DICOM images whatever their names.

    A header's detached data belong to it; what else lies in a folder (notes, thumbnails, reports)
    does not. Empty when something cannot be read to its end, such as a file that is not there or a
    pipe: then there is nothing that could be the same again.
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
    """Return the SHA-256 of a file's bytes; empty when it cannot be read."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""
