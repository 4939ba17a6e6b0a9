"""Read NRRD headers: where the voxels are, raw or gzip, in the file or in one beside it.

Axes that list the values of a voxel are left out, if they list one; more are layers of a mask.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

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
_ENCODINGS = {"raw": 0, "gzip": 1, "gz": 1}
_OTHER_ENCODINGS = ("txt", "text", "ascii", "hex", "bzip2", "bz2", "zrl")
_AXES = 3
_LONGEST_SKIP = 1 << 26
"""Largest plausible number of bytes between a header and voxels in the same file."""
_VECTOR = re.compile(r"\([^()]*\)|[^\s()]+")
_WORD = re.compile(r'"([^"]*)"|([^\s"]+)')
_SPACES = {
    "RAS": "right anterior superior",
    "LAS": "left anterior superior",
    "LPS": "left posterior superior",
}
_TO_LPS = {"RAS": (-1, -1, 1), "LAS": (1, -1, 1), "LPS": (1, 1, 1)}
"""The spaces whose axes the format defines by the patient, and the signs that turn them to LPS."""
_ALONG_AN_AXIS = ("domain", "space", "time", "???", "none")
_LISTS = ("list", "vector")
_PER_AXIS = ("kinds", "spacings", "units", "axis mins", "axis maxs", "centers", "centerings")
_QUOTED_OR_BARE = re.compile(r'"[^"]*"|[^\s"]+')
_NO_UNIT = ("", "none", "unknown")
_OTHER_NAMES = {"datafile": "data file", "byteskip": "byte skip", "lineskip": "line skip"}


class Header(NamedTuple):
    """The header of an NRRD file.

    Attributes:
        layout: where the voxels are. Layers lie next to each other: those of a voxel along x
            (``layers_along`` 0), or one volume after another along z (2).
        keys: user-defined keys and their text.
        layers: number of label maps in the file.
        layers_along: axis of ``layout.size`` that holds the layers too.
    """

    layout: Layout
    keys: dict[str, str]
    layers: int
    layers_along: int

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of voxels of one layer along x, y, z."""
        x, y, z = self.layout.size
        return (x // self.layers, y, z) if self.layers_along == 0 else (x, y, z // self.layers)


def read_layout(path: Path) -> Layout:
    """Read the header of an NRRD file, or of an NHDR file with its data beside it.

    Raises:
        UnusableCase: ``unreadable``, ``geometry``, ``not_3d``, ``not_scalar`` or ``one_slice``.
        OSError: the file cannot be reached.
    """
    header = read_header(path)
    if header.layers > 1:
        raise _several_values(header.layers)
    return header.layout


def read_header(path: Path) -> Header:
    """Read the header of an NRRD file whose voxels may have layers, as 3D Slicer saves segments.

    Raises:
        UnusableCase, OSError: as :func:`read_layout`; layers are no reason.
    """
    with open_regular(path) as file:
        lines = read_lines(file, b"")
        start = file.tell()
    if not lines or not lines[0].startswith("NRRD000"):
        raise _damaged("it does not begin with NRRD000")
    fields = _fields(lines[1:])
    packed = _packed(fields)
    sizes = number_list(fields.get("sizes", ""), "sizes")
    if fields.get("dimension") != str(len(sizes)):
        raise _damaged("its dimension does not match its sizes")
    spatial, layers, along = _without_lists(sizes, fields)
    x, y, z = volume_size(spatial)
    size = (x * layers, y, z) if along == 0 else (x, y, z * layers)
    name = fields.get("data file", "")
    skip = number(fields.get("byte skip", "0"), "byte skip")
    if number(fields.get("line skip", "0"), "line skip") or (packed and skip):
        raise UnusableCase(
            "unreadable",
            "NRRD line skips, and byte skips of packed data, are not supported; save it without",
        )
    where = part_beside(path, name) if name else path
    layout = Layout(where, size, _stored(fields), start=0 if name else start, packed=packed)
    placed = _placed(checked(_skipping(layout, skip)), fields)
    if len(spatial) < len(sizes):  # ITK finds other axes, or several values
        placed = placed._replace(itk=False)
    return Header(placed, _keys(lines[1:]), layers, along)


def _without_lists(sizes: list[int], fields: dict[str, str]) -> tuple[list[int], int, int]:
    """Take the axes that list values of a voxel out of the fields.

    Returns:
        The sizes of the other axes, the number of values of a voxel, and the axis (0 or 2) of the
        volume that they lie along.

    Raises:
        UnusableCase: ``not_scalar``, where the values are neither a single one nor layers.
    """
    kinds = fields.get("kinds", "").lower().split()
    if len(kinds) != len(sizes):
        if any(kind not in _ALONG_AN_AXIS for kind in kinds):
            raise _damaged("its kinds do not match its sizes")
        return sizes, 1, 2
    lists = [n for n, kind in enumerate(kinds) if kind not in _ALONG_AN_AXIS]
    long = [n for n in lists if sizes[n] > 1]
    at_an_end = long in ([0], [len(sizes) - 1])
    if long and not (at_an_end and kinds[long[0]] in _LISTS and len(sizes) - len(lists) == _AXES):
        raise _several_values(max(sizes[n] for n in long))
    for name in _PER_AXIS:
        words = [match[0] for match in _QUOTED_OR_BARE.finditer(fields.get(name, ""))]
        if lists and len(words) == len(sizes):
            fields[name] = " ".join(word for n, word in enumerate(words) if n not in lists)
    layers = sizes[long[0]] if long else 1
    return [n for axis, n in enumerate(sizes) if axis not in lists], layers, 0 if 0 in long else 2


def _several_values(count: int) -> UnusableCase:
    return UnusableCase("not_scalar", f"the image has {count} values per voxel; export the CT")


def _keys(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":=") for line in lines if not line.startswith("#"))
    return {key.strip(): text.strip() for key, mark, text in pairs if mark}


def _packed(fields: dict[str, str]) -> int:
    encoding = fields.get("encoding", "").lower()
    if encoding in _ENCODINGS:
        return _ENCODINGS[encoding]
    named = f"NRRD encoding {encoding}" if encoding in _OTHER_ENCODINGS else "an unknown encoding"
    raise UnusableCase("unreadable", f"{named} is not supported; save as raw or gzip")


def _placed(layout: Layout, fields: dict[str, str]) -> Layout:
    """Return the layout with what the header says about position, orientation and units.

    Raises:
        UnusableCase: ``geometry``, when it gives no voxel size, or unknown or missing units.
    """
    directions = fields.get("space directions", "")
    columns = _vectors(directions) if directions else _along_axes(fields.get("spacings", ""))
    if len(columns) < _AXES or not np.isfinite(columns).all():  # ITK would assume 1 mm
        raise UnusableCase("geometry", "the NRRD header gives no voxel size; export the scan again")
    sides = np.linalg.norm(columns, axis=1)
    stated = np.abs(floats(fields.get("spacings", "").split())[:_AXES])
    known = np.isfinite(stated)
    if not np.allclose(stated[known], sides[: len(stated)][known], rtol=1e-3):
        raise UnusableCase(
            "geometry", "the NRRD header gives two voxel sizes; correct it or export the scan again"
        )
    along_axes, in_space = _units(fields, "units"), _units(fields, "space units")
    if in_space and along_axes and in_space[:_AXES] != along_axes[:_AXES]:
        raise UnusableCase(
            "geometry", "the NRRD header gives two units of length; export the scan in mm"
        )
    x, y, z = [*(in_space or along_axes), 1.0, 1.0, 1.0][:_AXES]
    to_lps = _TO_LPS.get(_letters(fields.get("space", "")))
    grid = np.array([*columns, _origin(fields)]).T * [[x], [y], [z]]
    declared = np.reshape(to_lps or (1, 1, 1), (3, 1)) * grid
    itk_takes_limits = not directions and "axis mins" in fields  # for the origin
    return layout._replace(
        unit_mm=(x, y, z),
        oriented=bool(directions and to_lps),
        grids=() if itk_takes_limits else (declared,),
    )


def _vectors(text: str) -> list[list[float]]:
    """Return the first three directions of axes in space; other axes have none."""
    found = [floats(each.strip("()").split(","))[:_AXES] for each in _VECTOR.findall(text)]
    return [each for each in found if len(each) == _AXES and not math.isnan(sum(each))][:_AXES]


def _along_axes(text: str) -> list[list[float]]:
    """Return directions along x, y and z of the spacings of the first three axes."""
    sides = floats(text.split())[:_AXES]
    return [[side * (axis == n) for axis in range(_AXES)] for n, side in enumerate(sides)]


def _letters(space: str) -> str:
    """Return the directions of a space's axes: RAS for ``right-anterior-superior``.

    A time axis does not count.

    >>> _letters("left posterior superior time"), _letters("LPST"), _letters("scanner-xyz")
    ('LPS', 'LPS', '')
    """
    words = space.lower().replace("-", " ").removesuffix("time").strip()
    for letters, name in _SPACES.items():
        if words in (name, name.replace(" ", ""), letters.lower(), f"{letters.lower()}t"):
            return letters
    return ""


def _origin(fields: dict[str, str]) -> list[float]:
    """Return the position of the first voxel; zero where the header gives none.

    Raises:
        UnusableCase: ``unreadable``, when it is not a position.
    """
    text = fields.get("space origin")
    found = [0.0, 0.0, 0.0] if text is None else floats(text.strip("()").split(","))[:_AXES]
    if len(found) != _AXES or not np.isfinite(found).all():
        raise _damaged("its space origin is not a position")
    return found


def _units(fields: dict[str, str], name: str) -> list[float]:
    """Return the lengths in mm of a line of units, quoted or not; none if all are blank.

    Raises:
        UnusableCase: ``geometry``, for an unknown unit, and where some axes have a unit other than
            mm and some have none.
    """
    words = [quoted or bare for quoted, bare in _WORD.findall(fields.get(name, ""))]
    if not any(words):
        return []
    lengths = [unit_mm(word) for word in words]
    named = sum(word.lower().strip("? ") not in _NO_UNIT for word in words[:_AXES])
    if named < _AXES and any(mm != 1 for mm in lengths[:_AXES]):
        raise UnusableCase(
            "geometry",
            f"the NRRD header gives a unit of length for {named} of {_AXES} axes (`{name}`); "
            "correct it, or export the scan in mm",
        )
    return lengths


def _skipping(layout: Layout, skip: int) -> Layout:
    """Return the layout behind so many bytes; -1 means that the voxels end with the file."""
    inside = layout.start > 0
    if skip == -1:
        skip = layout.file.stat().st_size - layout.stored_bytes - layout.start
    if skip < 0:
        raise _damaged("its byte skip leads before the start of the file")
    if inside and skip > _LONGEST_SKIP:
        raise _damaged(f"its byte skip is {skip}, expected at most {_LONGEST_SKIP}")
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
        block = fields.get("type", "").lower() == "block"
        named = "the NRRD type block" if block else "an unknown NRRD type"
        raise UnusableCase("unreadable", f"{named} is not supported; save as int16 or float")
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower())
    if order is None and kind not in ("i1", "u1"):
        raise _damaged("its header gives no byte order")
    return np.dtype((order or "") + kind)


def _damaged(why: str) -> UnusableCase:
    return UnusableCase("unreadable", f"the file cannot be read as NRRD: {why} (damaged?)")
