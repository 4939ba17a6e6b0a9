"""Describe the frames of a DICOM file: position in space, scale, and place in the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pancseg.scans.dicom.elements import DamagedDicom, DataSet, Pixels
from pancseg.scans.dicom.values import UnusableHeader, number_of, numbers, tag

MACROS = (
    "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
)  # fmt: skip
"""Functional groups with a frame's position, orientation, spacing and scale."""
FRAME_CONTENT = ("FrameContentSequence", "TemporalPositionIndex", "FrameAcquisitionNumber")
"""The functional group that tells when a frame was taken, and its elements."""
_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""First bytes of a JPEG or JPEG-LS, and of a JPEG 2000 codestream."""

Part = tuple[int, int]
"""Offset and length of bytes in a file."""


class DicomSlice(NamedTuple):
    """One frame of a DICOM file.

    Attributes:
        frame: its number in the file, from 0.
        position_mm: position of its first pixel in LPS; None if the file gives none.
        axes: direction cosines in which column numbers (x) and row numbers (y) increase, 6 values;
            or None.
        spacing_mm: distance between rows, and between columns; or None.
        slope, intercept: scale that turns stored values into HU.
        rescaled: whether the file gives the intercept.
        acquisition, temporal: numbers of the acquisition, and of the position in time, that an
            enhanced CT gives the frame; or None.
    """

    frame: int
    position_mm: tuple[float, ...] | None
    axes: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    slope: float
    intercept: float
    rescaled: bool
    acquisition: int | None = None
    temporal: int | None = None


def parts_of_frames(
    path: Path, pixels: Pixels, frames: int, *, joined: bool
) -> tuple[tuple[Part, ...], ...]:
    """Return the fragments of each frame of packed pixels.

    A frame may be in several fragments (PS3.5, A.4): the basic offset table says where each frame
    begins, and without one the first bytes of the fragments do.

    Args:
        path: the file.
        pixels: its packed pixels.
        frames: number of frames.
        joined: whether the transfer syntax allows several fragments for a frame; RLE does not.

    Raises:
        DamagedDicom: fragments and frames do not fit together.
        OSError: the file cannot be reached.
    """
    parts = pixels.parts
    if frames == 1 and parts:
        return (parts,)
    if len(parts) == frames:
        return tuple((part,) for part in parts)
    starts = pixels.starts if len(pixels.starts) == frames else ()
    if joined and not starts and len(parts) > frames:
        starts = _beginnings(path, parts)
    if not joined or len(starts) != frames or starts[0] != 0:
        raise DamagedDicom(f"the pixels are {len(parts)} fragments for {frames} frames")
    ends = (*starts[1:], len(parts))
    return tuple(parts[first:end] for first, end in zip(starts, ends, strict=True))


def _beginnings(path: Path, parts: Sequence[Part]) -> tuple[int, ...]:
    """Return the numbers of the fragments that begin a codestream."""
    found = []
    with path.open("rb") as file:
        for number, (offset, _) in enumerate(parts):
            file.seek(offset)
            if file.read(4).startswith(_BEGINNINGS):
                found.append(number)
    return tuple(found)


def slices_of(data_set: DataSet, frames: int, big_endian: bool) -> tuple[DicomSlice, ...]:
    """Return the frames, described by the file itself or by its functional groups.

    Raises:
        DamagedDicom: an element has an impossible value, or a frame is not described.
    """
    per_frame = data_set.get(tag("PerFrameFunctionalGroupsSequence"))
    if per_frame is None:
        alike = _slice(0, [data_set], big_endian)
        if frames > 1:  # they cannot all be at the one position that the file gives
            alike = alike._replace(position_mm=None)
        return tuple(alike._replace(frame=number) for number in range(frames))
    if len(per_frame.items) != frames:
        raise UnusableHeader(
            f"NumberOfFrames is {frames}, but {len(per_frame.items)} are described"
        )
    shared = _macros(_shared(data_set))
    return tuple(
        _timed(_slice(number, [*_macros(group), *shared], big_endian), group, big_endian)
        for number, group in enumerate(per_frame.items)
    )


def thickness_mm(data_set: DataSet, big_endian: bool) -> float:
    """Return the slice thickness; 0 if it makes no sense, as only a verdict depends on it."""
    per_frame = data_set.get(tag("PerFrameFunctionalGroupsSequence"))
    first = per_frame.items[0] if per_frame and per_frame.items else {}
    try:
        places = [data_set, *_macros(first), *_macros(_shared(data_set))]
        given = numbers(places, "SliceThickness", 1, big_endian)
    except DamagedDicom:
        return 0.0
    return max(given[0], 0.0) if given else 0.0


def _shared(data_set: DataSet) -> DataSet:
    groups = data_set.get(tag("SharedFunctionalGroupsSequence"))
    return groups.items[0] if groups and groups.items else {}


def _macros(group: DataSet) -> list[DataSet]:
    found = (group.get(tag(name)) for name in MACROS)
    return [sequence.items[0] for sequence in found if sequence and sequence.items]


def _timed(frame: DicomSlice, group: DataSet, big_endian: bool) -> DicomSlice:
    """Return a frame with what its functional groups say about when it was taken."""
    content = group.get(tag(FRAME_CONTENT[0]))
    if not content or not content.items:
        return frame
    temporal, acquisition = (number_of(content.items[0], n, big_endian) for n in FRAME_CONTENT[1:])
    return frame._replace(acquisition=acquisition, temporal=temporal)


def _slice(number: int, data_sets: Sequence[DataSet], big_endian: bool) -> DicomSlice:
    slope = numbers(data_sets, "RescaleSlope", 1, big_endian)
    intercept = numbers(data_sets, "RescaleIntercept", 1, big_endian)
    return DicomSlice(
        number,
        numbers(data_sets, "ImagePositionPatient", 3, big_endian),
        numbers(data_sets, "ImageOrientationPatient", 6, big_endian),
        numbers(data_sets, "PixelSpacing", 2, big_endian),
        slope[0] if slope else 1.0,
        intercept[0] if intercept else 0.0,
        intercept is not None,
    )
