"""Find the one DICOM object, a SEG or an RTSTRUCT, that the path of a mask stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.detect import MaskKind, mask_kind
from pancseg.scans.dicom.folder import MOST_FILES, files_in


class MaskObject(NamedTuple):
    """A DICOM object that is a mask.

    Attributes:
        file: its file.
        kind: what it is.
    """

    file: Path
    kind: MaskKind


def mask_object(path: Path) -> MaskObject | None:
    """Return the object that a path stands for: the file itself, or the only one in a folder.

    A folder is looked through at any depth; slices of scans and other files in it do not count.

    Args:
        path: a file or a folder.

    Returns:
        The object; None if the path is, or holds, none.

    Raises:
        UnusableCase: ``several_series``, for a folder with several such objects.
        OSError: the path cannot be reached.
    """
    if not path.is_dir():
        kind = mask_kind(path)
        return MaskObject(path, kind) if kind else None
    found = mask_objects_among(files_in([path]))
    if len(found) > 1:
        counts = Counter(each.kind for each in found)
        listed = " and ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        raise UnusableCase(
            "several_series", f"the folder holds {listed}, expected one; name the file of the mask"
        )
    return found[0] if found else None


def mask_objects_among(files: Iterable[Path | None]) -> list[MaskObject]:
    """Return the DICOM masks among files; those that cannot be opened are none.

    Hidden files do not count, and of many files the first ``MOST_FILES`` are looked at.

    Args:
        files: as :func:`pancseg.scans.dicom.folder.files_in` yields them.
    """
    found: list[MaskObject] = []
    for file in islice(files, MOST_FILES):
        if file is None or file.name.startswith("."):
            continue
        try:
            kind = mask_kind(file)
        except OSError:
            continue
        if kind:
            found.append(MaskObject(file, kind))
    return found
