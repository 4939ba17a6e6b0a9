"""Writes synthetic DICOM series."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def write_series(
    folder: Path,
    positions_mm: list[float],
    uid: str,
    shear: float = 0.0,
    change: Callable[[FileDataset, int], object] | None = None,
    **texts: Any,
) -> None:
    """Write a synthetic CT series, slices in shuffled file order; ``change`` may alter each."""
    folder.mkdir(exist_ok=True, parents=True)
    for number, z in enumerate(positions_mm):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
        ds.SeriesInstanceUID, ds.StudyInstanceUID = uid, uid + ".1"
        ds.Modality, ds.PatientName, ds.InstanceNumber = "CT", "Doe^Jane", number + 1
        ds.ImagePositionPatient = [-10, -20 + shear * z, z]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.SliceThickness = [0.7, 0.7], 2.0
        ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 6, 5, 16, 16, 15
        ds.SamplesPerPixel, ds.PixelRepresentation = 1, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        for name, text in texts.items():
            setattr(ds, name, text)
        ds.PixelData = np.full((6, 5), int(z) + 1024, np.int16).tobytes()
        with pydicom.config.disable_value_validation():
            if change:
                change(ds, number)
            ds.save_as(folder / f"{uid[-3:]}-{(number * 7) % 10}.dcm", enforce_file_format=True)
