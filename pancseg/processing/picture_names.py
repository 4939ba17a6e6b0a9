"""Name the pictures of a row, and tell whether a picture still shows what the row says.

A picture carries the hashes of what it shows, so that one of an earlier mask is recognised.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pancseg.cohort.case import DEFAULT_ROI, is_name
from pancseg.system.regular_files import open_regular
from pancseg.tables.fields import Value

PICTURES_FOLDER = Path("report", "pictures")
"""Where an output folder has its rows' pictures."""

_DIGITS = 16
_MARK = b"pancseg "
_HEAD_BYTES = 512


class Mark(NamedTuple):
    """What the pictures of a row show.

    Attributes:
        text: as :func:`mark_of` returns it.
        measured: whether features were computed, so that their grid is shown too.
    """

    text: bytes
    measured: bool


def picture_stem(scan_name: str, roi: str) -> str:
    """Return the beginning of the names of a row's pictures; empty if it cannot be a file name.

    Dots of the ids are doubled, so that no two rows share a picture: a single dot ends the name.

    >>> picture_stem("P1", "pancreas"), picture_stem("P1", "tumour"), picture_stem("../P1", "x")
    ('P1', 'P1.tumour', '')
    >>> picture_stem("P1.tumour", "pancreas")
    'P1..tumour'
    """
    parts = (scan_name,) if roi == DEFAULT_ROI else (scan_name, roi)
    stem = ".".join(part.replace(".", "..") for part in parts)
    return stem if is_name(scan_name) and is_name(stem) else ""


def mark_of(values: Mapping[str, Value]) -> bytes:
    """Return the text in a picture that tells what it shows: the hashes of scan and region."""
    hashes = (str(values.get(name) or "-")[:_DIGITS] for name in ("image_sha256", "mask_sha256"))
    return _MARK + " ".join(hashes).encode()


def shows(picture: Path, mark: bytes) -> bool:
    """Return whether a picture exists and shows the scan and the region of a row; no pipe does."""
    try:
        with open_regular(picture) as file:
            return mark in file.read(_HEAD_BYTES)
    except OSError:
        return False
