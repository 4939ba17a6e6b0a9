"""Read what an RTSTRUCT file holds: its regions of interest and their contours, and of which scan.

Headers are walked within bounds; coordinates stay text until a region's contours are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.elements import DamagedDicom, DataSet, ElementWalk
from pancseg.scans.dicom.header import syntax_of
from pancseg.scans.dicom.values import (
    UnusableHeader,
    items_of,
    most_bytes,
    number_of,
    tag,
    text_of,
    uid_of,
    whole,
)
from pancseg.system.regular_files import open_regular

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
"""SOP class of an RT Structure Set."""
_LONGEST_NAME = 512
"""Characters; DICOM allows 64, but names were typed by people into programs that do not count."""
_CONTOURS = tag("ROIContourSequence")
_WANTED = {
    tag(keyword): most_bytes(keyword)
    for keyword in (
        "SpecificCharacterSet", "SOPClassUID", "SeriesInstanceUID",
        "ReferencedSOPInstanceUID", "ReferencedFrameOfReferenceSequence",
        "RTReferencedStudySequence", "RTReferencedSeriesSequence", "ContourImageSequence",
        "StructureSetROISequence", "ROINumber", "ReferencedFrameOfReferenceUID",
        "ROIContourSequence", "ReferencedROINumber", "ContourSequence", "ContourGeometricType",
        "NumberOfContourPoints", "RTROIObservationsSequence", "RTROIIdentificationCodeSequence",
        "ROIName", "ROIObservationLabel", "CodeMeaning",
    )
} | {tag("ContourData"): 1 << 30}  # fmt: skip
_WITHOUT_CONTOURS = {each: most for each, most in _WANTED.items() if each != _CONTOURS}
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "INTERPOLATED_PLANAR")
_TYPES = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR", *_CLOSED)
"""Terms of Contour Geometric Type (PS3.3, C.8.8.6), and one that planning systems write too."""

Points = NDArray[np.float64]


class Contour(NamedTuple):
    """One contour as its file gives it.

    Attributes:
        kind: term of its type; ``unknown`` for any other; or empty.
        stated: number of its points as the file states it; None if it does not.
        text: their coordinates in mm.
    """

    kind: str
    stated: int | None
    text: bytes


class Roi(NamedTuple):
    """A region of interest.

    Attributes:
        number: by which the file refers to it.
        name: as the file gives it, or else its label; empty if it has neither.
        coded: meaning of the code that its file gives it; empty if it gives none.
        frame_uid: UID of the frame of reference of its coordinates; empty if there is none.
        contours: in the file's order.
    """

    number: int
    name: str
    coded: str
    frame_uid: str
    contours: tuple[Contour, ...]


class StructureSet(NamedTuple):
    """What an RTSTRUCT file holds. The UIDs are to be compared, and never to be shown.

    Attributes:
        rois: in the order of the file.
        series_uids: of the series on which it was drawn; empty if the file names none.
        image_uids: of the slices on which it was drawn; empty if the file names none.
    """

    rois: tuple[Roi, ...]
    series_uids: frozenset[str]
    image_uids: frozenset[str]

    @property
    def text_bytes(self) -> int:
        """Number of bytes of all coordinates."""
        return sum(len(contour.text) for roi in self.rois for contour in roi.contours)


def read_structure_set(path: Path, *, contours: bool = True) -> StructureSet:
    """Read an RTSTRUCT file.

    Args:
        path: the file.
        contours: whether to read its contours; without them it takes milliseconds.

    Raises:
        UnusableCase: ``unreadable``, for a file that is damaged, compressed or something else;
            ``empty_mask``, if it has no region.
        OSError: the file cannot be reached.
    """
    try:
        with open_regular(path) as file:
            walk = ElementWalk(file)
            syntax_of(walk)
            found, _ = walk.data_set(_WANTED if contours else _WITHOUT_CONTOURS)
        if uid_of(found, "SOPClassUID") != RTSTRUCT:
            raise _unreadable("it is no RT Structure Set; give the RTSTRUCT file")
        structures = StructureSet(tuple(_rois(found, walk.big_endian)), *_drawn_on(found))
    except DamagedDicom as error:
        raise _unreadable(f"{error}; copy or export it again") from error
    if not structures.rois:
        raise UnusableCase(
            "empty_mask", "the RTSTRUCT holds no region of interest; draw it, and export again"
        )
    return structures


def points_of(contours: Sequence[Contour]) -> list[Points]:
    """Return the points ``(n, 3)`` of closed contours, in mm in LPS.

    Raises:
        UnusableCase: ``empty_mask`` for contours that are open or points, ``unreadable`` for
            coordinates that cannot be.
    """
    open_ones = [each.kind for each in contours if each.kind not in _CLOSED]
    if open_ones:
        kinds = ", ".join(sorted({kind or "without a type" for kind in open_ones}))
        raise UnusableCase(
            "empty_mask",
            f"{len(open_ones)} of its {len(contours)} contours are not closed ({kinds}), so they "
            "surround nothing; draw closed contours",
        )
    found, wrong = [], []
    for contour in contours:
        try:
            found.append(_points(contour))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise UnusableCase(
            "unreadable",
            f"{len(wrong)} of its {len(contours)} contours cannot be: {wrong[0]}; export it again",
        )
    return found


def _points(contour: Contour) -> Points:
    """Return the points of a contour.

    Raises:
        ValueError: there are none, or they make no sense; the message says why.
    """
    text = contour.text.strip(b" \0")
    try:
        values = np.fromiter(map(float, text.split(b"\\") if text else ()), np.float64)
    except ValueError:
        raise ValueError("a coordinate is no number") from None
    if not np.isfinite(values).all():
        raise ValueError("a coordinate is not finite")
    if len(values) % 3 or not len(values):
        raise ValueError(f"it has {len(values)} coordinates (expected 3 for each point)")
    if contour.stated not in (None, len(values) // 3):
        raise ValueError(f"it has {len(values) // 3} points (expected {contour.stated})")
    return values.reshape(-1, 3)


def _rois(found: DataSet, big_endian: bool) -> Iterator[Roi]:
    """Yield the regions of interest.

    Raises:
        UnusableHeader: a region has no number, or that of another one.
    """
    charset = {key: found[key] for key in (tag("SpecificCharacterSet"),) if key in found}

    def _text(item: DataSet, keyword: str) -> str:
        return text_of({**item, **charset}, keyword, _LONGEST_NAME)

    contours: dict[int, list[Contour]] = {}
    for item in items_of(found, "ROIContourSequence"):
        number = whole(item, "ReferencedROINumber", big_endian)
        contours.setdefault(number, []).extend(_contours(item, big_endian))
    observed = {
        number_of(item, "ReferencedROINumber", big_endian): item
        for item in items_of(found, "RTROIObservationsSequence")
    }
    seen = set()
    for item in items_of(found, "StructureSetROISequence"):
        number = whole(item, "ROINumber", big_endian)
        if number in seen:
            raise UnusableHeader(f"two regions have the ROINumber {number}")
        seen.add(number)
        about = observed.get(number, {})
        coded = next(iter(items_of(about, "RTROIIdentificationCodeSequence")), {})
        yield Roi(
            number,
            _text(item, "ROIName") or _text(about, "ROIObservationLabel"),
            _text(coded, "CodeMeaning"),
            uid_of(item, "ReferencedFrameOfReferenceUID"),
            tuple(contours.get(number, ())),
        )


def _contours(item: DataSet, big_endian: bool) -> Iterator[Contour]:
    for each in items_of(item, "ContourSequence"):
        kind = text_of(each, "ContourGeometricType").upper()
        data = each.get(tag("ContourData"))
        yield Contour(
            kind if kind in ("", *_TYPES) else "unknown",
            number_of(each, "NumberOfContourPoints", big_endian),
            data.value if data else b"",
        )


def _drawn_on(found: DataSet) -> tuple[frozenset[str], frozenset[str]]:
    """Return the UIDs of the series and of the slices on which the regions were drawn."""
    series = [
        each
        for frame in items_of(found, "ReferencedFrameOfReferenceSequence")
        for study in items_of(frame, "RTReferencedStudySequence")
        for each in items_of(study, "RTReferencedSeriesSequence")
    ]
    contours = [
        contour
        for roi in items_of(found, "ROIContourSequence")
        for contour in items_of(roi, "ContourSequence")
    ]
    images = [
        uid_of(image, "ReferencedSOPInstanceUID")
        for each in (*series, *contours)
        for image in items_of(each, "ContourImageSequence")
    ]
    return (
        frozenset(filter(None, (uid_of(each, "SeriesInstanceUID") for each in series))),
        frozenset(filter(None, images)),
    )


def _unreadable(why: str) -> UnusableCase:
    return UnusableCase("unreadable", f"the RTSTRUCT cannot be read: {why}")
