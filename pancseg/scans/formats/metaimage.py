"""Read MetaImage headers: where the voxels are, raw or zlib, in the file or in one beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pancseg.errors import UnusableCase
from pancseg.scans.formats.text_header import (
    floats,
    number,
    number_list,
    part_beside,
    read_lines,
    unit_mm,
)
from pancseg.scans.voxel_stream import Layout, checked, volume_size
from pancseg.system.regular_files import open_regular

_KINDS = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_OTHER_KINDS = ("MET_NONE", "MET_ASCII_CHAR", "MET_LONG", "MET_ULONG", "MET_STRING", "MET_OTHER")
_YES = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def read_layout(path: Path) -> Layout:
    """Read the header of an MHA file, or of an MHD file with its data beside it.

    Raises:
        UnusableCase: ``unreadable``, ``geometry``, ``not_3d``, ``not_scalar`` or ``one_slice``.
        OSError: the file cannot be reached.
    """
    with open_regular(path) as file:
        lines = read_lines(file, b"ElementDataFile")
        start = file.tell()
    fields = _fields(lines)
    sizes = number_list(fields.get("DimSize", ""), "DimSize")
    if fields.get("ObjectType", "Image") != "Image" or fields.get("NDims") != str(len(sizes)):
        raise _damaged("it is not an image, or its NDims does not match its DimSize")
    stored = _stored(fields)
    if not _yes(fields, "BinaryData", "True"):
        raise UnusableCase(
            "unreadable", "MetaImage data as text are not supported; save them as binary"
        )
    if not fields.keys() & {"ElementSpacing", "ElementSize"}:  # ITK would assume 1 mm
        raise UnusableCase(
            "geometry", "the MetaImage header gives no voxel size; export the scan again"
        )
    name = fields.get("ElementDataFile", "")
    inside = name.upper() == "LOCAL"
    layout = Layout(
        path if inside else part_beside(path, name),
        volume_size(sizes),
        stored,
        start=start if inside else 0,
        packed=int(_yes(fields, "CompressedData")),
        unit_mm=(unit_mm(fields.get("DistanceUnits", "")),) * 3,
        oriented=bool(fields.keys() & {"TransformMatrix", "Rotation", "Orientation"}),
    )
    _check_values(fields)
    if number(fields.get("HeaderSize", "0"), "HeaderSize") != 0:
        raise UnusableCase(
            "unreadable", "a MetaImage HeaderSize other than 0 is not supported; save it without"
        )
    return checked(layout)


def _stored(fields: dict[str, str]) -> np.dtype[np.generic]:
    channels = number(fields.get("ElementNumberOfChannels", "1"), "channels")
    kind = fields.get("ElementType", "")
    if channels != 1 or kind.endswith("_ARRAY"):
        raise UnusableCase(
            "not_scalar", f"the image has {channels} values per voxel, not 1; export the CT"
        )
    if kind not in _KINDS:
        raise UnusableCase("unreadable", _unsupported(kind))
    big = _yes(fields, "BinaryDataByteOrderMSB") or _yes(fields, "ElementByteOrderMSB")
    return np.dtype((">" if big else "<") + _KINDS[kind])


def _unsupported(kind: str) -> str:
    """Return what is wrong with a type of voxels; unknown words of a header are not shown."""
    if not kind:
        return "the MetaImage header gives no type of voxels (ElementType); export the scan again"
    named = f"the MetaImage type {kind}" if kind in _OTHER_KINDS else "an unknown MetaImage type"
    return f"{named} is not supported; save the voxels as MET_SHORT or MET_FLOAT"


def _check_values(fields: dict[str, str]) -> None:
    """Refuse a scale of the values: ITK ignores it, and so what other programs show is not HU.

    Raises:
        UnusableCase: ``not_hu``.
    """
    names = ("ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset")
    slope, offset = floats([fields.get(names[0], "1"), fields.get(names[1], "0")])
    if (slope, offset) != (1, 0):
        raise UnusableCase(
            "not_hu",
            f"the MetaImage header scales voxels by a slope of {slope:.6g} and an offset of "
            f"{offset:.6g}, which most programs ignore; save the scaled values themselves",
        )


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
