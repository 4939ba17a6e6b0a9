"""Read a DICOM SEG as a label map: bits, fractions or numbers of segments, in any order of frames.

Frames without a drawn voxel may be left out of the file. Of fractions, voxels of at least half of
the largest possible value count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import new_image, writable
from pancseg.scans.dicom.elements import DamagedDicom
from pancseg.scans.dicom.header import read_header
from pancseg.scans.dicom.identity import check_belongs
from pancseg.scans.dicom.pixels import stored_pixels
from pancseg.scans.dicom.segmentation_grid import FrameGrid, grid_of
from pancseg.scans.dicom.segmentation_header import SegHeader, read_seg_header
from pancseg.scans.overlaps import OverlapMap
from pancseg.scans.reading import Preview, check_memory
from pancseg.scans.segments import Segment, mark_cut
from pancseg.scans.voxel_stream import OVERHEAD_BYTES
from pancseg.system.memory_file import scratch_file

_BYTES_PER_VOXEL = 2
_BYTES_PER_PIXEL = 24
"""Memory for a frame on its way into the map: stored, as bits, its codes before and after."""

_Frames = Callable[[int], NDArray[Any]]


def read(file: Path, scan: sitk.Image | None) -> tuple[sitk.Image, list[Segment]]:
    """Read a SEG as a label map of the box that its frames span, and its segments.

    Args:
        file: the SEG.
        scan: the scan that it belongs to; its slices number the frames.

    Raises:
        UnusableCase: as :func:`pancseg.scans.dicom.segmentation_header.read_seg_header` and
            :func:`pancseg.scans.dicom.segmentation_grid.grid_of`; ``geometry``, if it was drawn on
            another series; ``memory``.
        OSError: the file cannot be reached.
    """
    header = read_seg_header(file)
    if scan is not None:
        check_belongs(header.source, scan)
    grid = grid_of(header, scan)
    check_memory(_read_bytes(grid.size))
    try:
        with _pixels_of(header) as pixels:
            filled = _labelled if header.kind == "LABELMAP" else _joined
            mask, segments = filled(header, grid, pixels)
    except DamagedDicom as damaged:
        raise UnusableCase(
            "unreadable", f"the SEG cannot be read: it has {damaged}; copy or export it again"
        ) from damaged
    grid.put_on(mask)
    return mask, segments


def named(file: Path) -> tuple[Segment, ...]:
    """Return the segments that a SEG describes.

    Raises:
        UnusableCase, OSError: as :func:`read`.
    """
    return read_seg_header(file).segments


def preview(file: Path, scan: Preview | None) -> Preview:
    """Return the size of a SEG on its scan's grid, and the memory that reading it takes.

    Args:
        file: the SEG.
        scan: the scan's size; without it, that of the box that the SEG's frames span.

    Raises:
        UnusableCase, OSError: as :func:`read`.
    """
    size = grid_of(read_seg_header(file), None).size if scan is None else scan.size
    whole = 0 if scan is None else _BYTES_PER_VOXEL * scan.voxels
    return Preview(size, _BYTES_PER_VOXEL, math.prod(size), whole + _read_bytes(size))


def _read_bytes(size: tuple[int, int, int]) -> int:
    columns, rows, _ = size
    pixels = columns * rows
    return _BYTES_PER_VOXEL * math.prod(size) + _BYTES_PER_PIXEL * pixels + OVERHEAD_BYTES


def _joined(
    header: SegHeader, grid: FrameGrid, pixels: _Frames
) -> tuple[sitk.Image, list[Segment]]:
    """Return the map of segments that have frames of their own, and may overlap."""
    joined = OverlapMap(grid.size)
    frames: dict[int, dict[int, int]] = {each.values[0]: {} for each in header.segments}
    for frame, (number, place) in enumerate(zip(header.numbers, grid.slices, strict=True)):
        if frames.setdefault(number, {}).setdefault(place, frame) != frame:
            raise UnusableCase(
                "unreadable",
                f"segment {number} of the SEG has several frames in one slice; export it again",
            )
    described = {each.values[0]: each for each in header.segments}
    segments = [described.get(number, Segment("", (number,))) for number in frames]
    drawn = _Drawn(header, pixels)
    for own in frames.values():
        joined.add((place, drawn.voxels(frame)) for place, frame in own.items())
    if drawn.has_fractions:
        mark_cut(joined.image, drawn.least, header.most)
    found = [each._replace(inside=joined.values_of(n)) for n, each in enumerate(segments)]
    return joined.image, found


def _labelled(
    header: SegHeader, grid: FrameGrid, pixels: _Frames
) -> tuple[sitk.Image, list[Segment]]:
    """Return the map of segments that cannot overlap; values without a segment stay as they are."""
    if len(set(grid.slices)) < len(grid.slices):
        raise UnusableCase("unreadable", "the SEG has several frames in one slice; export it again")
    mask = new_image(grid.size, np.dtype(np.uint16))
    voxels = writable(mask)
    for frame, place in enumerate(grid.slices):
        voxels[place] = pixels(frame)
    return mask, [each._replace(inside=each.values) for each in header.segments]


class _Drawn:
    """Tells which voxels of a frame are drawn.

    Attributes:
        least: smallest stored value that counts.
        has_fractions: whether a frame so far had another value than none and all.
    """

    def __init__(self, header: SegHeader, pixels: _Frames) -> None:
        self._most = 1 if header.kind == "BINARY" else header.most
        self.least, self.has_fractions = (self._most + 1) // 2, False
        self._pixels = pixels

    def voxels(self, frame: int) -> NDArray[np.bool_]:
        """Return the drawn voxels of a frame ``(rows, columns)``."""
        stored = self._pixels(frame)
        drawn: NDArray[np.bool_] = stored >= self.least
        if self._most > 1 and not self.has_fractions:
            self.has_fractions = bool(((stored > 0) & (stored < self._most)).any())
        return drawn


@contextmanager
def _pixels_of(header: SegHeader) -> Iterator[_Frames]:
    """Give a function that returns the stored pixels of a frame, ``(rows, columns)``."""
    if header.bits == 1:
        if header.start is None:
            raise UnusableCase(
                "unreadable", "the SEG's single bits are compressed; export it uncompressed"
            )
        yield lambda frame: _bits(header, frame)
        return
    found = read_header(header.file)
    if found is None or found.numbers != 1:
        raise UnusableCase("unreadable", "the SEG has several values per pixel; export it again")
    with scratch_file() as scratch:
        yield lambda frame: stored_pixels(found, frame, scratch)


def _bits(header: SegHeader, frame: int) -> NDArray[np.uint8]:
    """Return a frame of single bits, which may begin within a byte (PS3.5, 8.1.1)."""
    assert header.start is not None
    count = header.columns * header.rows
    first, shift = divmod(frame * count, 8)
    stored = np.fromfile(
        header.file, np.uint8, (shift + count + 7) // 8, offset=header.start + first
    )
    bits = np.unpackbits(stored, bitorder="little")[shift : shift + count]
    if len(bits) != count:
        raise DamagedDicom("missing pixels")
    return bits.reshape(header.rows, header.columns)
