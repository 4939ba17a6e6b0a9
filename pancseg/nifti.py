"""Owns what ITK does not say about a NIfTI file: bytes that are missing, numbers that are not.

ITK's reader fills what a truncated file lacks with zeros and replaces NaN and infinity by 0, which
is the HU of water. Knows bytes only.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np

_BLOCK_BYTES = 1 << 22
_FLOATS = {16: "f4", 64: "f8"}
"""NIfTI datatype codes of floating-point voxels."""


class Payload(NamedTuple):
    """What lies in a file's voxel data.

    Attributes:
        missing_bytes: how many bytes the file is shorter than its header says.
        not_finite: how many voxels are NaN or infinite.
    """

    missing_bytes: int
    not_finite: int


def inspect(path: Path) -> Payload:
    """Read a NIfTI-1 or NIfTI-2 file through, plain or gzipped.

    Raises:
        ValueError: neither NIfTI-1 nor NIfTI-2, or a gzip stream that is damaged or cut off.
        OSError: the file cannot be reached.
    """
    try:
        with _open(path) as stream:
            return _inspect(stream)
    except (gzip.BadGzipFile, EOFError, zlib.error, struct.error) as error:
        raise ValueError(str(error)) from error


def _inspect(stream: BinaryIO) -> Payload:
    header = stream.read(180)
    order, dims, code, bits, offset = _layout(header)
    stream.read(max(offset - len(header), 0))
    missing = int(np.prod(dims[1 : dims[0] + 1], dtype=np.int64)) * bits // 8
    not_finite = 0
    while missing > 0 and (block := stream.read(min(_BLOCK_BYTES, missing))):
        missing -= len(block)
        if kind := _FLOATS.get(code):
            whole = block[: len(block) - len(block) % np.dtype(kind).itemsize]
            numbers = np.frombuffer(whole, dtype=order + kind)
            not_finite += int(np.count_nonzero(~np.isfinite(numbers)))
    while stream.read(_BLOCK_BYTES):
        pass  # to the end: only there gzip compares its checksum
    return Payload(missing, not_finite)


def _layout(header: bytes) -> tuple[str, tuple[int, ...], int, int, int]:
    """Return byte order, dimensions, datatype code, bits per voxel and offset of the data."""
    for order in "<>":
        size = struct.unpack_from(f"{order}i", header)[0]
        if size == 348:
            dims = struct.unpack_from(f"{order}8h", header, 40)
            code, bits, offset = struct.unpack_from(f"{order}hh34xf", header, 70)
        elif size == 540:
            code, bits = struct.unpack_from(f"{order}hh", header, 12)
            dims = struct.unpack_from(f"{order}8q", header, 16)
            offset = struct.unpack_from(f"{order}q", header, 168)[0]
        else:
            continue
        return order, dims, code, bits, int(offset)
    raise struct.error("neither NIfTI-1 nor NIfTI-2")


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb")
