"""Compute the keys of rows and masks: hashes of the bytes and settings that they are made from.

File names do not count. ``RESULT_VERSION`` is part of every row's key: raise it with every change
that moves a value of the table. ``MASK_VERSION`` is part of every mask's key: raise it with every
change that moves a voxel of a mask.
"""

from __future__ import annotations

import hashlib
import json
from io import BufferedReader
from pathlib import Path
from typing import Any

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.folder import passed_over, slices_in
from pancseg.scans.masks import dicom_mask, layout_of_mask, named_segments
from pancseg.scans.reading import layout_of, suffix_of
from pancseg.scans.voxel_stream import Layout
from pancseg.system.regular_files import open_regular, read_regular

RESULT_VERSION = 9
MASK_VERSION = 6

WITHOUT_RANGES = "sha256_without_ranges"
"""What the provenance calls the hash of weights without ranges of activations.

Masks in fp32 and bf16 are made of nothing else: they stay when ranges are added to their weights.
"""

_LONGEST_HEADER_BYTES = 1 << 20
"""Anything longer than this is not a header with its voxels in another file."""
_LARGEST_BYTES = (1 << 32) + (1 << 26)
"""No DICOM file is larger: its pixels are one element, with a length of 32 bits, after a header."""
_BLOCK_BYTES = 1 << 20


def of_row(*parts: Any) -> str:
    """Return the key of a row; the parts are everything it is made from, as JSON-able values."""
    return _of(RESULT_VERSION, *parts)


def of_mask(*parts: Any) -> str:
    """Return the key of a mask; the parts are everything it is made from, as JSON-able values."""
    return _of("mask", MASK_VERSION, *parts)


def of_manner(*parts: Any) -> str:
    """Return the key of how rows are made, without the files that they are made from."""
    return _of("manner", RESULT_VERSION, MASK_VERSION, *parts)


def of_scan(image: str, series: str) -> str:
    """Return the key of a scan, which does not depend on any version."""
    return _of("scan", image, series)


def _of(*parts: Any) -> str:
    """Return the SHA-256 of JSON-able parts."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def of_files(path: Path, series_uid: str | None = None) -> str:
    """Return the SHA-256 of a scan's bytes, or of a folder's DICOM images whatever their names.

    A volume file's header is read first, as :func:`pancseg.read_scan` does: it names the file of
    the voxels and calls for a number of bytes. Without a header that makes sense for its file,
    nothing is hashed. The UIDs of images that lie in a folder's subfolders, hidden or packed, are
    part of the hash. Other files in a folder (notes, thumbnails, reports) do not count. Of a folder
    with several series, the folder of the chosen one counts, and the choice.

    Args:
        path: volume file, DICOM file or folder.
        series_uid: the series of a folder, if one is named.

    Returns:
        64 hexadecimal digits. Empty if there is no such header, or a part cannot be read to its
        end, such as a missing file or a pipe, because then nothing can be recognised as unchanged.
    """
    try:
        if path.is_dir():
            return _of_series(path, series_uid)
        return _of_volume(path, layout_of(path)) if suffix_of(path) else _of_dicom(path)
    except (OSError, ValueError, UnusableCase):  # ValueError: a name with a NUL character
        return ""


def _of_series(folder: Path, series_uid: str | None) -> str:
    """Return the key of the series that a folder stands for, and of how it was chosen."""
    from pancseg.scans.dicom.located import located  # imports pydicom

    try:
        place = located(folder, series_uid)
    except UnusableCase:
        return _of_folder(folder)
    key = _of_folder(place.place)
    if place.place == folder and not place.choice:
        return key
    return _of("chosen", key, place.series_uid, place.choice) if key else ""


def of_given_mask(path: Path, new: Path | None = None) -> str:
    """Return the SHA-256 of a mask's bytes, and of the names that its segments have, if any.

    Names may stand in a file beside it: the row is another one when they change.

    Args:
        path: the mask.
        new: volume file without names that is about to replace it; None: as it is.

    Returns:
        64 hexadecimal digits; empty as for :func:`of_files`.
    """
    try:
        if found := dicom_mask(path):
            return _of_dicom(found.file)
        if path.is_dir() or not suffix_of(path):
            return of_files(path)
        voxels, named = _of_volume(new or path, layout_of_mask(new or path)), named_segments(path)
    except (OSError, ValueError, UnusableCase):
        return ""
    return _of("named", voxels, named) if voxels and named else voxels


def _of_folder(folder: Path) -> str:
    slices = slices_in(folder)
    digests = sorted(map(_of_dicom, slices))
    elsewhere = sorted(passed_over(folder, slices))  # they decide whether the series is complete
    return _of("folder", digests, *([elsewhere] if elsewhere else [])) if all(digests) else ""


def of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; empty if the file cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""


def _of_dicom(path: Path) -> str:
    return of_file(path) if path.stat().st_size <= _LARGEST_BYTES else ""


def _of_volume(path: Path, layout: Layout) -> str:
    """Return the key of a volume file and, if they lie elsewhere, of its voxels.

    Raises:
        OSError: a file cannot be reached.
    """
    if layout.file == path:
        return of_file(path)
    header = hashlib.sha256(read_regular(path, _LONGEST_HEADER_BYTES)).hexdigest()
    with open_regular(layout.file) as file:
        file.seek(layout.start)
        if layout.packed:
            voxels = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            voxels = _of_next(file, layout.stored_bytes)
    return _of("header", header, [voxels]) if voxels else ""


def _of_next(file: BufferedReader, count: int) -> str:
    """Return the SHA-256 of the next bytes of a file; empty if there are fewer."""
    digest, block = hashlib.sha256(), memoryview(bytearray(_BLOCK_BYTES))
    while count and (read := file.readinto(block[: min(count, len(block))])):
        digest.update(block[:read])
        count -= read
    return "" if count else digest.hexdigest()
