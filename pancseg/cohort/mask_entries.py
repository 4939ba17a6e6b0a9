"""Tell which entries of a folder are masks, DICOM masks among them, and how they are named."""

from __future__ import annotations

from pathlib import Path

from pancseg.cohort.case import stem_of
from pancseg.scans.dicom.detect import DICOM_SUFFIXES, mask_kind
from pancseg.scans.dicom.folder import files_in
from pancseg.scans.dicom.mask_object import mask_objects_among
from pancseg.scans.reading import suffix_of


def is_mask_entry(path: Path) -> bool:
    """Return whether an entry of a folder of masks is one: a volume, a DICOM mask, its folder."""
    try:
        if path.is_dir():
            return bool(mask_objects_among(files_in([path])))
        return bool(suffix_of(path)) or mask_kind(path) is not None
    except OSError:
        return False


def mask_stem(path: Path) -> str:
    """Return the name of a mask's file without the suffix of its format.

    >>> [mask_stem(Path(name)) for name in ("P1_seg.dcm", "P1.seg.nrrd", "1.2.840.113")]
    ['P1_seg', 'P1.seg', '1.2.840.113']
    """
    if path.suffix.lower() in DICOM_SUFFIXES and not path.is_dir():
        return path.stem
    return stem_of(path)
