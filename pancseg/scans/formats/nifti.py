"""Read NIfTI headers: where the voxels are, and the geometries that the header declares.

ITK's reader fills a truncated file up with zeros, replaces NaN and infinity by 0 (the HU of
water) and silently prefers one of two contradicting geometries. So headers are read here, and ITK
is asked only for the geometry that it finds in them (it knows NIfTI-1 alone).
"""

from __future__ import annotations

import math
import struct
import zlib
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.formats.text_header import GZIP, archive_problem
from pancseg.scans.voxel_stream import Layout, checked, first_bytes, unpacked, volume_size
from pancseg.system.regular_files import open_regular

_KINDS = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4",
    1024: "i8", 1280: "u8",
}  # fmt: skip
_SEVERAL_VALUES = {32: "complex", 128: "RGB", 1792: "complex", 2048: "complex", 2304: "RGBA"}
_LONGEST_OFFSET = 1 << 26
"""Largest plausible number of bytes of header and extensions before the voxels."""
_MOST_PACKED = 2
_MM = {1: 1000.0, 3: 0.001}
"""Length in mm of NIfTI's units metre and micrometre; everything else is taken for mm."""


class _NiftiHeader(NamedTuple):
    length: int
    order: str
    dims: tuple[int, ...]
    code: int
    bits: int
    pixdim: tuple[float, ...]
    offset: float
    slope: float
    intercept: float
    units: int
    forms: tuple[int, int]
    quatern: tuple[float, ...]
    srow: tuple[float, ...]


def read_layout(path: Path) -> Layout:
    """Read the header of a NIfTI-1 or NIfTI-2 file, plain or gzipped.

    Raises:
        UnusableCase: ``unreadable``, ``not_3d``, ``not_scalar``, ``one_slice``, ``geometry``, or
            ``not_hu`` for a scale that is not finite.
        OSError: the file cannot be reached.
    """
    with open_regular(path) as file:
        beginning, packed = _beginning(file)
    header = _header(beginning)
    count = header.dims[0]
    if not 1 <= count <= 7:
        raise UnusableCase("unreadable", f"the NIfTI header declares {count} axes, expected 1–7")
    sizes = [*header.dims[1 : count + 1]]
    sizes[3:] = [length or 1 for length in sizes[3:]]  # some programs write 0 for an axis unused
    if count == 5 and sizes[3] == 1 and sizes[4] > 1:
        raise UnusableCase(
            "not_scalar", f"the image has {sizes[4]} values per voxel, not 1; export the CT"
        )
    stored = _stored(header)
    size = volume_size(sizes)
    offset = _offset(header)
    slope, intercept = _scale(header)
    layout = Layout(path, size, stored, packed=packed, slope=slope, intercept=intercept)
    layout = layout._replace(skip=offset) if packed else layout._replace(start=offset)
    grids = _grids(header)
    mm = _MM.get(header.units & 7, 1.0)
    return checked(layout)._replace(
        grids=grids or (_assumed(header),),
        sides_mm=tuple(side * mm for side in header.pixdim[1:4]),
        itk=header.length == 348,
        oriented=bool(grids),
    )


def _beginning(file: BufferedReader) -> tuple[bytes, int]:
    """Return the first 540 unpacked bytes, or fewer if there are no more, and how often packed."""
    for times in range(_MOST_PACKED + 1):
        file.seek(0)
        try:
            beginning = first_bytes(unpacked(file, times), 540)
        except zlib.error as error:
            raise UnusableCase(
                "unreadable", "the file's packed data are damaged; copy or export it again"
            ) from error
        if not beginning.startswith(GZIP):
            return beginning, times
    raise UnusableCase(
        "unreadable", f"the file is packed with gzip more than {_MOST_PACKED} times; unpack it"
    )


def _header(data: bytes) -> _NiftiHeader:
    """Return the header fields that are needed."""
    if problem := archive_problem(data):
        raise UnusableCase("unreadable", problem)
    for order in "<>":
        try:
            if data[344:348] == b"n+1\0" and struct.unpack_from(f"{order}i", data)[0] == 348:
                return _nifti_1(order, data)
            if data[4:8] == b"n+2\0" and struct.unpack_from(f"{order}i", data)[0] == 540:
                return _nifti_2(order, data)
        except struct.error:
            break
    if data[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and len(data) >= 348:
        what = "of a pair (.hdr, .img)" if data[344:348] == b"ni1\0" else "of Analyze, not NIfTI"
        raise UnusableCase(
            "unreadable", f"the file has a header {what}; save the scan as one NIfTI file"
        )
    raise UnusableCase(
        "unreadable",
        "the file is not a complete NIfTI file (damaged or truncated?); copy or export it again",
    )


def _nifti_1(order: str, data: bytes) -> _NiftiHeader:
    def get(form: str, at: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + form, data, at)

    code, bits = get("hh", 70)
    offset, slope, intercept = get("fff", 108)
    return _NiftiHeader(
        348, order, get("8h", 40), code, bits, get("8f", 76), offset, slope, intercept,
        get("B", 123)[0], get("hh", 252), get("6f", 256), get("12f", 280),
    )  # fmt: skip


def _nifti_2(order: str, data: bytes) -> _NiftiHeader:
    def get(form: str, at: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + form, data, at)

    code, bits = get("hh", 12)
    offset, slope, intercept = get("qdd", 168)
    return _NiftiHeader(
        540, order, get("8q", 16), code, bits, get("8d", 104), offset, slope, intercept,
        get("i", 500)[0], get("ii", 344), get("6d", 352), get("12d", 400),
    )  # fmt: skip


def _stored(header: _NiftiHeader) -> np.dtype[Any]:
    if what := _SEVERAL_VALUES.get(header.code):
        raise UnusableCase(
            "not_scalar", f"the image has {what} voxels, not one value each; export the CT"
        )
    if (kind := _KINDS.get(header.code)) is None:
        raise UnusableCase("unreadable", f"NIfTI data type {header.code} is not supported")
    stored = np.dtype(header.order + kind)
    if stored.itemsize * 8 != header.bits:
        raise UnusableCase(
            "unreadable",
            f"the NIfTI header contradicts itself: data type {header.code} "
            f"({stored.itemsize * 8} bits) with {header.bits} bits per voxel; export it again",
        )
    return stored


def _offset(header: _NiftiHeader) -> int:
    """Return the position of the first voxel in bytes, after header and extensions."""
    least = header.length
    offset = header.offset
    if not math.isfinite(offset) or offset != int(offset):
        raise UnusableCase(
            "unreadable", f"the NIfTI header's vox_offset is {offset:.6g}, not a whole number"
        )
    if not least <= offset <= _LONGEST_OFFSET:
        raise UnusableCase(
            "unreadable",
            f"the NIfTI header's voxels begin at byte {int(offset)} (vox_offset), "
            f"expected {least}–{_LONGEST_OFFSET}; export the scan again",
        )
    return int(offset)


def _scale(header: _NiftiHeader) -> tuple[float, float]:
    """Return slope and intercept; a slope of 0 or NaN means none, as in NIfTI's own library."""
    if header.slope == 0 or math.isnan(header.slope):
        return 1.0, 0.0
    if not (math.isfinite(header.slope) and math.isfinite(header.intercept)):
        raise UnusableCase(
            "not_hu",
            f"the NIfTI header scales voxels by a slope of {header.slope:.6g} and an intercept of "
            f"{header.intercept:.6g}; export the scan again",
        )
    return header.slope, header.intercept


def _grids(header: _NiftiHeader) -> tuple[NDArray[np.float64], ...]:
    """Return the geometries that the header declares, qform and sform, in LPS and mm.

    Raises:
        UnusableCase: ``geometry``, for impossible voxel sizes or matrices.
    """
    sides = header.pixdim[1:4]
    if not all(math.isfinite(side) and side > 0 for side in sides):
        raise UnusableCase(
            "geometry",
            f"the NIfTI header gives a voxel size of {'×'.join(f'{s:.6g}' for s in sides)}, "
            "expected three positive values; export the scan again",
        )
    qform, sform = header.forms
    grids = []
    if qform > 0:
        grids.append(_of_quaternion(header))
    if sform > 0:
        grids.append(np.reshape(np.array(header.srow, np.float64), (3, 4)))
    for grid in grids:
        if not np.isfinite(grid).all() or abs(np.linalg.det(grid[:, :3])) < 1e-12:
            raise UnusableCase(
                "geometry",
                "the NIfTI header's orientation matrix cannot be inverted; export the scan again",
            )
    mm = _MM.get(header.units & 7, 1.0)
    return tuple(np.diag([-mm, -mm, mm]) @ grid for grid in grids)


def _assumed(header: _NiftiHeader) -> NDArray[np.float64]:
    """Return the geometry that ITK assumes where the header declares none: LPS, origin zero."""
    mm = _MM.get(header.units & 7, 1.0)
    sides = np.array(header.pixdim[1:4], np.float64) * mm
    return np.column_stack([np.diag(sides), np.zeros(3)])


def _of_quaternion(header: _NiftiHeader) -> NDArray[np.float64]:
    """Return the qform as the NIfTI standard defines it (method 2)."""
    b, c, d, *shift = (float(value) for value in header.quatern)
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < 1e-7:  # a rotation by 180 degrees, up to rounding
        length = math.sqrt(b * b + c * c + d * d) if math.isfinite(rest) else math.nan
        a, b, c, d = 0.0, b / length, c / length, d / length
    else:
        a = math.sqrt(rest)
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    sides = np.array(header.pixdim[1:4], np.float64)
    sides[2] *= -1.0 if header.pixdim[0] < 0 else 1.0
    return np.column_stack([turn * sides, shift])
