"""Read MetaImage headers: where the voxels are, raw or zlib, in the file or in one beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pancseg.errors import UnusableCase
from pancseg.scans.formats.text_header import number, number_list, part_beside, read_lines
from pancseg.scans.voxel_stream import Layout, checked, volume_size

_KINDS = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_YES = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def read_layout(path: Path) -> Layout:
    """Read the header of an MHA file, or of an MHD file with its data beside it.

    Raises:
        UnusableCase: ``unreadable``, ``geometry``, ``not_3d``, ``not_scalar`` or ``one_slice``.
        OSError: the file cannot be reached.
    """
    with path.open("rb") as file:
        lines = read_lines(file, b"ElementDataFile")
        start = file.tell()
    fields = _fields(lines)
    sizes = number_list(fields.get("DimSize", ""), "DimSize")
    if fields.get("ObjectType", "Image") != "Image" or fields.get("NDims") != str(len(sizes)):
        raise _damaged("it is not an image, or its NDims does not match its DimSize")
    channels = number(fields.get("ElementNumberOfChannels", "1"), "channels")
    kind = fields.get("ElementType", "")
    if channels != 1 or kind.endswith("_ARRAY"):
        raise UnusableCase(
            "not_scalar", f"the image has {channels} values per voxel, not 1; export the CT"
        )
    if kind not in _KINDS:
        raise UnusableCase("unreadable", f"MetaImage type {kind[:24]!r} is not supported")
    if not _yes(fields, "BinaryData", "True"):
        raise UnusableCase(
            "unreadable", "MetaImage data as text are not supported; save them as binary"
        )
    if not fields.keys() & {"ElementSpacing", "ElementSize"}:  # ITK would assume 1 mm
        raise UnusableCase(
            "geometry", "the MetaImage header gives no voxel size; export the scan again"
        )
    big = _yes(fields, "BinaryDataByteOrderMSB") or _yes(fields, "ElementByteOrderMSB")
    name = fields.get("ElementDataFile", "")
    inside = name.upper() == "LOCAL"
    layout = Layout(
        path if inside else part_beside(path, name),
        volume_size(sizes),
        np.dtype((">" if big else "<") + _KINDS[kind]),
        start=start if inside else 0,
        packed=_yes(fields, "CompressedData"),
    )
    if number(fields.get("HeaderSize", "0"), "HeaderSize") != 0:
        raise UnusableCase(
            "unreadable", "a MetaImage HeaderSize other than 0 is not supported; save it without"
        )
    return checked(layout)


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        if not line.strip():
            continue
        name, sign, text = line.partition("=")
        if not sign or name.strip() in fields:
            raise _damaged("its header has a meaningless or repeated line")
        fields[name.strip()] = text.strip()
    return fields


def _yes(fields: dict[str, str], name: str, otherwise: str = "False") -> bool:
    answer = _YES.get(fields.get(name, otherwise).lower())
    if answer is None:
        raise _damaged(f"its {name} is neither true nor false")
    return answer


def _damaged(why: str) -> UnusableCase:
    return UnusableCase("unreadable", f"the file cannot be read as MetaImage: {why} (damaged?)")
