"""Read voxels from a file into an image: exactly as many bytes as the header announces.

Voxels go straight into the image's own memory, so reading takes no more than that and a few
blocks. A header that cannot be true is refused before anything is allocated. The headers
themselves are read in ``formats/``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import new_image, writable

DEFLATE_RATIO = 1032
"""No deflate stream unpacks to more than this many times its bytes (zlib's technical notes)."""

TRAILING_BYTES = 1 << 20
"""More bytes than this after the voxels are not padding: the header describes another image."""

_LEAST_GAIN = 4
"""No packed stream is longer than its content by more than this part of it, a quarter."""

BLOCK_BYTES = 1 << 22
OVERHEAD_BYTES = 8 * BLOCK_BYTES
"""Memory that reading takes beside the voxels: a few blocks, the packed input, the header."""


class Layout(NamedTuple):
    """Where the voxels of a volume are in a file, and how they are stored.

    Attributes:
        file: the file that holds the voxels.
        size: number of voxels along x, y, z.
        stored: type of the stored values, with its byte order.
        start: number of bytes in the file before the voxels, or before the packed stream that
            contains them.
        packed: how often the voxels are packed with gzip or zlib: 0 (raw), 1, or 2.
        skip: number of bytes in the unpacked stream before the voxels.
        slope, intercept: scale that turns stored values into voxel values.
        grids: the geometries that the header declares, as 3×4 matrices from voxel indices to LPS
            in mm; all of them should agree.
        sides_mm: the voxel size, if the header states it apart from its matrices.
        itk: whether ITK may be asked for the geometry.
        unit_mm: lengths in mm, along the axes of space, of the units in which the header states
            positions and ITK returns them.
        oriented: whether the header says how the patient lies; if not, LPS is assumed.
    """

    file: Path
    size: tuple[int, int, int]
    stored: np.dtype[Any]
    start: int = 0
    packed: int = 0
    skip: int = 0
    slope: float = 1.0
    intercept: float = 0.0
    grids: tuple[NDArray[np.float64], ...] = ()
    sides_mm: tuple[float, ...] = ()
    itk: bool = True
    unit_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    oriented: bool = True

    @property
    def scaled(self) -> bool:
        """Whether the stored values have to be scaled."""
        return (self.slope, self.intercept) != (1, 0)

    @property
    def kind(self) -> np.dtype[Any]:
        """Type of the voxel values: the stored one, or the smallest float that fits scaled ones."""
        if not self.scaled:
            return self.stored.newbyteorder("=")
        return np.dtype(np.float32 if self.stored.itemsize < 4 else np.float64)

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        x, y, z = self.size
        return x * y * z

    @property
    def stored_bytes(self) -> int:
        """Number of bytes of the unpacked voxels."""
        return self.voxels * self.stored.itemsize

    @property
    def read_bytes(self) -> int:
        """The most memory that reading takes, in bytes."""
        return self.voxels * self.kind.itemsize + OVERHEAD_BYTES


class _Stream(Protocol):
    def read(self, most_bytes: int, /) -> bytes | None: ...
    def readinto(self, target: memoryview, /) -> int | None: ...


def volume_size(sizes: Sequence[int]) -> tuple[int, int, int]:
    """Return the size (x, y, z) that a header declares; trailing axes of length 1 are ignored.

    Raises:
        UnusableCase: ``unreadable`` for sizes that are not positive, ``not_3d``, ``one_slice``.

    >>> volume_size([512, 512, 90, 1])
    (512, 512, 90)
    """
    shape = "×".join(map(str, sizes))
    if not sizes or min(sizes) < 1:
        raise UnusableCase("unreadable", f"the header gives an impossible size ({shape or 'none'})")
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
    """Return the layout if its file can hold what the header announces.

    Raises:
        UnusableCase: ``unreadable``, with both sizes.
        OSError: the file cannot be reached.
    """
    present = max(layout.file.stat().st_size - layout.start, 0)
    announced = layout.skip + layout.stored_bytes
    if not layout.packed and announced > present:
        raise _truncated(announced - present)
    longest = announced if not layout.packed else announced + announced // _LEAST_GAIN
    if present - longest > TRAILING_BYTES:
        raise _trailing(layout)
    if layout.packed and announced > DEFLATE_RATIO**layout.packed * present:
        raise UnusableCase(
            "unreadable",
            f"the header announces {announced / 1e9:.3g} GB, but the file's {present} "
            f"bytes cannot unpack to that (at most {DEFLATE_RATIO} to 1); copy or export it again",
        )
    return layout


def read_voxels(layout: Layout) -> sitk.Image:
    """Return the voxels as an image of the right size; its geometry is left to the caller.

    Raises:
        UnusableCase: ``unreadable`` when bytes are missing, damaged or far too many; ``not_hu``
            when voxels are not finite; ``memory`` when there is too little memory.
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
            raise UnusableCase(
                "unreadable", "the file's packed data are damaged; copy or export it again"
            ) from error
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
    """Return the error for ``count`` voxels that are NaN or infinite."""
    return UnusableCase(
        "not_hu", f"{count} voxels are not finite (NaN or infinity); export the scan again"
    )


def _truncated(missing_bytes: int) -> UnusableCase:
    return UnusableCase(
        "unreadable",
        f"the file is truncated: {missing_bytes} bytes missing; copy or export it again",
    )


def _fill(stream: _Stream, values: NDArray[Any], layout: Layout) -> int:
    """Fill all values, block by block; return the number that are not finite."""
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
            raise _truncated(missing)
        if layout.scaled:
            with np.errstate(over="ignore", invalid="ignore"):  # counted below
                part[:] = target.astype(np.float64) * layout.slope + layout.intercept
        elif not layout.stored.isnative:
            part.byteswap(inplace=True)
        if floating or layout.scaled:
            bad += len(part) - int(np.count_nonzero(np.isfinite(part)))
    return bad


def _read_into(stream: _Stream, target: memoryview) -> int:
    """Fill the target; return the number of bytes that the stream falls short of it."""
    done = 0
    while done < len(target) and (count := stream.readinto(target[done:])):
        done += count
    return len(target) - done


def _skip(stream: _Stream, count: int) -> None:
    scratch = memoryview(bytearray(min(count, BLOCK_BYTES)))
    while count:
        part = scratch[: min(count, len(scratch))]
        if _read_into(stream, part):
            raise UnusableCase(
                "unreadable",
                "the file is truncated: it ends before its voxels; copy or export it again",
            )
        count -= len(part)


def _check_end(stream: _Stream, layout: Layout) -> None:
    """Read a packed stream to the checksum at its end, unless too many bytes follow the voxels."""
    if not isinstance(stream, Unpacked):
        return
    if not _read_into(stream, memoryview(bytearray(TRAILING_BYTES + 1))):
        raise _trailing(layout)
    if not stream.whole:
        raise UnusableCase(
            "unreadable",
            "the file is truncated: its packed data have no end; copy or export it again",
        )


def _trailing(layout: Layout) -> UnusableCase:
    shape = "×".join(map(str, layout.size))
    return UnusableCase(
        "unreadable",
        f"more than {TRAILING_BYTES} bytes follow the {shape} voxels that the header announces; "
        "export the scan again",
    )


@contextmanager
def _opened(layout: Layout) -> Iterator[_Stream]:
    with layout.file.open("rb", buffering=0) as file:
        file.seek(layout.start)
        yield unpacked(file, layout.packed)


def unpacked(file: _Stream, times: int) -> _Stream:
    """Return a file as a stream that is unpacked so many times while it is read."""
    stream = file
    for _ in range(times):
        stream = Unpacked(stream)
    return stream


def first_bytes(stream: _Stream, count: int) -> bytes:
    """Return the next bytes of a stream, fewer only at its end.

    Raises:
        zlib.error: damaged packed data.
    """
    target = bytearray(count)
    return bytes(target[: count - _read_into(stream, memoryview(target))])


class Unpacked:
    """A gzip stream with any number of members, or a zlib stream, unpacked while it is read.

    A stream that is cut off ends early; a wrong checksum raises ``zlib.error``.
    """

    _CHUNK_BYTES = 1 << 16
    _MOST_EMPTY_MEMBERS = 1000

    def __init__(self, file: _Stream) -> None:
        self._file = file
        self._decompressor = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever it is
        self._input = b""
        self._is_gzip: bool | None = None
        self._empty_members = 0

    @property
    def whole(self) -> bool:
        """Whether the bytes read so far are a complete stream, checksum included."""
        inner = self._file.whole if isinstance(self._file, Unpacked) else True
        return self._decompressor.eof and inner

    def read(self, most_bytes: int) -> bytes:
        """Return the next bytes, at most as many as asked for; none only at the end."""
        target = memoryview(bytearray(most_bytes))
        return bytes(target[: self.readinto(target)])

    def readinto(self, target: memoryview, /) -> int:
        """Fill the target as far as one chunk of input goes; 0 only at the end."""
        while True:
            if self._decompressor.eof and not self._next_member():
                return 0
            if not self._input:
                self._input = self._file.read(self._CHUNK_BYTES) or b""
            if not self._input:
                return 0
            if self._is_gzip is None:
                self._is_gzip = self._input[:1] == b"\x1f"
            unpacked = self._decompressor.decompress(self._input, len(target))
            ended, rest = self._decompressor.eof, self._decompressor.unconsumed_tail
            self._input = self._decompressor.unused_data if ended else rest
            target[: len(unpacked)] = unpacked
            if unpacked:
                self._empty_members = 0
                return len(unpacked)

    def _next_member(self) -> bool:
        """Begin the next gzip member; return False if only padding zeros are left."""
        self._input = self._input.lstrip(b"\0")
        padding = 0
        while not self._input:
            if not (chunk := self._file.read(self._CHUNK_BYTES)):
                return False
            self._input = chunk.lstrip(b"\0")
            padding += len(chunk) - len(self._input)
            if padding > TRAILING_BYTES:
                raise zlib.error("more zeros than padding")
        if not self._is_gzip:
            return False  # a zlib stream has one member; what follows it is ignored
        self._empty_members += 1
        if self._empty_members > self._MOST_EMPTY_MEMBERS:
            raise zlib.error("members without content")
        self._decompressor = zlib.decompressobj(wbits=31)
        return True
