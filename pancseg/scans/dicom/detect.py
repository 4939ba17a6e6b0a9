"""Recognise DICOM files and slices by name and first bytes, without the slow import of pydicom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

MaskKind = Literal["SEG", "RTSTRUCT"]

PHASE_HINT = "pancseg_phase_hint"
"""Metadata key of the contrast phase that an image's series names; no other text is kept."""
THICKNESS_MM = "pancseg_slice_thickness_mm"
"""Metadata key of an image's slice thickness; overlapping slices are closer together than this."""
COPIES = "pancseg_copies"
"""Metadata key of the number of slices that were left out as exact copies of others."""
CHOICE = "pancseg_series_choice"
"""Metadata key of the words that say how an image's series was chosen from several."""
IDENTITY = "pancseg_dicom_identity"
"""Metadata key of hashes of an image's UIDs, which tell whether a DICOM mask belongs to it."""
CT_IMAGE = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.2(\.[12])?(?![0-9.])")
"""SOP classes of CT images."""
_NO_IMAGE = re.compile(
    rb"(?:\x02\0\x02\0|\x08\0\x16\0)(?:UI)?..(?:\0\0)?(1\.2\.840\.10008\.1\.3\.10"
    rb"|1\.2\.840\.10008\.5\.1\.4\.1\.1\.(66|88|104|11|481\.[35])(?![0-9]))",
    re.DOTALL,
)
"""SOP classes of a DICOMDIR and of objects that are not slices: segmentations, reports, plans, …"""
_MASK_OBJECT = re.compile(
    rb"(?:\x02\0\x02\0|\x08\0\x16\0)(?:UI)?..(?:\0\0)?1\.2\.840\.10008\.5\.1\.4\.1\.1\."
    rb"(66\.[47]|481\.3)(?![0-9.])",
    re.DOTALL,
)
"""SOP classes of objects that are masks: Segmentation, Label Map Segmentation, RT Structure Set."""
_BARE = re.compile(
    rb"[\x02\x08]\0[\0-\x18]\0(?:(?:UL|UI|CS|DA|TM|OB|SH|LO)|..\0\0)|\0\x08\0[\0-\x18][A-Z]{2}",
    re.DOTALL,
)
"""First element of a data set without preamble: of group 2 or 8, in any of the three encodings."""
DICOM_SUFFIXES = (".dcm", ".ima")
"""A file with such a suffix that is not a DICOM file is a damaged slice."""
_NUMBERED = re.compile(r"[^.]*\d[^.]*|(?:[A-Za-z]{2}\.)?[\d.]*\d")
"""Names of slices without a suffix: IM000001, 1.2.840.113, CT.1.2.840.113."""


def data_start(beginning: bytes) -> int | None:
    """Return where a DICOM file's first element begins; None if the file is not DICOM.

    Old archives and research tools write data sets without the preamble and prefix of PS3.10.

    Args:
        beginning: the first 1024 bytes of the file, or all.
    """
    if beginning[128:132] == b"DICM":
        return 132
    if beginning[:4] == b"DICM":
        return 4
    return 0 if _BARE.match(beginning) and b"1.2.840.10008." in beginning else None


def is_dicom(path: Path) -> bool:
    """Return whether a file begins like a DICOM file."""
    return path.is_file() and data_start(_beginning(path)) is not None


def may_hold_image(path: Path) -> bool:
    """Return whether a file is DICOM, and not a known kind of object without an image."""
    return path.is_file() and holds_image(_beginning(path))


def holds_image(beginning: bytes) -> bool:
    """Return whether the beginning of a file is that of a DICOM image."""
    return data_start(beginning) is not None and _NO_IMAGE.search(beginning) is None


def mask_kind(path: Path) -> MaskKind | None:
    """Return which kind of DICOM mask a file is by its header; None if it is none."""
    if not path.is_file():
        return None
    beginning = _beginning(path)
    found = _MASK_OBJECT.search(beginning) if data_start(beginning) is not None else None
    if not found:
        return None
    return "RTSTRUCT" if found[1].startswith(b"481") else "SEG"


def is_of_series(path: Path) -> bool:
    """Return whether a file is a slice, complete or damaged.

    Hidden files are not, nor are reports, segmentations and other objects beside slices. Damaged
    slices are files with a DICOM suffix that are not DICOM, and, if named like a slice, links that
    lead nowhere and files that are empty or begin with zeros only.
    """
    if path.name.startswith("."):
        return False
    if not path.is_file():
        return path.is_symlink() and not path.exists() and named_like_a_slice(path)
    beginning = _beginning(path)
    if data_start(beginning) is not None:
        return _NO_IMAGE.search(beginning) is None
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    return not any(beginning) and named_like_a_slice(path)


def named_like_a_slice(path: Path) -> bool:
    """Return whether a file's name is one that slices have."""
    return path.suffix.lower() in DICOM_SUFFIXES or _NUMBERED.fullmatch(path.name) is not None


def is_ct_slice(path: Path) -> bool:
    """Return whether a file's header declares a CT image."""
    if not path.is_file():
        return False
    beginning = _beginning(path)
    return data_start(beginning) is not None and CT_IMAGE.search(beginning) is not None


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1024)
