"""Small valid scans of every format, to be broken by tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

SERIES = "1.2.826.0.1.3680043.2.1125.1"
SHAPE = (6, 16, 12)  # z, y, x


def voxels() -> np.ndarray[Any, np.dtype[np.int16]]:
    """Return HU that differ from voxel to voxel."""
    return np.random.default_rng(11).integers(-1000, 1200, SHAPE).astype(np.int16)


def image() -> sitk.Image:
    """Return them on an oblique, shifted grid."""
    made = sitk.GetImageFromArray(voxels())
    made.SetSpacing((0.75, 0.8, 2.5))
    made.SetOrigin((-100.5, 20.25, -300.0))
    c, s = float(np.cos(0.05)), float(np.sin(0.05))
    made.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    return made


def write(path: Path, *, packed: bool = False, of: sitk.Image | None = None) -> Path:
    """Write a small scan by ITK itself."""
    sitk.WriteImage(image() if of is None else of, str(path), useCompression=packed)
    return path


def write_slices(folder: Path, change: Callable[[Dataset, int], Any] | None = None) -> Path:
    """Write a DICOM series of 5 slices; ``change`` may alter each before it is written."""
    folder.mkdir()
    for number in range(5):
        dataset = a_slice(number)
        with pydicom.config.disable_value_validation():
            wanted = change is None or change(dataset, number) is not False
        if wanted:
            save(dataset, folder / f"{number}.dcm")
    return folder


def save(dataset: Dataset, path: Path) -> None:
    """Write a data set without asking whether it makes sense."""
    with pydicom.config.disable_value_validation():
        dataset.save_as(path, enforce_file_format=True)


def a_slice(number: int) -> FileDataset:
    """Return a slice of 16 × 12 pixels."""
    dataset = _dataset(CTImageStorage)
    _describe(dataset, rows=16, columns=12)
    dataset.InstanceNumber = number + 1
    dataset.ImagePositionPatient = [-10, -20, 2.5 * number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [0.8, 0.75], 2.5
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = stored(number).tobytes()
    return dataset


def stored(number: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Return the stored 12-bit numbers of a slice."""
    return (np.clip(voxels()[number], -1000, 1200) + 1024).astype(np.uint16)


def enhanced(frames: int = 5) -> FileDataset:
    """Return an enhanced CT: all slices as frames of one file."""
    dataset = _dataset(EnhancedCTImageStorage)
    _describe(dataset, rows=16, columns=12)
    dataset.NumberOfFrames = frames
    shared, measures, turn, scale = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.8, 0.75], 2.5
    turn.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = 1, -1024, "HU"
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([turn])
    shared.PixelValueTransformationSequence = Sequence([scale])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for number in range(frames):
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = [-10, -20, 2.5 * number]
        group.PlanePositionSequence = Sequence([place])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.PixelData = b"".join(stored(number).tobytes() for number in range(frames))
    return dataset


def packed(dataset: FileDataset, how: str, folder: Path) -> None:
    """Pack a slice's pixels as ITK does: JPEG2000, JPEGLS, JPEG; or RLE."""
    if how == "RLE":
        dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        return
    pixels = np.frombuffer(dataset.PixelData, np.uint16).reshape(1, dataset.Rows, dataset.Columns)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(folder / "packed.tmp"))
    writer.SetCompressor(how)
    writer.UseCompressionOn()
    writer.Execute(sitk.GetImageFromArray(pixels))
    made = pydicom.dcmread(folder / "packed.tmp")
    (folder / "packed.tmp").unlink()
    dataset.file_meta.TransferSyntaxUID = made.file_meta.TransferSyntaxUID
    dataset.PixelData = made.PixelData
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    for name in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(dataset, name, made[name].value)


def _dataset(kind: pydicom.uid.UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = SERIES, SERIES + ".1"
    dataset.Modality, dataset.PatientName = "CT", "DOE^JOHN"
    return dataset


def _describe(dataset: Dataset, *, rows: int, columns: int) -> None:
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
