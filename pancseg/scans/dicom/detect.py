"""Owns what DICOM files, and images of them, are known by. Needs no pydicom, a slow import."""

from __future__ import annotations

import re
from pathlib import Path

PHASE_HINT = "pancseg_phase_hint"
"""Key of an image's metadata with the phase that its series names: all that is kept of texts."""
THICKNESS_MM = "pancseg_slice_thickness_mm"
"""Key of an image's metadata with the thickness of a slice; overlapping ones lie closer."""
CT_IMAGE = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.2(\.[12])?\0")
"""SOP classes of CT images."""
_NO_IMAGE = re.compile(
    rb"\x02\0\x02\0UI.\0(1\.2\.840\.10008\.1\.3\.10"
    rb"|1\.2\.840\.10008\.5\.1\.4\.1\.1\.(66|88|104|11|481\.[35])[.\0])",
    re.DOTALL,
)
"""SOP classes of a DICOMDIR, and of objects that are no slices: segmentations, reports, plans, …"""
_SUFFIXES = (".dcm", ".ima")
"""What has such a name and is no DICOM file is a damaged slice."""
_NUMBERED = re.compile(r"[^.]*\d[^.]*|(?:[A-Za-z]{2}\.)?[\d.]*\d")
"""Names of slices without a suffix: IM000001, 1.2.840.113, CT.1.2.840.113."""


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def may_hold_image(path: Path) -> bool:
    """Whether a file is DICOM, and not one of the objects that lie beside images."""
    if not is_dicom(path):
        return False
    with path.open("rb") as file:
        return _NO_IMAGE.search(file.read(1024)) is None


def is_of_series(path: Path) -> bool:
    """Whether a file is a slice, whole or damaged, and no hidden file or object beside slices.

    Damaged is also what is called as slices are, and is a link that leads nowhere, or a file that
    is empty or begins with zeros only.
    """
    if path.name.startswith("."):
        return False
    if not path.is_file():
        return path.is_symlink() and not path.exists() and _called_as_slices(path)
    with path.open("rb") as file:
        beginning = file.read(1024)
    if beginning[128:132] == b"DICM":
        return _NO_IMAGE.search(beginning) is None
    return path.suffix.lower() in _SUFFIXES or (not any(beginning) and _called_as_slices(path))


def _called_as_slices(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES or _NUMBERED.fullmatch(path.name) is not None


def is_ct_slice(path: Path) -> bool:
    """Whether a file's header names a CT image as what is stored in it."""
    if not is_dicom(path):
        return False
    with path.open("rb") as file:
        return CT_IMAGE.search(file.read(1024)) is not None
