"""Owns what ITK does not say about a NIfTI file: bytes that are missing, numbers that are not.

ITK's reader fills what a truncated file lacks with zeros and replaces NaN and infinity by 0, which
is the HU of water. So files are read through here, and where their voxels need no conversion, they
are kept, because unzipping them twice would take twice as long. Knows bytes only, no geometry.
"""

from __future__ import annotations

import gzip
import struct
import sys
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

_BLOCK_BYTES = 1 << 22
_FLOATS = {16: "f4", 64: "f8"}
"""NIfTI datatype codes of floating-point voxels."""
_NUMBERS = {2: "u1", 4: "i2", 8: "i4", 256: "i1", 512: "u2", 768: "u4", **_FLOATS}
_NATIVE = "<" if sys.byteorder == "little" else ">"


class Payload(NamedTuple):
    """What lies in a file's voxel data.

    Attributes:
        missing_bytes: how many bytes the file is shorter than its header says.
        not_finite: how many voxels are NaN or infinite.
        voxels: ``(z, y, x)``; None where ITK has something to convert: other than three axes,
            foreign byte order or data type, a scale in the header.
    """

    missing_bytes: int
    not_finite: int
    voxels: NDArray[Any] | None


class _Layout(NamedTuple):
    order: str
    dims: tuple[int, ...]
    code: int
    bits: int
    offset: int
    slope: float
    intercept: float

    @property
    def as_it_is(self) -> bool:
        """Whether the stored numbers are the voxels."""
        unscaled = self.slope == 0 or (self.slope, self.intercept) == (1, 0)
        known = self.dims[0] == 3 and min(self.dims[1:4]) > 0 and self.code in _NUMBERS
        return unscaled and known and self.order == _NATIVE


def read_through(path: Path) -> Payload:
    """Read a NIfTI-1 or NIfTI-2 file through, plain or gzipped.

    Raises:
        ValueError: neither NIfTI-1 nor NIfTI-2, or a gzip stream that is damaged or cut off.
        OSError: the file cannot be reached.
    """
    try:
        with _open(path) as stream:
            return _read(stream)
    except (gzip.BadGzipFile, EOFError, zlib.error, struct.error) as error:
        raise ValueError(str(error)) from error


def _read(stream: BinaryIO) -> Payload:
    header = stream.read(192)
    layout = _layout(header)
    stream.read(max(layout.offset - len(header), 0))
    dims = layout.dims[1 : layout.dims[0] + 1]
    missing = int(np.prod(dims, dtype=np.int64)) * layout.bits // 8
    kept: list[bytes] | None = [] if layout.as_it_is else None
    not_finite = 0
    while missing > 0 and (block := stream.read(min(_BLOCK_BYTES, missing))):
        missing -= len(block)
        if kind := _FLOATS.get(layout.code):
            whole = block[: len(block) - len(block) % np.dtype(kind).itemsize]
            numbers = np.frombuffer(whole, dtype=layout.order + kind)
            not_finite += int(np.count_nonzero(~np.isfinite(numbers)))
        if kept is not None:
            kept.append(block)
    while stream.read(_BLOCK_BYTES):
        pass  # to the end: only there gzip compares its checksum
    voxels = None
    if kept is not None and not missing:
        flat = np.frombuffer(b"".join(kept), dtype=_NUMBERS[layout.code])
        voxels = flat.reshape(dims[::-1])
    return Payload(missing, not_finite, voxels)


def _layout(header: bytes) -> _Layout:
    """Read what the header says about the bytes that follow it."""
    for order in "<>":
        size = struct.unpack_from(f"{order}i", header)[0]
        if size == 348:
            dims = struct.unpack_from(f"{order}8h", header, 40)
            code, bits, offset, *scale = struct.unpack_from(f"{order}hh34xfff", header, 70)
        elif size == 540:
            code, bits = struct.unpack_from(f"{order}hh", header, 12)
            dims = struct.unpack_from(f"{order}8q", header, 16)
            offset, *scale = struct.unpack_from(f"{order}qdd", header, 168)
        else:
            continue
        return _Layout(order, dims, code, bits, int(offset), *scale)
    raise struct.error("neither NIfTI-1 nor NIfTI-2")


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb")
