"""Find the scan in a patient's folder, and the files beside it that are masks by their names."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pancseg.cohort.case import name_key, stem_of
from pancseg.cohort.mask_names import is_mask_in, masks_beside
from pancseg.scans.dicom.detect import is_ct_slice, is_of_series
from pancseg.scans.dicom.folder import SYSTEM_FOLDERS
from pancseg.scans.reading import suffix_of

log = logging.getLogger(__name__)

_NO_SLICES = (".csv", ".json", ".png", ".jpg", ".txt", ".pdf", ".xlsx", ".xml", ".html", ".md")
_DEEPEST = 32
"""The most nested folders, each the only content of the one above, that are opened for a scan."""

LIKE_A_SCAN = re.compile(
    r"(\.(nii|hdr|img|nrrd|mha|mhd|dcm|mgh|mnc|tar))\.(gz|bz2|xz|zst|lz4|z|zip|7z)$"
    r"|\.(hdr|mgh|mgz|mnc|zip|7z|rar|tar|tgz|tbz2?|txz)$",
    re.IGNORECASE,
)
"""Name endings of images and archives that are not read. Each is likely a patient, so it gets a row
that says so."""


def scan_in(entry: Path) -> tuple[Path, list[Path]]:
    """Return the path to read for a patient: the entry, or the only volume or folder inside it.

    The volume may share its folder with notes, tables, a header's voxel data, masks and folders
    without slices, but not with other images. The files beside it that are masks by their names are
    returned too.

    A folder that cannot be opened, or links back to itself, is returned unchanged. The reader then
    says what is wrong in the patient's row.
    """
    seen: set[str] = set()
    masks: list[Path] = []
    while entry.is_dir() and len(seen) < _DEEPEST:
        if (real_path := os.path.realpath(entry)) in seen:
            break
        seen.add(real_path)
        try:
            inside = [p for p in entry.iterdir() if not (p.name.startswith(".") or is_system(p))]
        except OSError:
            break
        folders = [p for p in inside if p.is_dir() and p.name.lower() != "masks"]
        volumes = [p for p in inside if p.is_file() and suffix_of(p)]
        others = [p for p in inside if p.is_file() and p not in volumes]
        own = _masks_among(volumes, [*others, *folders])
        masks += own
        volumes = [p for p in volumes if p not in own]
        if len(volumes) == 1 and not any(map(is_image, others)):
            return entry if any(map(holds_dicom, folders)) else volumes[0], masks
        if len(folders) != 1 or volumes or any(map(is_image, others)):
            break
        entry = folders[0]
    return entry, masks


def _masks_among(volumes: Sequence[Path], others: Sequence[Path]) -> list[Path]:
    """Return the volume files of a patient's folder that are masks by their names.

    Without anything that may be their scan, another volume or one of ``others``, there are none.
    """
    patient = {name_key(folder.name) for path in volumes[:1] for folder in list(path.parents)[:2]}
    masks = [p for several in masks_beside(volumes, volumes, patient).values() for p in several]
    more = [p for p in volumes if p not in masks and is_mask_in(name_key(stem_of(p)), patient)]
    if more and any(holds_dicom(p) if p.is_dir() else is_image(p) for p in others):
        return masks + more
    return masks


def is_image(file: Path) -> bool:
    """Return whether a file is an image other than a volume file, whether or not it is readable."""
    try:
        return is_of_series(file) or bool(LIKE_A_SCAN.search(file.name))
    except OSError:
        return True


def holds_dicom(folder: Path) -> bool:
    """Return whether a folder holds, at any depth, a slice of a CT."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not (f.startswith(".") or is_system(Path(parent, f)))]
        for name in names:
            if (
                name.startswith(".")
                or Path(name).suffix.lower() in _NO_SLICES
                or suffix_of(Path(name))
            ):
                continue
            try:
                if is_ct_slice(Path(parent, name)):
                    return True
            except OSError:
                log.debug("not readable", exc_info=True)
    return False


def is_system(path: Path) -> bool:
    """Return whether a folder is one that operating systems and file servers create."""
    return path.name.lower() in SYSTEM_FOLDERS and path.is_dir()
