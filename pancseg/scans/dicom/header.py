"""Read what one DICOM file says about its slices, within bounds and before any decoder sees it.

Every length in the file is checked here against the file's end, because GDCM allocates whatever a
length says.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pydicom
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator, read_partial

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.contrast_phase import phase_in
from pancseg.scans.dicom.detect import CT_IMAGE

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote files' contents

_IMPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_NATIVE = (_IMPLICIT, "1.2.840.10008.1.2.1", _BIG)
_PACKED = tuple(
    f"1.2.840.10008.1.2.{ending}"
    for ending in ("4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91", "5")
)
"""JPEG baseline, extended, lossless; JPEG-LS, JPEG 2000 (lossless and not); RLE."""

_SYNTAX = re.compile(rb"\x02\0\x10\0UI.\0([0-9.]{5,64})", re.DOTALL)
_UNDEFINED = 0xFFFFFFFF
_MOST_READS = 3_000_000
"""More reads than the header of a CT of 5,000 frames takes; junk could ask for any number."""

_PHASE_TEXTS = (
    "ContrastBolusAgentPhase", "SeriesDescription", "ProtocolName", "ImageComments",
    "ContrastBolusAgent",
)  # fmt: skip
"""Elements that may name a contrast phase; nothing but the phase is kept of them."""

_TAGS = [
    tag_for_keyword(keyword)
    for keyword in (
        "SOPClassUID", "Modality", "SeriesInstanceUID", "Rows", "Columns", "NumberOfFrames",
        "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
        "RescaleIntercept", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
        "SliceThickness", "SpecificCharacterSet", *_PHASE_TEXTS,
    )
]  # fmt: skip


class DamagedDicom(ValueError):
    """The file begins like a DICOM file but cannot be read."""


class DicomSlice(NamedTuple):
    """One frame of a DICOM file.

    Attributes:
        frame: its number in the file, from 0.
        position_mm: position of its first pixel in LPS; None if the file gives none.
        axes: direction cosines in which column numbers (x) and row numbers (y) increase, 6 values;
            or None.
        spacing_mm: distance between rows, and between columns; or None.
        slope, intercept: scale that turns stored values into HU.
    """

    frame: int
    position_mm: tuple[float, ...] | None
    axes: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    slope: float
    intercept: float


class DicomHeader(NamedTuple):
    """What one DICOM file says about its slices.

    Attributes:
        file: path of the file.
        series_uid: UID of its series; empty if the file gives none.
        modality: for example ``CT``, or empty.
        syntax: UID of the transfer syntax.
        rows, columns: size of each frame.
        numbers: number of values per pixel.
        stored: type of a stored pixel value.
        bits: number of its bits that are used.
        parts: offset and length in the file of all pixels (native), or of each packed fragment.
        slices: one for each frame.
        phase: the contrast phase that its text names, one of ``contrast_phase.PHASES``, or empty.
        thickness_mm: slice thickness; 0 if the file gives none.
    """

    file: Path
    series_uid: str
    modality: str
    syntax: str
    rows: int
    columns: int
    numbers: int
    stored: np.dtype[Any]
    bits: int
    parts: tuple[tuple[int, int], ...]
    slices: tuple[DicomSlice, ...]
    phase: str = ""
    thickness_mm: float = 0.0

    @property
    def native(self) -> bool:
        """Whether the pixels are stored uncompressed."""
        return self.syntax in _NATIVE

    @property
    def frame_bytes(self) -> int:
        """Number of bytes of one frame's pixels."""
        return self.rows * self.columns * self.stored.itemsize


def read_header(path: Path) -> DicomHeader | None:
    """Read what a DICOM file says about its slices; None when it holds no image.

    Raises:
        DamagedDicom: the file is cut off, or a length points beyond its end.
        UnusableCase: ``unreadable`` for a transfer syntax that is not supported.
        OSError: the file cannot be reached.
    """
    with path.open("rb") as file:
        beginning = file.read(4096)
        match = _SYNTAX.search(beginning)
        if not match:
            raise DamagedDicom("no transfer syntax")
        syntax = match[1].decode()
        if syntax not in _NATIVE + _PACKED:
            raise _unsupported(syntax)
        bounded = _BoundedFile(file)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = _parse(bounded, syntax)
                if found is None and CT_IMAGE.search(beginning):
                    raise DamagedDicom("no pixels")
                return None if found is None else _header(path, syntax, *found)
        except (UnusableCase, DamagedDicom):
            raise
        except OSError as error:
            if error.errno:
                raise
            raise DamagedDicom(str(error)) from error
        except Exception as error:
            raise DamagedDicom(type(error).__name__) from error


def _unsupported(syntax: str) -> UnusableCase:
    name = UID_dictionary.get(syntax, ("unknown",))[0]
    return UnusableCase(
        "unreadable", f"DICOM transfer syntax {name!r} is not supported; export it uncompressed"
    )


class _BoundedFile:
    """A file for pydicom that refuses reads and seeks beyond its end, and too many reads."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = file.seek(0, 2)
        self._reads = 0
        file.seek(0)
        self.name = ""

    def read(self, count: int = -1) -> bytes:
        self._reads += 1
        left = self._end - self._file.tell()
        if self._reads > _MOST_READS:
            raise DamagedDicom("too many elements")
        if count < 0 or count > left > 0:
            raise DamagedDicom("a length that points beyond the file")
        return self._file.read(min(count, left))

    def seek(self, offset: int, whence: int = 0) -> int:
        position = self._file.seek(offset, whence)
        if position > self._end:
            raise DamagedDicom("a length that points beyond the file")
        return position

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def _parse(file: _BoundedFile, syntax: str) -> tuple[Dataset, list[tuple[int, int]]] | None:
    """Return the elements of interest, and offset and length of the pixels; None without any."""
    at: list[tuple[int, int]] = []

    def note(tag: Any, vr: str | None, length: int) -> bool:
        if tag == 0x7FE00010:
            at.append((file.tell(), length))
        return bool(tag == 0x7FE00010 and length == _UNDEFINED)

    dataset = read_partial(file, stop_when=note, specific_tags=list(_TAGS))  # type: ignore[arg-type]
    if not at or "Rows" not in dataset:
        return None
    offset, length = at[0]
    if (length == _UNDEFINED) == (syntax in _NATIVE):
        raise DamagedDicom("pixels that do not fit the transfer syntax")
    if length != _UNDEFINED:
        return dataset, [(offset, length)]
    file.seek(offset)
    fragments = _fragments(file)
    rest = data_element_generator(file, False, True, specific_tags=[0x00080008])  # type: ignore[arg-type]
    for _ in rest:
        pass
    return dataset, fragments


def _fragments(file: _BoundedFile) -> list[tuple[int, int]]:
    """Return offset and length of each fragment of packed pixels, without the offset table."""
    found: list[tuple[int, int]] = []
    while True:
        head = file.read(8)
        tag, length = head[:4], int.from_bytes(head[4:], "little")
        if tag == b"\xfe\xff\xdd\xe0":
            return found[1:]
        if tag != b"\xfe\xff\x00\xe0":
            raise DamagedDicom("a missing fragment of pixels")
        found.append((file.tell(), length))
        file.seek(length, 1)


def _header(
    path: Path, syntax: str, dataset: Dataset, parts: Sequence[tuple[int, int]]
) -> DicomHeader:
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    frames = int(dataset.get("NumberOfFrames") or 1)
    allocated, bits = int(dataset.BitsAllocated), int(dataset.BitsStored)
    if min(rows, columns, frames) < 1 or allocated not in (8, 16, 32):
        raise DamagedDicom(f"{rows}×{columns}×{frames} pixels of {allocated} bits")
    if not 1 <= bits <= allocated or int(dataset.get("HighBit", bits - 1)) != bits - 1:
        raise DamagedDicom(f"{bits} of {allocated} bits")
    letter = "i" if int(dataset.get("PixelRepresentation", 0)) else "u"
    order = ">" if syntax == _BIG else "<"
    modality = str(dataset.get("Modality") or "").strip()
    header = DicomHeader(
        path,
        re.sub("[^0-9A-Za-z.]", "?", str(dataset.get("SeriesInstanceUID") or "")),
        modality if re.fullmatch("[A-Z]{2,8}", modality) else "",
        syntax,
        rows,
        columns,
        int(dataset.get("SamplesPerPixel", 1)),
        np.dtype(f"{order}{letter}{allocated // 8}"),
        bits,
        tuple(parts),
        (),
        phase_in(str(dataset.get(text) or "") for text in _PHASE_TEXTS),
        _thickness_mm(dataset),
    )
    wanted = header.frame_bytes * header.numbers * frames
    if header.native and parts[0][1] < wanted:
        raise DamagedDicom(f"{wanted - parts[0][1]} bytes of pixels missing")
    if not header.native and (len(parts) < frames or (frames > 1 and len(parts) != frames)):
        raise DamagedDicom(f"{len(parts)} fragments for {frames} frames")
    return header._replace(slices=_slices(dataset, frames))


def _thickness_mm(dataset: Dataset) -> float:
    """Return the slice thickness; 0 if it makes no sense, as only a verdict depends on it."""
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    frames = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])[:1]
    try:
        datasets = [dataset, *(part for group in (*frames, *shared) for part in _macros(group))]
        given = _floats(datasets, "SliceThickness", 1)
    except (DamagedDicom, TypeError, ValueError):
        return 0.0
    return max(given[0], 0.0) if given else 0.0


def _slices(dataset: Dataset, frames: int) -> tuple[DicomSlice, ...]:
    """Return the frames, described by the file itself or by its functional groups."""
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        alike = _slice(0, [dataset])
        if frames > 1:  # they cannot all be at the one position that the file gives
            alike = alike._replace(position_mm=None)
        return tuple(alike._replace(frame=number) for number in range(frames))
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    if len(groups) != frames:
        raise DamagedDicom(f"{len(groups)} descriptions of {frames} frames")
    return tuple(
        _slice(number, [item for part in (group, *shared) for item in _macros(part)])
        for number, group in enumerate(groups)
    )


def _macros(group: Dataset) -> list[Dataset]:
    """Return the functional groups with a frame's position, orientation, spacing and scale."""
    names = (
        "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
    )  # fmt: skip
    return [group[name][0] for name in names if group.get(name)]


def _slice(number: int, datasets: Sequence[Dataset]) -> DicomSlice:
    slope = _floats(datasets, "RescaleSlope", 1) or (1.0,)
    intercept = _floats(datasets, "RescaleIntercept", 1) or (0.0,)
    return DicomSlice(
        number,
        _floats(datasets, "ImagePositionPatient", 3),
        _floats(datasets, "ImageOrientationPatient", 6),
        _floats(datasets, "PixelSpacing", 2),
        slope[0],
        intercept[0],
    )


def _floats(datasets: Sequence[Dataset], keyword: str, count: int) -> tuple[float, ...] | None:
    """Return an attribute's values from the first dataset that has it; None if none has."""
    for dataset in datasets:
        value = dataset.get(keyword)
        if value is None or value == "":
            continue
        given = list(value) if isinstance(value, (pydicom.multival.MultiValue, list)) else [value]
        values = tuple(float(one) for one in given)
        if len(values) != count or not all(math.isfinite(one) for one in values):
            raise DamagedDicom(f"a {keyword} that is not {count} finite values")
        return values
    return None
