"""Owns what a case is: one region of one scan of one patient, one row of the table."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from pancseg.cohort.roi import Roi
from pancseg.scans.reading import suffix_of

DEFAULT_ROI = "pancreas"
LONGEST_NAME_BYTES = 200
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""What Windows keeps for its devices, with or without a suffix."""
_NAME = re.compile(r"[^.\x00-\x1f/\\:*?\"<>|][^\x00-\x1f/\\:*?\"<>|]*")


NO_NAME = (
    'cannot be a file name (no / \\ : * ? " < > | or unseen characters, no dot at an end, '
    "no name that Windows keeps for itself)"
)


@dataclass(frozen=True)
class Case:
    """One region of one scan of one patient: one row of the table.

    Attributes:
        patient_id: as in the manifest, or the file's or folder's name.
        image: volume file or DICOM folder.
        mask: the user's own mask, if there is one.
        mask_label: which labels of its mask, or what around them
            (``pancseg.cohort.roi.parse_roi``);
            None takes the settings' label, or what the mask holds.
        scan_id: tells scans of one patient apart.
        roi: name of the region.
        series_uid: which series of a DICOM folder (a unique ending is enough).

    Example:
        >>> from pathlib import Path
        >>> Case("P1", Path("ct/P1.nii.gz"), scan_id="baseline").name
        'P1_baseline'
    """

    patient_id: str
    image: Path
    mask: Path | None = None
    mask_label: Roi | None = None
    scan_id: str = ""
    roi: str = DEFAULT_ROI
    series_uid: str | None = None

    @property
    def name(self) -> str:
        """File-name stem of this case's mask: patient, scan and (unless default) region."""
        region = "" if self.roi == DEFAULT_ROI else self.roi
        return "_".join(part for part in (self.scan_name, region) if part)

    @property
    def scan_name(self) -> str:
        """File-name stem of a mask for all regions of the scan: patient and scan."""
        return "_".join(part for part in (self.patient_id, self.scan_id) if part)

    @property
    def key(self) -> str:
        """The name as file systems compare it: composed Unicode, upper and lower case alike."""
        return name_key(self.name)


def is_name(text: str) -> bool:
    r"""Return whether an id can be (part of) a file's name on every system, and be seen.

    >>> [is_name(text) for text in ("P1", "Käse 2", "../P1", "a/b", "P1.", "NUL", "P\u202e1")]
    [True, True, False, False, False, False, False]
    """
    whole = _NAME.fullmatch(text) and text.isprintable() and text[-1] not in ". "
    return bool(whole) and not _RESERVED.fullmatch(text)


def name_problem(name: str, called: str = "") -> str:
    """Say why a name, as a file or folder has it, cannot be an id; or nothing.

    Args:
        name: as it is.
        called: what to call it instead, where names are not to be shown.
    """
    if not is_name(name):
        shown = called or f"the name {name[:40]!r}"
        return f"{shown} {NO_NAME}; rename it, or write a manifest"
    if len(name.encode()) > LONGEST_NAME_BYTES:
        shown = called or f"the name {name[:40] + '…'!r}"
        return f"{shown} is longer than {LONGEST_NAME_BYTES} bytes"
    return ""


def name_key(name: str) -> str:
    """Return a name as file systems compare it."""
    return unicodedata.normalize("NFC", name).casefold()


def stem_of(path: Path) -> str:
    """Return a volume file's name without its suffix; other names as they are."""
    return path.name[: len(path.name) - len(suffix_of(path))]
