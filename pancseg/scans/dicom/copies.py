"""Leave out exact copies of slices, which downloads and merged folders contain."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pancseg.scans.dicom.header import DicomHeader


def without_copies(headers: Sequence[DicomHeader]) -> list[DicomHeader]:
    """Return the headers of one series without those of exact copies; the first one stays.

    A copy has the UID, geometry, scale and stored pixels of another file; other elements of its
    header may differ.

    Raises:
        OSError: a file cannot be reached.
    """
    groups: dict[DicomHeader, list[DicomHeader]] = {}
    for header in headers:
        groups.setdefault(_likeness(header), []).append(header)
    copies = set()
    for alike in groups.values():
        seen = set()
        for header in alike if len(alike) > 1 else []:
            digest = _digest(header)
            if digest in seen:
                copies.add(header.file)
            seen.add(digest)
    return [header for header in headers if header.file not in copies]


def _likeness(header: DicomHeader) -> DicomHeader:
    """Return the part of a header that copies have in common."""
    return header._replace(
        file=Path(),
        parts=(),
        modality="",
        phase="",
        thickness_mm=0.0,
        acquisition=None,
        temporal=None,
    )


def _digest(header: DicomHeader) -> str:
    digest = hashlib.sha256()
    with header.file.open("rb") as file:
        for offset, length in (part for parts in header.parts for part in parts):
            file.seek(offset)
            digest.update(file.read(length))
    return digest.hexdigest()
