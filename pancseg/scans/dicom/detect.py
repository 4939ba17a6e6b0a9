"""Recognise DICOM files and slices by name and first bytes, without the slow import of pydicom."""

from __future__ import annotations

import re
from pathlib import Path

PHASE_HINT = "pancseg_phase_hint"
"""Metadata key of the contrast phase that an image's series names; no other text is kept."""
THICKNESS_MM = "pancseg_slice_thickness_mm"
"""Metadata key of an image's slice thickness; overlapping slices are closer together than this."""
CT_IMAGE = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.2(\.[12])?\0")
"""SOP classes of CT images."""
_NO_IMAGE = re.compile(
    rb"\x02\0\x02\0UI.\0(1\.2\.840\.10008\.1\.3\.10"
    rb"|1\.2\.840\.10008\.5\.1\.4\.1\.1\.(66|88|104|11|481\.[35])[.\0])",
    re.DOTALL,
)
"""SOP classes of a DICOMDIR and of objects that are not slices: segmentations, reports, plans, …"""
_SUFFIXES = (".dcm", ".ima")
"""A file with such a suffix that is not a DICOM file is a damaged slice."""
_NUMBERED = re.compile(r"[^.]*\d[^.]*|(?:[A-Za-z]{2}\.)?[\d.]*\d")
"""Names of slices without a suffix: IM000001, 1.2.840.113, CT.1.2.840.113."""


def is_dicom(path: Path) -> bool:
    """Return whether a file begins like a DICOM file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def may_hold_image(path: Path) -> bool:
    """Return whether a file is DICOM, and not a known kind of object without an image."""
    if not is_dicom(path):
        return False
    with path.open("rb") as file:
        return _NO_IMAGE.search(file.read(1024)) is None


def is_of_series(path: Path) -> bool:
    """Return whether a file is a slice, complete or damaged.

    Hidden files are not, nor are reports, segmentations and other objects beside slices. Damaged
    slices are files with a DICOM suffix that are not DICOM, and, if named like a slice, links that
    lead nowhere and files that are empty or begin with zeros only.
    """
    if path.name.startswith("."):
        return False
    if not path.is_file():
        return path.is_symlink() and not path.exists() and _named_like_a_slice(path)
    with path.open("rb") as file:
        beginning = file.read(1024)
    if beginning[128:132] == b"DICM":
        return _NO_IMAGE.search(beginning) is None
    return path.suffix.lower() in _SUFFIXES or (not any(beginning) and _named_like_a_slice(path))


def _named_like_a_slice(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES or _NUMBERED.fullmatch(path.name) is not None


def is_ct_slice(path: Path) -> bool:
    """Return whether a file's header declares a CT image."""
    if not is_dicom(path):
        return False
    with path.open("rb") as file:
        return CT_IMAGE.search(file.read(1024)) is not None
