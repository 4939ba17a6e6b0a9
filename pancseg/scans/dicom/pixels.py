"""Read the stored pixels of a DICOM frame; GDCM unpacks those that are packed.

GDCM sees a clean header of a few elements and the packed bytes, nothing else of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, SecondaryCaptureImageStorage

from pancseg.scans.dicom.elements import DamagedDicom
from pancseg.scans.dicom.frames import Part
from pancseg.scans.dicom.header import RLE, DicomHeader
from pancseg.system.native_output import quiet_library

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Second bytes of the JPEG and JPEG-LS markers that begin a frame and give its size."""


def stored_pixels(header: DicomHeader, frame: int, scratch: Path) -> NDArray[Any]:
    """Return one frame, ``(rows, columns)``, in the machine's byte order.

    Args:
        header: the file's header.
        frame: number of the frame in the file, from 0.
        scratch: a file that may be overwritten, for packed frames.

    Raises:
        DamagedDicom: the pixels cannot be unpacked, have another size than the header says, or need
            bits beyond those that the header counts.
        OSError: the file cannot be reached.
    """
    if header.native:
        count = header.rows * header.columns
        flat = np.fromfile(header.file, header.stored, count, offset=header.parts[frame][0][0])
        if len(flat) != count:
            raise DamagedDicom("missing pixels")
        pixels = flat.reshape(header.rows, header.columns)
    else:
        pixels = _unpacked(header, frame, scratch)
    pixels = pixels.astype(header.stored.newbyteorder("="), copy=False)
    if unused := header.stored.itemsize * 8 - header.bits:  # these bits may hold overlays
        used: NDArray[Any] = (pixels << unused) >> unused
        if header.high_bit != header.bits - 1 and (used != pixels).any():
            raise DamagedDicom(
                f"pixels of more than {header.bits} bits, its HighBit is {header.high_bit} "
                f"(expected {header.bits - 1})"
            )
        if not header.native and used.dtype.kind == "u" and (used != pixels).any():
            raise DamagedDicom(f"packed pixels of more than {header.bits} bits")
        return used
    return pixels


def _unpacked(header: DicomHeader, frame: int, scratch: Path) -> NDArray[Any]:
    packed = _joined(header.file, header.parts[frame])
    allocated = header.stored.itemsize * 8
    if header.syntax != RLE:
        found = _codestream(packed)
        if found is None or found[:2] != (header.rows, header.columns):
            raise DamagedDicom("packed pixels of another size")
        if found[2] > allocated or found[3] != 1:  # GDCM would write past its buffer
            raise DamagedDicom(f"packed pixels of {found[3]} × {found[2]} bits, not {allocated}")
    _write_clean(header, packed, scratch)
    try:
        with quiet_library():
            image = sitk.ReadImage(str(scratch), imageIO="GDCMImageIO")
    except RuntimeError as error:
        raise DamagedDicom("pixels that cannot be unpacked") from error
    pixels: NDArray[Any] = sitk.GetArrayFromImage(image)
    if pixels.size != header.rows * header.columns or pixels.dtype.kind not in "iu":
        raise DamagedDicom("packed pixels of another size")
    return pixels.reshape(header.rows, header.columns)


def _joined(path: Path, parts: Sequence[Part]) -> bytes:
    found = []
    with path.open("rb") as file:
        for offset, length in parts:
            file.seek(offset)
            found.append(file.read(length))
    return b"".join(found)


def _write_clean(header: DicomHeader, packed: bytes, path: Path) -> None:
    """Write the packed frame with only the elements that are needed to unpack it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    meta.TransferSyntaxUID = UID(header.syntax)
    clean = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    clean.SOPClassUID, clean.SOPInstanceUID = meta.MediaStorageSOPClassUID, UID("1.2.3")
    clean.Rows, clean.Columns, clean.SamplesPerPixel = header.rows, header.columns, 1
    clean.PhotometricInterpretation = "MONOCHROME2"
    clean.BitsAllocated, clean.BitsStored = header.stored.itemsize * 8, header.bits
    clean.HighBit, clean.PixelRepresentation = header.bits - 1, int(header.stored.kind == "i")
    clean.PixelData = encapsulate([packed], has_bot=False)
    clean["PixelData"].VR = "OB"
    clean["PixelData"].is_undefined_length = True
    clean.save_as(path, enforce_file_format=True)


def _codestream(packed: bytes) -> tuple[int, int, int, int] | None:
    """Return rows, columns, bits and values per pixel, as the packed stream itself gives them.

    None if it is not a JPEG, JPEG-LS or JPEG 2000 stream, or gives them twice.
    """
    try:
        return _of_jpeg_2000(packed) if packed[:2] == b"\xff\x4f" else _of_jpeg(packed)
    except (struct.error, IndexError):
        return None


def _of_jpeg_2000(packed: bytes) -> tuple[int, int, int, int] | None:
    """Read the SIZ marker, the first one (ISO 15444-1, A.5.1)."""
    if packed[2:4] != b"\xff\x51":
        return None
    right, bottom, left, top = struct.unpack_from(">4I", packed, 8)
    components = struct.unpack_from(">H", packed, 40)[0]
    return bottom - top, right - left, (packed[42] & 0x7F) + 1, components


def _of_jpeg(packed: bytes) -> tuple[int, int, int, int] | None:
    """Read the only marker that begins a frame, before the one that begins its scan."""
    found = None
    at = 2
    while packed[:2] == b"\xff\xd8" and packed[at] == 0xFF and packed[at + 1] != 0xDA:
        if packed[at + 1] in _JPEG_FRAMES:
            bits, rows, columns, components = struct.unpack_from(">BHHB", packed, at + 4)
            if found:
                return None
            found = rows, columns, bits, components
        at += 2 + int.from_bytes(packed[at + 2 : at + 4], "big")
    return found
