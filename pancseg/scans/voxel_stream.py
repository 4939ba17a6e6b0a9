"""Owns the way of voxels from a file into an image: as many bytes as the header announces.

Voxels go straight into the image's own memory, so reading takes no more than that and a few
blocks. What cannot be true is refused before anything is allocated. Knows no file format.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import new_image, writable

DEFLATE_RATIO = 1032
"""No deflate stream unpacks to more than this many times its bytes (zlib's technical notes)."""

TRAILING_BYTES = 1 << 20
"""More than this after the voxels is not padding: then the header tells of another image."""

BLOCK_BYTES = 1 << 22
OVERHEAD_BYTES = 8 * BLOCK_BYTES
"""What reading holds beside the voxels: some blocks, the packed input, the header."""


class Layout(NamedTuple):
    """Where the voxels of a volume lie in a file, and what they are.

    Attributes:
        file: holds the voxels.
        size: voxels along x, y, z.
        stored: the type of the stored numbers, with its byte order.
        start: bytes of the file before the voxels, or before the packed stream that they are in.
        packed: whether they lie in a gzip or zlib stream.
        skip: bytes of the unpacked stream before the voxels.
        slope, intercept: what makes values of stored numbers.
        grids: the geometries that the header holds, 3×4 matrices from indices to LPS in mm; all
            of them should say the same.
        itk: whether ITK can be asked what it makes of the header.
    """

    file: Path
    size: tuple[int, int, int]
    stored: np.dtype[Any]
    start: int = 0
    packed: bool = False
    skip: int = 0
    slope: float = 1.0
    intercept: float = 0.0
    grids: tuple[NDArray[np.float64], ...] = ()
    itk: bool = True

    @property
    def scaled(self) -> bool:
        """Whether the stored numbers are not the values."""
        return (self.slope, self.intercept) != (1, 0)

    @property
    def kind(self) -> np.dtype[Any]:
        """The type of the values: the stored one, or the smallest float for scaled numbers."""
        if not self.scaled:
            return self.stored.newbyteorder("=")
        return np.dtype(np.float32 if self.stored.itemsize < 4 else np.float64)

    @property
    def voxels(self) -> int:
        """How many there are."""
        x, y, z = self.size
        return x * y * z

    @property
    def stored_bytes(self) -> int:
        """Bytes of the unpacked voxels."""
        return self.voxels * self.stored.itemsize

    @property
    def read_bytes(self) -> int:
        """The most that reading them takes."""
        return self.voxels * self.kind.itemsize + OVERHEAD_BYTES


class _Stream(Protocol):
    def readinto(self, target: memoryview, /) -> int | None: ...


def volume_size(sizes: Sequence[int]) -> tuple[int, int, int]:
    """Return the size (x, y, z) that a header means; further axes of length 1 do not count.

    Raises:
        UnusableCase: ``unreadable`` for sizes that are not positive, ``not_3d``, ``one_slice``.
    """
    shape = "×".join(map(str, sizes))
    if not sizes or min(sizes) < 1:
        raise UnusableCase("unreadable", f"the header names a size of {shape or 'nothing'}")
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes = sizes[:-1]
    if len(sizes) != 3:
        raise UnusableCase("not_3d", f"the image has {len(sizes)} axes ({shape}), not 3")
    if min(sizes) < 2:
        raise UnusableCase(
            "one_slice", f"the image is one slice thick ({shape} voxels); give the whole series"
        )
    x, y, z = sizes
    return x, y, z


def checked(layout: Layout) -> Layout:
    """Return the layout if its file can hold what it says.

    Raises:
        UnusableCase: ``unreadable``, with the numbers.
        OSError: the file cannot be reached.
    """
    there = layout.file.stat().st_size - layout.start
    wanted = layout.skip + layout.stored_bytes
    if not layout.packed and wanted > there:
        missing = wanted - max(there, 0)
        raise UnusableCase("unreadable", f"the file is truncated: {missing} bytes missing")
    if not layout.packed and there - wanted > TRAILING_BYTES:
        raise _trailing(layout)
    if layout.packed and wanted > DEFLATE_RATIO * max(there, 0):
        raise UnusableCase(
            "unreadable",
            f"the header announces {wanted / 1e9:.3g} GB; the file's {max(there, 0)} bytes cannot "
            f"unpack to that (at most {DEFLATE_RATIO} to 1)",
        )
    return layout


def read_voxels(layout: Layout) -> sitk.Image:
    """Return the voxels as an image of the right size, without any geometry.

    Raises:
        UnusableCase: ``unreadable`` when bytes are missing, damaged or far too many; ``not_hu``
            when voxels are not finite; ``memory`` when the memory does not suffice.
        OSError: the file cannot be reached.
    """
    image = new_image(layout.size, layout.kind)
    values = writable(image).reshape(-1)
    with _opened(layout) as stream:
        try:
            _skip(stream, layout.skip)
            bad = _fill(stream, values, layout)
            _check_end(stream, layout)
        except zlib.error as error:
            raise UnusableCase("unreadable", "the file's packed data are damaged") from error
    if bad:
        raise not_finite(bad)
    return image


def check_whole(layout: Layout) -> None:
    """Read a file to its end without keeping anything.

    Raises:
        UnusableCase: ``unreadable``, when voxels or checksum are missing.
        OSError: the file cannot be reached.
        zlib.error: damaged packed data.
    """
    with _opened(layout) as stream:
        _skip(stream, layout.skip + layout.stored_bytes)
        _check_end(stream, layout)


def not_finite(count: int) -> UnusableCase:
    """Return what is raised for voxels that are no numbers."""
    return UnusableCase("not_hu", f"{count} voxels not finite (NaN or infinity); export it again")


def _fill(stream: _Stream, values: NDArray[Any], layout: Layout) -> int:
    """Fill all values, block by block; return how many are not finite."""
    per_block = BLOCK_BYTES // layout.stored.itemsize
    floating = layout.stored.kind == "f"
    raw = np.empty(per_block if layout.scaled else 0, layout.stored)
    bad = 0
    for first in range(0, len(values), per_block):
        part = values[first : first + per_block]
        target: NDArray[Any] = raw[: len(part)] if layout.scaled else part
        missing = _read_into(stream, target.data.cast("B"))
        if missing:
            missing += (len(values) - first - len(part)) * layout.stored.itemsize
            raise UnusableCase("unreadable", f"the file is truncated: {missing} bytes missing")
        if layout.scaled:
            with np.errstate(over="ignore", invalid="ignore"):  # counted below
                part[:] = target.astype(np.float64) * layout.slope + layout.intercept
        elif not layout.stored.isnative:
            part.byteswap(inplace=True)
        if floating or layout.scaled:
            bad += len(part) - int(np.count_nonzero(np.isfinite(part)))
    return bad


def _read_into(stream: _Stream, target: memoryview) -> int:
    """Fill the target; return how many bytes the stream is too short for it."""
    done = 0
    while done < len(target) and (count := stream.readinto(target[done:])):
        done += count
    return len(target) - done


def _skip(stream: _Stream, count: int) -> None:
    scratch = memoryview(bytearray(min(count, BLOCK_BYTES)))
    while count:
        part = scratch[: min(count, len(scratch))]
        if _read_into(stream, part):
            raise UnusableCase("unreadable", "the file is truncated: it ends before its voxels")
        count -= len(part)


def _check_end(stream: _Stream, layout: Layout) -> None:
    """Read a packed stream to its end, where its checksum is, but not for ever."""
    if not isinstance(stream, Unpacked):
        return
    if not _read_into(stream, memoryview(bytearray(TRAILING_BYTES + 1))):
        raise _trailing(layout)
    if not stream.whole:
        raise UnusableCase("unreadable", "the file is truncated: its packed data have no end")


def _trailing(layout: Layout) -> UnusableCase:
    shape = "×".join(map(str, layout.size))
    return UnusableCase(
        "unreadable",
        f"more than {TRAILING_BYTES} bytes follow the {shape} voxels that the header announces",
    )


@contextmanager
def _opened(layout: Layout) -> Iterator[_Stream]:
    with layout.file.open("rb", buffering=0) as file:
        file.seek(layout.start)
        yield Unpacked(file) if layout.packed else file


class Unpacked:
    """A gzip stream of any number of members, or a zlib stream, unpacked while it is read.

    A stream that is cut off ends early; a wrong checksum is a ``zlib.error``.
    """

    _CHUNK_BYTES = 1 << 16
    _MOST_EMPTY = 1000

    def __init__(self, file: BinaryIO | Any) -> None:
        self._file = file
        self._engine = zlib.decompressobj(wbits=47)  # either of the two
        self._input = b""
        self._zipped: bool | None = None
        self._empty = 0

    @property
    def whole(self) -> bool:
        """Whether what was read so far is a whole stream, checksum included."""
        return self._engine.eof

    def readinto(self, target: memoryview, /) -> int:
        """Fill the target as far as one chunk of input goes; 0 only at the end."""
        while True:
            if self._engine.eof and not self._next_member():
                return 0
            if not self._input:
                self._input = self._file.read(self._CHUNK_BYTES)
            if not self._input:
                return 0
            if self._zipped is None:
                self._zipped = self._input[:1] == b"\x1f"
            made = self._engine.decompress(self._input, len(target))
            over = self._engine.eof
            self._input = self._engine.unused_data if over else self._engine.unconsumed_tail
            target[: len(made)] = made
            if made:
                self._empty = 0
                return len(made)

    def _next_member(self) -> bool:
        """Begin the next member; zeros that pad the file are none."""
        self._input = self._input.lstrip(b"\0")
        while not self._input:
            if not (chunk := self._file.read(self._CHUNK_BYTES)):
                return False
            self._input = chunk.lstrip(b"\0")
        if not self._zipped:
            return False  # what follows a zlib stream is nobody's
        self._empty += 1
        if self._empty > self._MOST_EMPTY:
            raise zlib.error("members without content")
        self._engine = zlib.decompressobj(wbits=31)
        return True
