"""Writes a CT in memory as a DICOM series, and DICOM SEGs of it by hand, without highdicom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

SERIES, FRAME, STUDY = "1.2.826.0.1.88.5", "1.2.826.0.1.88.7", "1.2.826.0.1.88"
SEG, LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def write_ct(folder: Path, image: sitk.Image, **texts: Any) -> list[FileDataset]:
    """Write a volume as a series, and return its slices in the order of the volume."""
    folder.mkdir(parents=True, exist_ok=True)
    slices = []
    for z, plane in enumerate(sitk.GetArrayFromImage(image)):
        ct = _file_set(CT_IMAGE, f"{SERIES}.{z + 1}")
        ct.SeriesInstanceUID, ct.FrameOfReferenceUID, ct.StudyInstanceUID = SERIES, FRAME, STUDY
        ct.Modality, ct.PatientName, ct.PatientID = "CT", "Doe^Jane", "MRN-4711"
        ct.StudyDate, ct.StudyTime, ct.AccessionNumber, ct.StudyID = "20200101", "101010", "", ""
        ct.PatientSex, ct.PatientBirthDate, ct.ReferringPhysicianName = "", "", ""
        ct.InstanceNumber, ct.SliceThickness = z + 1, image.GetSpacing()[2]
        ct.ImagePositionPatient = _position(image, z)
        ct.ImageOrientationPatient = _orientation(image)
        ct.PixelSpacing = [image.GetSpacing()[1], image.GetSpacing()[0]]
        ct.SamplesPerPixel, ct.PhotometricInterpretation = 1, "MONOCHROME2"
        ct.Rows, ct.Columns = plane.shape
        ct.BitsAllocated, ct.BitsStored, ct.HighBit, ct.PixelRepresentation = 16, 16, 15, 1
        ct.RescaleSlope, ct.RescaleIntercept = 1, 0
        for name, text in texts.items():
            setattr(ct, name, text)
        ct.PixelData = plane.astype(np.int16).tobytes()
        ct.save_as(folder / f"IM{(z * 7) % 1000:04}.dcm", enforce_file_format=True)
        slices.append(ct)
    return slices


def write_seg(
    path: Path,
    image: sitk.Image,
    frames: Sequence[tuple[int, int, NDArray[Any]]],
    names: Sequence[str] = ("pancreas",),
    *,
    kind: str = "BINARY",
    bits: int | None = None,
    change: Callable[[FileDataset], object] | None = None,
) -> Path:
    """Write a SEG with no more than its pixels call for, and return its path.

    Args:
        path: of the file.
        image: the scan, whose slices the frames lie on.
        frames: number of the segment, of the slice, and the stored pixels, in any order.
        names: of the segments 1, 2, ….
        kind: BINARY, FRACTIONAL or LABELMAP; frames of the last have no segment.
        bits: of a stored pixel; None for those of the kind.
        change: may alter the data set before it is written.
    """
    seg = _file_set(LABEL_MAP if kind == "LABELMAP" else SEG, "1.2.826.0.1.88.9.1")
    seg.Modality, seg.SeriesInstanceUID = "SEG", "1.2.826.0.1.88.9"
    seg.StudyInstanceUID, seg.PatientName, seg.PatientID = STUDY, "Doe^Jane", "MRN-4711"
    seg.FrameOfReferenceUID, seg.SegmentationType = FRAME, kind
    seg.ReferencedSeriesSequence = [_set(SeriesInstanceUID=SERIES)]
    seg.SegmentSequence = [
        _set(SegmentNumber=number, SegmentLabel=name) for number, name in enumerate(names, 1)
    ]
    seg.SharedFunctionalGroupsSequence = [
        _set(
            PlaneOrientationSequence=[_set(ImageOrientationPatient=_orientation(image))],
            PixelMeasuresSequence=[
                _set(
                    PixelSpacing=[image.GetSpacing()[1], image.GetSpacing()[0]],
                    SpacingBetweenSlices=image.GetSpacing()[2],
                )
            ],
        )
    ]
    seg.PerFrameFunctionalGroupsSequence = [
        _frame(image, number if kind != "LABELMAP" else 0, z) for number, z, _ in frames
    ]
    seg.NumberOfFrames, seg.SamplesPerPixel = len(frames), 1
    seg.Rows, seg.Columns = frames[0][2].shape
    seg.PhotometricInterpretation, seg.PixelRepresentation = "MONOCHROME2", 0
    allocated = bits or {"BINARY": 1, "FRACTIONAL": 8, "LABELMAP": 8}[kind]
    seg.BitsAllocated = seg.BitsStored = allocated
    seg.HighBit = allocated - 1
    if kind == "FRACTIONAL":
        seg.MaximumFractionalValue = 255
    stored = np.stack([plane for _, _, plane in frames])
    if allocated == 1:
        pixels = np.packbits(stored.astype(np.uint8).ravel(), bitorder="little").tobytes()
    else:
        pixels = stored.astype(f"<u{allocated // 8}").tobytes()
    seg.PixelData = pixels + b"\0" * (len(pixels) % 2)
    with pydicom.config.disable_value_validation():
        if change:
            change(seg)
        seg.save_as(path, enforce_file_format=True)
    return path


def frames_of(number: int, voxels: NDArray[Any], *, empty: bool = False) -> list[Any]:
    """Return the frames of a segment ``(z, y, x)``; empty ones only on request."""
    return [(number, z, plane) for z, plane in enumerate(voxels) if empty or plane.any()]


def _frame(image: sitk.Image, number: int, z: int) -> Dataset:
    frame = _set(PlanePositionSequence=[_set(ImagePositionPatient=_position(image, z))])
    if number:
        frame.SegmentIdentificationSequence = [_set(ReferencedSegmentNumber=number)]
    return frame


def _set(**elements: Any) -> Dataset:
    made = Dataset()
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def _file_set(sop_class: str, instance: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, instance
    return made


def _position(image: sitk.Image, z: int) -> list[str]:
    return [f"{mm:.9g}" for mm in image.TransformIndexToPhysicalPoint((0, 0, z))]


def _orientation(image: sitk.Image) -> list[str]:
    cosines = np.reshape(image.GetDirection(), (3, 3))
    return [f"{cosine:.12g}" for cosine in (*cosines[:, 0], *cosines[:, 1])]
