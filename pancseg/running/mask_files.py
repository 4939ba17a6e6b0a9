"""Find the masks of a scan among the files in the folder of masks."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from pancseg.cohort.case import name_key, stem_of
from pancseg.scans.reading import suffix_of

CORRECTED_ENDINGS = ("", ".seg", "_corrected")
"""What may follow a scan's name in the name of a correction, before the suffix of its format."""


def named_like(scan_name: str, scans: Collection[str]) -> frozenset[str]:
    """Return keys of scans that are named as corrections of a scan's mask would be.

    Args:
        scan_name: patient and scan, as in :attr:`pancseg.Case.scan_name`.
        scans: keys of the names of all scans of the cohort.

    >>> named_like("P1", {"p1", "p1_corrected", "p2"})
    frozenset({'p1_corrected'})
    """
    own = name_key(scan_name)
    ends = (f"{own}{ending}" for ending in CORRECTED_ENDINGS if ending)
    return frozenset(name for name in ends if name in scans)


def corrections_of(mask: Path, other_scans: Collection[str]) -> list[Path]:
    """Return the masks that somebody saved beside the network's, in the order of their names.

    These are ``<id>.nrrd``, ``<id>.seg.nrrd``, ``<id>_corrected.nii.gz`` and so on, in any format
    and with any capitals.

    Args:
        mask: path of the network's mask, which need not exist.
        other_scans: keys of names that are other scans' own, such as a scan ``P1_corrected``
            (:func:`named_like`).
    """
    stem = name_key(stem_of(mask))
    wanted = {f"{stem}{ending}" for ending in CORRECTED_ENDINGS} - {*other_scans}
    try:
        with os.scandir(mask.parent) as entries:
            names = sorted(entry.name for entry in entries)
    except FileNotFoundError:
        return []
    found = []
    for path in (mask.with_name(name) for name in names if name != mask.name):
        if suffix_of(path) and name_key(stem_of(path)) in wanted:
            one_file = mask.exists() and path.samefile(mask)  # where capitals do not count
            if not one_file and path.is_file() and path.stat().st_size > 0:
                found.append(path)
    return found


def of_no_scan(folder: Path, scans: Collection[str]) -> list[str]:
    """Return the names of mask files that are neither a scan's mask nor a correction of it.

    Args:
        folder: of the network's masks, which need not exist.
        scans: names of the scans.
    """
    fitting = {f"{name_key(name)}{ending}" for name in scans for ending in CORRECTED_ENDINGS}
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []
    paths = (Path(name) for name in names if suffix_of(Path(name)) and not name.startswith("."))
    return [path.name for path in paths if name_key(stem_of(path)) not in fitting]


def holds_something(mask: Path) -> bool:
    """Return whether there is a mask that somebody could have drawn; an empty file is not one."""
    return mask.exists() and (not mask.is_file() or mask.stat().st_size > 0)
