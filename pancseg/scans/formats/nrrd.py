"""Read NRRD headers: where the voxels are, raw or gzip, in the file or in one beside it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from pancseg.errors import UnusableCase
from pancseg.scans.formats.text_header import number, number_list, part_beside, read_lines
from pancseg.scans.voxel_stream import Layout, checked, volume_size

_KINDS = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, "
    "int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split(", ")}
_ENCODINGS = {"raw": False, "gzip": True, "gz": True}
_AXES = 3
_ALONG_AN_AXIS = ("domain", "space", "time", "???", "none")
_OTHER_NAMES = {"datafile": "data file", "byteskip": "byte skip", "lineskip": "line skip"}


def read_layout(path: Path) -> Layout:
    """Read the header of an NRRD file, or of an NHDR file with its data beside it.

    Raises:
        UnusableCase: ``unreadable``, ``geometry``, ``not_3d``, ``not_scalar`` or ``one_slice``.
        OSError: the file cannot be reached.
    """
    with path.open("rb") as file:
        if not file.read(8).startswith(b"NRRD000"):
            raise _damaged("it does not begin with NRRD000")
        file.seek(0)
        lines = read_lines(file, b"")
        start = file.tell()
    fields = _fields(lines[1:])
    encoding = fields.get("encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise UnusableCase(
            "unreadable", f"NRRD encoding {encoding[:12]!r} is not supported; save as raw or gzip"
        )
    sizes = number_list(fields.get("sizes", ""), "sizes")
    if fields.get("dimension") != str(len(sizes)):
        raise _damaged("its dimension does not match its sizes")
    kinds = fields.get("kinds", "").lower().split()
    if any(kind not in _ALONG_AN_AXIS for kind in kinds):
        raise UnusableCase(
            "not_scalar",
            f"one of the image's {len(sizes)} axes holds several values per voxel; export the CT",
        )
    size = volume_size(sizes)
    if not _has_voxel_size(fields):
        raise UnusableCase("geometry", "the NRRD header gives no voxel size; export the scan again")
    name = fields.get("data file", "")
    packed = _ENCODINGS[encoding]
    skip = number(fields.get("byte skip", "0"), "byte skip")
    if number(fields.get("line skip", "0"), "line skip") or (packed and skip):
        raise UnusableCase(
            "unreadable",
            "NRRD line skips, and byte skips of packed data, are not supported; save it without",
        )
    layout = Layout(
        part_beside(path, name) if name else path,
        size,
        _stored(fields),
        start=0 if name else start,
        packed=packed,
    )
    return checked(_skipping(layout, skip))


def _has_voxel_size(fields: dict[str, str]) -> bool:
    """Return whether three axes have a spacing; where there is none, ITK would assume 1 mm."""
    directions = re.findall(r"\([^()]*\)", fields.get("space directions", ""))
    spacings = directions or fields.get("spacings", "").split()
    return sum("nan" not in each.lower() for each in spacings) >= _AXES


def _skipping(layout: Layout, skip: int) -> Layout:
    if skip == -1:
        skip = layout.file.stat().st_size - layout.stored_bytes - layout.start
    if skip < 0:
        raise _damaged("its byte skip leads before the start of the file")
    return layout._replace(start=layout.start + skip)


def _fields(lines: list[str]) -> dict[str, str]:
    """Return the text of each field, names in lower case, without user-defined keys (``:=``)."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith("#") or ":=" in line:
            continue
        name, colon, text = line.partition(":")
        name = _OTHER_NAMES.get(name.strip().lower(), name.strip().lower())
        if not colon or name in fields:
            raise _damaged("its header has a meaningless or repeated line")
        fields[name] = text.strip()
    return fields


def _stored(fields: dict[str, str]) -> np.dtype[np.generic]:
    kind = _KIND_OF.get(fields.get("type", "").lower())
    if kind is None:
        given = fields.get("type", "")[:24]
        raise UnusableCase("unreadable", f"NRRD type {given!r} is not supported")
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower())
    if order is None and kind not in ("i1", "u1"):
        raise _damaged("its header gives no byte order")
    return np.dtype((order or "") + kind)


def _damaged(why: str) -> UnusableCase:
    return UnusableCase("unreadable", f"the file cannot be read as NRRD: {why} (damaged?)")
