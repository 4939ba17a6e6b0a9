"""Read what a DICOM SEG says about itself, within bounds and before a pixel of it is read.

Optional elements may be missing, and so may those that readers can do without: dimension indices,
frame contents, codes, the description of the algorithm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.elements import DamagedDicom, DataSet, ElementWalk, Pixels
from pancseg.scans.dicom.frames import MACROS, DicomSlice, slices_of
from pancseg.scans.dicom.header import syntax_of
from pancseg.scans.dicom.identity import DicomIdentity
from pancseg.scans.dicom.values import (
    UnusableHeader,
    items_of,
    most_bytes,
    number_of,
    numbers,
    tag,
    text_of,
    uid_of,
    whole,
)
from pancseg.scans.segments import Segment
from pancseg.system.regular_files import open_regular

SegKind = Literal["BINARY", "FRACTIONAL", "LABELMAP"]
_LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
_WANTED = {
    tag(keyword): most_bytes(keyword)
    for keyword in (
        "SpecificCharacterSet", "SOPClassUID", "SeriesInstanceUID", "FrameOfReferenceUID",
        "ReferencedSeriesSequence", "ReferencedInstanceSequence", "ReferencedSOPInstanceUID",
        "SourceImageSequence", "NumberOfFrames", "Rows", "Columns", "BitsAllocated",
        "SegmentationType", "MaximumFractionalValue", "SegmentSequence", "SegmentNumber",
        "SegmentLabel", "SegmentedPropertyTypeCodeSequence",
        "SegmentedPropertyCategoryCodeSequence", "CodeMeaning",
        "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", *MACROS,
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
        "SegmentIdentificationSequence", "ReferencedSegmentNumber", "SpacingBetweenSlices",
        "SliceThickness",
    )
}  # fmt: skip
_WITH_SOURCES = _WANTED | {tag("DerivationImageSequence"): 0}


class SegHeader(NamedTuple):
    """What a SEG says about itself.

    Attributes:
        file: its path.
        kind: what its pixels are: a bit for each segment, fractions, or numbers of segments.
        columns, rows: size of each frame.
        bits: number of bits of a stored pixel: 1, 8 or 16.
        start: where uncompressed pixels begin in the file; None for compressed ones.
        most: the value that stands for a fraction of 1.
        frames: where each frame lies.
        numbers: number of the segment of each frame; empty for a label map.
        segments: names and numbers; empty if it describes none.
        between_mm: distance of slices that it states; 0 if it states none.
        thickness_mm: thickness of slices that it states; 0 if it states none.
        source: UIDs of the scan, as far as it names them.
    """

    file: Path
    kind: SegKind
    columns: int
    rows: int
    bits: int
    start: int | None
    most: int
    frames: tuple[DicomSlice, ...]
    numbers: tuple[int, ...]
    segments: tuple[Segment, ...]
    between_mm: float
    thickness_mm: float
    source: DicomIdentity


def read_seg_header(file: Path) -> SegHeader:
    """Read the header of a SEG.

    Raises:
        UnusableCase: ``unreadable``, for a file that is damaged, in a transfer syntax that is not
            supported, or without a description of what its frames are; ``empty_mask``, for one
            without a frame.
        OSError: the file cannot be reached.
    """
    try:
        found, pixels, big_endian = _walked(file, _WANTED)
        header = _header(file, found, pixels, big_endian)
        if not header.source.series and not header.source.instances:
            found, _, _ = _walked(file, _WITH_SOURCES)
            header = header._replace(source=_source(found))
    except DamagedDicom as damaged:
        whole_file = isinstance(damaged, UnusableHeader)
        remedy = "correct the header, or export" if whole_file else "copy or export"
        raise UnusableCase(
            "unreadable", f"the SEG cannot be read: {damaged}; {remedy} it again"
        ) from damaged
    return header


def _walked(file: Path, wanted: dict[int, int]) -> tuple[DataSet, Pixels | None, bool]:
    with open_regular(file) as opened:
        walk = ElementWalk(opened)
        syntax_of(walk)
        found, pixels = walk.data_set(wanted)
    return found, pixels, walk.big_endian


def _header(file: Path, found: DataSet, pixels: Pixels | None, big_endian: bool) -> SegHeader:
    columns, rows = (whole(found, name, big_endian) for name in ("Columns", "Rows"))
    if min(rows, columns) < 1:
        raise UnusableHeader(f"Rows and Columns are {rows} and {columns} (expected 1 or more)")
    count = whole(found, "NumberOfFrames", big_endian, 1)
    bits = whole(found, "BitsAllocated", big_endian)
    if bits not in (1, 8, 16):
        raise UnusableHeader(f"BitsAllocated is {bits} (expected 1, 8 or 16)")
    if pixels is None or count < 1:
        raise UnusableCase("empty_mask", "the SEG has no frame; draw the mask")
    kind = _kind(found, bits)
    needed = (columns * rows * count * bits + 7) // 8
    if not pixels.packed and (missing := needed - pixels.parts[0][1]) > 0:
        raise DamagedDicom(f"{missing} bytes of pixels are missing (cut off?)")
    segments = _segments(found, big_endian)
    if not segments:
        raise UnusableCase(
            "unreadable",
            f"the SEG describes no segment ({count} frames of {columns}×{rows} pixels); export it "
            "again",
        )
    frames = slices_of(found, count, big_endian)
    groups = [*items_of(found, "SharedFunctionalGroupsSequence")][:1]
    groups += [*items_of(found, "PerFrameFunctionalGroupsSequence")][:1]
    measures = [item for group in groups for item in items_of(group, "PixelMeasuresSequence")]
    between, thickness = (
        numbers(measures, name, 1, big_endian) or (0.0,)
        for name in ("SpacingBetweenSlices", "SliceThickness")
    )
    return SegHeader(
        file,
        kind,
        columns,
        rows,
        bits,
        None if pixels.packed else pixels.parts[0][0],
        whole(found, "MaximumFractionalValue", big_endian, 2**bits - 1),
        frames,
        () if kind == "LABELMAP" else _numbers(found, count, segments, big_endian),
        segments,
        abs(between[0]),
        abs(thickness[0]),
        _source(found),
    )


def _kind(found: DataSet, bits: int) -> SegKind:
    stated = text_of(found, "SegmentationType").upper()
    if uid_of(found, "SOPClassUID") == _LABEL_MAP:
        return "LABELMAP"
    for kind in get_args(SegKind):
        if stated == kind:
            return kind  # type: ignore[no-any-return]
    if not stated and bits == 1:
        return "BINARY"
    raise UnusableHeader(
        f"SegmentationType is {'unknown' if stated else 'missing'} (expected BINARY, FRACTIONAL or "
        "LABELMAP)"
    )


def _segments(found: DataSet, big_endian: bool) -> tuple[Segment, ...]:
    """Return the described segments; the background of a label map is none."""
    segments = []
    charset = {t: found[t] for t in (tag("SpecificCharacterSet"),) if t in found}
    for item in items_of(found, "SegmentSequence"):
        number = whole(item, "SegmentNumber", big_endian)
        codes = [
            text_of(charset | code, "CodeMeaning")
            for name in ("Type", "Category")
            for code in items_of(item, f"SegmentedProperty{name}CodeSequence")
        ]
        if number > 0:
            coded = next(filter(None, codes), "")
            name = text_of(charset | item, "SegmentLabel")
            segments.append(Segment(name, (number,), coded=coded))
    if len({each.values for each in segments}) < len(segments):
        raise UnusableHeader("two segments have one SegmentNumber")
    return tuple(segments)


def _numbers(
    found: DataSet, count: int, segments: tuple[Segment, ...], big_endian: bool
) -> tuple[int, ...]:
    """Return the segment of each frame; a single segment needs not be named by the frames."""
    shared = [*items_of(found, "SharedFunctionalGroupsSequence")][:1]
    frames = [*items_of(found, "PerFrameFunctionalGroupsSequence")] or [{} for _ in range(count)]
    default = segments[0].values[0] if len(segments) == 1 else None
    numbered: list[int] = []
    for frame in frames:
        named = (
            number_of(item, "ReferencedSegmentNumber", big_endian)
            for group in (frame, *shared)
            for item in items_of(group, "SegmentIdentificationSequence")
        )
        numbered.append(next((n for n in named if n is not None), default) or 0)
    if missing := sum(number < 1 for number in numbered):
        raise UnusableHeader(f"{missing} of {count} frames do not say of which segment they are")
    return tuple(numbered)


def _source(found: DataSet) -> DicomIdentity:
    series = [*items_of(found, "ReferencedSeriesSequence")]
    images = [item for each in series for item in items_of(each, "ReferencedInstanceSequence")]
    images += items_of(found, "SourceImageSequence")
    for group in items_of(found, "PerFrameFunctionalGroupsSequence"):
        for derivation in items_of(group, "DerivationImageSequence"):
            images += items_of(derivation, "SourceImageSequence")
    return DicomIdentity(
        frozenset([uid_of(found, "FrameOfReferenceUID")]) - {""},
        frozenset(uid_of(each, "SeriesInstanceUID") for each in series) - {""},
        frozenset(uid_of(each, "ReferencedSOPInstanceUID") for each in images) - {""},
    )
