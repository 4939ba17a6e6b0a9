"""List the slices of a DICOM folder, and the images near them that reading passes over."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.detect import (
    data_start,
    holds_image,
    is_dicom,
    is_of_series,
    named_like_a_slice,
)
from pancseg.scans.dicom.elements import MOST_BEFORE_PIXELS, DamagedDicom, ElementWalk, clean_uid

_INSTANCE_UID, _SERIES_UID = 0x00080018, 0x0020000E
_IDENTITY = {_INSTANCE_UID: 64, _SERIES_UID: 64}
_BEGINNING_BYTES = 1 << 16
"""Packed files are unpacked this far; a slice names its series in its first kilobytes."""
MOST_FILES = 100_000
"""Files in subfolders that are looked at."""
SYSTEM_FOLDERS = frozenset(
    ("@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found")
)
"""Names, in lower case, of folders that operating systems and file servers create."""

_FolderId = tuple[int, int]
"""Device and number of a folder."""
Place = Literal["in subfolders", "hidden", "packed (zip, gz, …)", "closed", "beyond the limit"]
"""Why an image is passed over. The last two stand for any number of files, of any series."""


class PassedOver(NamedTuple):
    """An image that reading a folder passes over.

    Attributes:
        series_uid: UID of its series; empty if it names none.
        instance_uid: UID of the image; empty if it names none.
        place: why it is passed over.
    """

    series_uid: str
    instance_uid: str
    place: Place


def slices_in(folder: Path) -> list[Path]:
    """Return the slices that lie directly in a folder, whole or damaged, by name.

    Files that cannot be opened count, and so do files that are not DICOM but are named like the
    DICOM files beside them (IM000015 beside IM000014): these are damaged slices.

    Raises:
        OSError: the folder cannot be reached.
    """
    slices: list[Path] = []
    others: list[Path] = []
    for entry in sorted(folder.iterdir()):
        try:
            (slices if is_of_series(entry) else others).append(entry)
        except OSError:
            slices.append(entry)
    names = {pattern for entry in slices if "#" in (pattern := _pattern(entry))}
    alike = [entry for entry in others if _pattern(entry) in names and _is_no_dicom(entry)]
    return sorted([*slices, *alike])


def passed_over(folder: Path, slices: Collection[Path]) -> Iterator[PassedOver]:
    """Yield the images in hidden files, packed files and subfolders of a folder of slices.

    Args:
        folder: the folder.
        slices: what :func:`slices_in` returned for it.

    Raises:
        OSError: the folder cannot be reached.
    """
    folders: list[Path] = []
    known = set(slices)
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            folders.append(entry)
        elif entry in known:
            continue
        elif found := _identity(entry, "hidden" if entry.name.startswith(".") else None):
            yield found
    seen = {_place_of(p) for p in (folder, *folder.absolute().parents)}
    for number, file in enumerate(files_in(folders, seen)):
        if number == MOST_FILES:
            yield PassedOver("", "", "beyond the limit")
            return
        if file is None:
            yield PassedOver("", "", "closed")
        elif found := _identity(file, "in subfolders"):
            yield found


def check_complete(
    folder: Path, slices: Collection[Path], series_uid: str, instance_uids: Sequence[str]
) -> None:
    """Refuse a series of which images lie where they are not read; copies of read ones may.

    Args:
        folder: the folder.
        slices: what :func:`slices_in` returned for it.
        series_uid: UID of the series.
        instance_uids: UIDs of its images that are read, without copies.

    Raises:
        UnusableCase: ``uneven_slices``, with the number of such images; ``unreadable`` where there
            may be any number.
        OSError: the folder cannot be reached.
    """
    images, known = list(passed_over(folder, slices)), set(instance_uids)
    if len(known) < len(instance_uids):  # some programs give all images one UID, or none
        known = set()
    places = {image.place for image in images}
    if "closed" in places:
        raise UnusableCase(
            "unreadable",
            "a file or folder inside the series' folder cannot be opened, and may hold slices; "
            "allow reading it, or move it elsewhere",
        )
    if "beyond the limit" in places:
        raise UnusableCase(
            "unreadable",
            f"the subfolders of the series' folder hold more than {MOST_FILES:,} files, and may "
            "hold slices; give the series a folder of its own",
        )
    same = [i for i in images if i.series_uid == series_uid and i.instance_uid not in known]
    missed = Counter(image.place for image in (set(same) if known else same))
    if missing := missed.total():
        where = ", ".join(f"{number} {place}" for place, number in sorted(missed.items()))
        raise UnusableCase(
            "uneven_slices",
            f"{len(instance_uids)} of {len(instance_uids) + missing} files of the series are in "
            f"the folder itself, the others are not read ({where}); put all slices, unpacked, into "
            "one folder",
        )


def series_of(file: Path) -> str:
    """Return the UID of a slice's series, also of a damaged slice; empty if it is not readable."""
    found = _identity(file, "hidden")
    return found.series_uid if found else ""


def files_in(folders: list[Path], seen: Iterable[_FolderId] = ()) -> Iterator[Path | None]:
    """Yield the files in folders at any depth, and None for every folder that cannot be opened.

    Linked folders count too, but no system folder and none that was seen.
    """
    known = set(seen)
    while folders:
        inside = folders.pop()
        if inside.name.lower() in SYSTEM_FOLDERS:
            continue
        try:
            place = _place_of(inside)
            entries = [] if place in known else sorted(inside.iterdir())
        except OSError:
            yield None
            continue
        known.add(place)
        for entry in entries:
            if entry.is_dir():
                folders.append(entry)
            else:
                yield entry


def _place_of(folder: Path) -> _FolderId:
    """Return what is the same for a folder and links to it, in a time that no depth prolongs."""
    found = folder.stat()
    return found.st_dev, found.st_ino


def _pattern(path: Path) -> str:
    return re.sub("[0-9]+", "#", path.name)


def _is_no_dicom(path: Path) -> bool:
    return not path.name.startswith(".") and path.is_file() and not is_dicom(path)


def _identity(path: Path, place: Place | None) -> PassedOver | None:
    """Return whose image a file is; None if it holds none, or is read anyway (no ``place``)."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            beginning = file.read(1024)
            if data_start(beginning) is None:
                file.seek(0)
                beginning = _unpacked(file.read(_BEGINNING_BYTES))
                place = place or "packed (zip, gz, …)"
                source: BinaryIO = io.BytesIO(beginning)
            else:
                source = file
            if place is None or not holds_image(beginning[:1024]):
                return None
            found, _ = ElementWalk(source, MOST_BEFORE_PIXELS).data_set(_IDENTITY, last=_SERIES_UID)
    except OSError:
        return PassedOver("", "", "closed") if named_like_a_slice(path) else None
    except (DamagedDicom, UnusableCase):
        return None
    series, instance = (
        clean_uid(found[tag].value.decode("ascii", "replace")) if tag in found else ""
        for tag in (_SERIES_UID, _INSTANCE_UID)
    )
    return PassedOver(series, instance, place)


def _unpacked(packed: bytes) -> bytes:
    """Return the beginning of what a file holds packed; of an archive, of its first member."""
    for magic, unpack in _UNPACKERS.items():
        if packed.startswith(magic):
            try:
                return unpack(packed)
            except (EOFError, OSError, ValueError, struct.error, zlib.error, lzma.LZMAError):
                return b""
    return b""


def _of_zip(packed: bytes) -> bytes:
    """Unpack the first member by its local header (APPNOTE 4.3.7)."""
    method, content = 0, packed
    while method == 0 and content.startswith(b"PK\x03\x04"):  # folders are members too
        method, name_length, extra_length = struct.unpack("<8xH16xHH", content[:30])
        content = content[30 + name_length + extra_length :]
    if method == 0:
        return content
    return zlib.decompressobj(-15).decompress(content, _BEGINNING_BYTES) if method == 8 else b""


_UNPACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": lambda b: zlib.decompressobj(31).decompress(b, _BEGINNING_BYTES),
    b"PK\x03\x04": _of_zip,
    b"BZh": lambda b: bz2.BZ2Decompressor().decompress(b, _BEGINNING_BYTES),
    b"\xfd7zXZ\0": lambda b: lzma.LZMADecompressor(memlimit=1 << 26).decompress(
        b, _BEGINNING_BYTES
    ),
}
"""First bytes of packed files, and what unpacks the beginning of their content."""
