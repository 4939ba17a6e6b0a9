"""Read what one DICOM file says about its slices, within bounds and before any decoder sees it.

Every length in the file is checked against the file's end first, because GDCM allocates whatever a
length says.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydicom._uid_dict import UID_dictionary

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.contrast_phase import PHASE_TEXTS, phase_in
from pancseg.scans.dicom.detect import CT_IMAGE
from pancseg.scans.dicom.elements import (
    MOST_ITEMS,
    DamagedDicom,
    DataSet,
    ElementWalk,
    Pixels,
)
from pancseg.scans.dicom.frames import (
    FRAME_CONTENT,
    MACROS,
    DicomSlice,
    Part,
    parts_of_frames,
    slices_of,
    thickness_mm,
)
from pancseg.scans.dicom.modality_lut import MOST_BYTES, ModalityLut, modality_lut
from pancseg.scans.dicom.values import (
    UnusableHeader,
    most_bytes,
    number_of,
    tag,
    text_of,
    uid_of,
    whole,
)

_IMPLICIT, _EXPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_NATIVE = (_IMPLICIT, _EXPLICIT, _BIG)
RLE = "1.2.840.10008.1.2.5"
_PACKED = (
    *(f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 57, 70, 80, 81, 90, 91)),
    RLE,
)
"""JPEG baseline, extended, lossless; JPEG-LS, JPEG 2000 (lossless and not); RLE."""
_WANTED = {
    tag(keyword): most_bytes(keyword)
    for keyword in (
        "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesInstanceUID", "FrameOfReferenceUID",
        "Rows", "Columns",
        "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated",
        "BitsStored", "HighBit", "PixelRepresentation", "ImagePositionPatient",
        "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
        "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", *MACROS,
        *FRAME_CONTENT,
        "SliceThickness", "SpecificCharacterSet", "AcquisitionNumber",
        "TemporalPositionIdentifier", *PHASE_TEXTS,
    )
} | {
    tag("ModalityLUTSequence"): 0,
    tag("LUTDescriptor"): most_bytes("LUTDescriptor"),
    tag("LUTData"): MOST_BYTES,
}  # fmt: skip
MODALITIES = frozenset(
    ("AU", "BI", "BMD", "CR", "CT", "DG", "DMS", "DOC", "DX", "ECG", "EPS", "ES", "FID", "GM", "HC",
     "HD", "IO", "IVOCT", "IVUS", "KO", "LS", "M3D", "MG", "MR", "NM", "OCT", "OP", "OPT", "OT",
     "PLAN", "PR", "PT", "PX", "REG", "RESP", "RF", "RG", "RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD",
     "RTSTRUCT", "RWV", "SC", "SEG", "SM", "SR", "TG", "US", "XA", "XC")
)  # fmt: skip
"""Terms of Modality (PS3.3, C.7.3.1.1.1) that may be shown."""
_COLOURS = frozenset(
    ("PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420",
     "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT", "XYB")
)  # fmt: skip
"""Terms of PhotometricInterpretation except MONOCHROME1 and 2 (PS3.3, C.7.6.3.1.2)."""


class DicomHeader(NamedTuple):
    """What one DICOM file says about its slices.

    Attributes:
        file: path of the file.
        series_uid: UID of its series; empty if the file gives none.
        instance_uid: UID of the file's image; empty if the file gives none.
        modality: a defined term, for example ``CT``; ``unknown`` for any other; or empty.
        colours: the defined term of its colours; empty for grey values, or if not known.
        syntax: UID of the transfer syntax.
        rows, columns: size of each frame.
        numbers: number of values per pixel.
        stored: type of a stored pixel value.
        bits: number of its bits that are used.
        high_bit: number of the highest of them, from 0; ``bits - 1`` unless the header is odd.
        parts: for each frame, the places of its pixels in the file: one, or its packed fragments.
        slices: one for each frame.
        phase: the contrast phase that its text names, one of ``contrast_phase.PHASES``, or empty.
        thickness_mm: slice thickness; 0 if the file gives none.
        acquisition, temporal: numbers of the acquisition, and of the position in time; or None.
        lut: table that turns stored values into HU, where no slice has rescale values; or None.
        frame_uid: UID of the frame of reference of its positions; empty if the file gives none.
    """

    file: Path
    series_uid: str
    instance_uid: str
    modality: str
    colours: str
    syntax: str
    rows: int
    columns: int
    numbers: int
    stored: np.dtype[Any]
    bits: int
    high_bit: int
    parts: tuple[tuple[Part, ...], ...]
    slices: tuple[DicomSlice, ...]
    phase: str = ""
    thickness_mm: float = 0.0
    acquisition: int | None = None
    temporal: int | None = None
    lut: ModalityLut | None = None
    frame_uid: str = ""

    def with_frames(self, slices: tuple[DicomSlice, ...]) -> DicomHeader:
        """Return a header of some frames of the file, and of when these were taken."""
        first = slices[0]
        return self._replace(slices=slices, acquisition=first.acquisition, temporal=first.temporal)

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

    The encoding of the data set is taken from its first element: transfer syntaxes are missing
    from some files and wrong in others.

    Raises:
        DamagedDicom: the file is cut off, or a length points beyond its end.
        UnusableHeader: an element has an impossible value.
        UnusableCase: ``unreadable`` for a transfer syntax that is not supported, and for more
            elements than a CT has.
        OSError: the file cannot be reached.
    """
    with path.open("rb") as file:
        walk = ElementWalk(file)
        stated = syntax_of(walk)
        data_set, pixels = walk.data_set(_WANTED)
        if pixels is None or tag("Rows") not in data_set:
            if CT_IMAGE.match(uid_of(data_set, "SOPClassUID").encode()):
                raise DamagedDicom("a CT without pixels")
            return None
        if pixels.packed and stated not in _PACKED:
            syntax = f"is {_name(stated)}" if stated else "is missing"
            raise UnusableHeader(f"TransferSyntaxUID {syntax}, but the pixels are packed")
        native = _BIG if walk.big_endian else _EXPLICIT if walk.explicit else _IMPLICIT
        header = _header(path, stated if pixels.packed else native, data_set, walk.big_endian)
        frames = whole(data_set, "NumberOfFrames", walk.big_endian, 1) or 1
        parts = _parts(header, pixels, frames)
        length = sum(length for places in parts for _, length in places)
        if header.native and stated in _PACKED and pixels.parts[0][1] - length not in (0, 1):
            raise UnusableHeader(f"TransferSyntaxUID is {_name(stated)}, but the pixels are raw")
        slices = slices_of(data_set, frames, walk.big_endian)
        lut = None
        if not any(each.rescaled for each in slices):
            lut = modality_lut(data_set, walk.big_endian, header.stored.kind == "i")
        if lut:
            slices = tuple(each._replace(rescaled=True) for each in slices)
        return header._replace(parts=parts, slices=slices, lut=lut)


def syntax_of(walk: ElementWalk) -> str:
    """Return the transfer syntax that a file states; empty if it states none.

    Raises:
        UnusableCase: ``unreadable``, for one that is not supported.
    """
    stated = walk.stated_syntax if re.fullmatch("[0-9.]{5,64}", walk.stated_syntax) else ""
    if stated and stated not in _NATIVE + _PACKED:
        raise UnusableCase(
            "unreadable",
            f"DICOM transfer syntax {_name(stated)!r} is not supported; export it uncompressed",
        )
    return stated


def _name(syntax: str) -> str:
    return UID_dictionary.get(syntax, ("unknown",))[0]


def _header(path: Path, syntax: str, data_set: DataSet, big_endian: bool) -> DicomHeader:
    """Return what a file's own elements say, without its frames."""
    rows, columns = (whole(data_set, name, big_endian) for name in ("Rows", "Columns"))
    allocated = whole(data_set, "BitsAllocated", big_endian)
    bits = whole(data_set, "BitsStored", big_endian)
    high = whole(data_set, "HighBit", big_endian, bits - 1)
    if min(rows, columns) < 1:
        raise UnusableHeader(f"Rows and Columns are {rows} and {columns} (expected 1 or more)")
    if allocated not in (8, 16, 32):
        raise UnusableHeader(f"BitsAllocated is {allocated} (expected 8, 16 or 32)")
    if not 1 <= bits <= allocated:
        raise UnusableHeader(f"BitsStored is {bits} (expected 1–{allocated})")
    if not bits - 1 <= high < allocated:
        raise UnusableHeader(f"HighBit is {high} (expected {bits - 1}, as BitsStored is {bits})")
    letter = "i" if whole(data_set, "PixelRepresentation", big_endian, 0) else "u"
    modality = text_of(data_set, "Modality").upper()
    colours = text_of(data_set, "PhotometricInterpretation").upper()
    return DicomHeader(
        path,
        uid_of(data_set, "SeriesInstanceUID"),
        uid_of(data_set, "SOPInstanceUID"),
        modality if not modality or modality in MODALITIES else "unknown",
        colours if colours in _COLOURS else "",
        syntax,
        rows,
        columns,
        whole(data_set, "SamplesPerPixel", big_endian, 1),
        np.dtype(f"{'>' if big_endian else '<'}{letter}{allocated // 8}"),
        bits,
        high,
        (),
        (),
        phase_in(text_of(data_set, name) for name in PHASE_TEXTS),
        thickness_mm(data_set, big_endian),
        number_of(data_set, "AcquisitionNumber", big_endian),
        number_of(data_set, "TemporalPositionIdentifier", big_endian),
        frame_uid=uid_of(data_set, "FrameOfReferenceUID"),
    )


def _parts(header: DicomHeader, pixels: Pixels, frames: int) -> tuple[tuple[Part, ...], ...]:
    """Return the places of each frame's pixels."""
    if not 1 <= frames <= MOST_ITEMS:
        raise UnusableHeader(f"NumberOfFrames is {frames} (expected 1–{MOST_ITEMS})")
    if pixels.packed:
        return parts_of_frames(header.file, pixels, frames, joined=header.syntax != RLE)
    length = header.frame_bytes * header.numbers
    offset, given = pixels.parts[0]
    if given < length * frames:
        raise DamagedDicom(f"{length * frames - given} bytes of pixels are missing")
    return tuple(((offset + number * length, length),) for number in range(frames))
