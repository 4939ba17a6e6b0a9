"""A case: one region of one scan of one patient, and one row of the table."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from pancseg.cohort.formulas import NO_FORMULA, is_formula
from pancseg.cohort.roi import Roi, as_roi
from pancseg.scans.reading import suffix_of

DEFAULT_ROI = "pancreas"
LONGEST_NAME_BYTES = 200
EXTRA_PREFIX = "x_"
"""Begins the names of columns that a manifest has beside the known ones, in every table."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Names that Windows reserves for devices, with or without a suffix."""
_NAME = re.compile(r"[^.\x00-\x1f/\\:*?\"<>|][^\x00-\x1f/\\:*?\"<>|]*")


NO_NAME = (
    'cannot be a file name (it must not contain / \\ : * ? " < > | or invisible characters, '
    "start or end with a dot, end with a blank, or be a name that Windows reserves)"
)


@dataclass(frozen=True)
class Case:
    """One region of one scan of one patient: one row of the table.

    Attributes:
        patient_id: the id in the manifest, or the name of the file or folder.
        image: volume file or DICOM folder.
        mask: mask file given by the user, if there is one.
        mask_label: labels of the mask that form the region, or a ring around them
            (``pancseg.cohort.roi.parse_roi``). None takes the label that the settings name, or
            else the only one in the mask, or 1 and 2 together.
        scan_id: distinguishes several scans of one patient.
        roi: name of the region.
        series_uid: UID of the series in a DICOM folder (a unique ending is enough).
        accept: why the mask is to be measured although the verdict fails it; empty if it is not.
        extra: name (without ``x_``) and text of each further column of the manifest. They go into
            the table as they are, and into no computation.
        reader: who drew the mask, where several people drew one; empty if that is not told. A
            manifest's reader is also the end of ``scan_id``.

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
    accept: str = ""
    extra: tuple[tuple[str, str], ...] = ()
    reader: str = ""

    def __post_init__(self) -> None:
        """Take paths as text and labels as numbers or expressions too."""
        if not isinstance(self.patient_id, str):
            raise TypeError(f"patient_id {self.patient_id!r} is not text; give str(…)")
        object.__setattr__(self, "image", Path(self.image))
        if self.mask is not None:
            object.__setattr__(self, "mask", Path(self.mask))
        object.__setattr__(self, "mask_label", as_roi(self.mask_label))

    @property
    def name(self) -> str:
        """File-name stem of this case's mask: patient, scan and (unless the default) region."""
        region = "" if self.roi == DEFAULT_ROI else self.roi
        return "_".join(part for part in (self.scan_name, region) if part)

    @property
    def scan_name(self) -> str:
        """File-name stem of a mask that holds all regions of the scan: patient and scan."""
        return "_".join(part for part in (self.patient_id, self.scan_id) if part)

    @property
    def carried(self) -> tuple[tuple[str, str], ...]:
        """Name (without ``x_``) and text of each column that goes into the table as it is."""
        return (*self.extra, ("reader", self.reader)) if self.reader else self.extra

    @property
    def key(self) -> str:
        """The name as file systems compare it: composed Unicode, without regard to case."""
        return name_key(self.name)


def is_name(text: str) -> bool:
    r"""Return whether an id is printable and can be (part of) a file name on every system.

    >>> [is_name(text) for text in ("P1", "Käse 2", "../P1", "a/b", "P1.", "NUL", "P\u202e1")]
    [True, True, False, False, False, False, False]
    """
    whole = _NAME.fullmatch(text) and text.isprintable() and text[-1] not in ". "
    return bool(whole) and not _RESERVED.fullmatch(text)


def name_problem(name: str, shown_as: str = "") -> str:
    """Return why the name of a file or folder cannot be an id; empty if it can.

    Args:
        name: the name.
        shown_as: text that stands for the name where names must not be shown.
    """
    if not is_name(name):
        shown = shown_as or f"the name {_cut(name)!r}"
        return f"{shown} {NO_NAME}; rename it, or write a manifest"
    if is_formula(name):
        shown = shown_as or f"the name {_cut(name)!r}"
        return f"{shown} {NO_FORMULA}; rename it, or write a manifest"
    if (length := len(name.encode())) > LONGEST_NAME_BYTES:
        shown = shown_as or f"the name {_cut(name)!r}"
        return f"{shown} has {length} bytes (at most {LONGEST_NAME_BYTES}); shorten it"
    return ""


def _cut(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}…"


def name_key(name: str) -> str:
    """Return a name as file systems compare it."""
    return unicodedata.normalize("NFC", name).casefold()


def stem_of(path: Path) -> str:
    """Return a volume file's name without its suffix, and any other name unchanged."""
    return path.name[: len(path.name) - len(suffix_of(path))]
