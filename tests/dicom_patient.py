"""A synthetic patient as a DICOM series, with a mask of pancreas (1) and tumour (2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from dicom_series import write_series
from pydicom.dataset import FileDataset

from pancseg.phantom import make_phantom
from pancseg.scans.arrays import image_like

NAME = "Müller^Änne"
IDENTITY: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": NAME,
    "PatientID": "MRN-4711",
    "PatientBirthDate": "19510203",
    "PatientSex": "F",
    "StudyDate": "20240506",
    "StudyTime": "101112",
    "AccessionNumber": "ACC-815",
    "StudyID": "S7",
    "ReferringPhysicianName": "Groß^Karl",
    "FrameOfReferenceUID": "1.2.826.0.1.99.5",
    "PositionReferenceIndicator": "",
}
UID = "1.2.826.0.1.99.123"


class Patient(NamedTuple):
    """A scan and its label map."""

    image: sitk.Image
    mask: sitk.Image


@cache
def patient() -> Patient:
    """A whole patient on a coarse grid, with an oblique table: quick to measure."""
    made = make_phantom(3, size=(64, 64, 32), spacing_mm=(5.4, 5.0, 5.0))
    image, mask = made.image[:, :, 1:26], made.mask[:, :, 1:26] != 0
    columns = np.nonzero(sitk.GetArrayFromImage(mask))[2]
    voxels = sitk.GetArrayFromImage(mask)
    voxels[:, :, int(np.median(columns)) :] *= 2
    whole = Patient(image, image_like(voxels, image))
    turn = 0.05
    c, s = float(np.cos(turn)), float(np.sin(turn))
    for image in whole:
        image.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
        image.SetOrigin((-100.5, 20.25, -300.125))
    return whole


def write_dicom(
    image: sitk.Image,
    folder: Path,
    uid: str = UID,
    also: Callable[[FileDataset], object] = lambda _: None,
) -> None:
    """Write a volume as a CT series; slices are in the opposite order of their positions."""
    voxels = sitk.GetArrayFromImage(image)
    last = len(voxels) - 1

    def change(slice_: FileDataset, number: int) -> None:
        z = last - number
        axes = np.reshape(image.GetDirection(), (3, 3))
        x_mm, y_mm, gap_mm = image.GetSpacing()
        slice_.Rows, slice_.Columns = voxels.shape[1:]
        slice_.PixelSpacing, slice_.SliceThickness = [y_mm, x_mm], gap_mm
        place = image.TransformIndexToPhysicalPoint((0, 0, z))
        slice_.ImagePositionPatient = [round(float(mm), 8) for mm in place]
        slice_.ImageOrientationPatient = [round(float(v), 10) for v in axes.T[:2].ravel()]
        slice_.PixelData = (voxels[z] + 1024).astype(np.int16).tobytes()
        slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID
        slice_.InstanceNumber = number + 1
        also(slice_)

    write_each(folder, len(voxels), uid, change)


def write_each(
    folder: Path, count: int, uid: str, change: Callable[[FileDataset, int], object]
) -> None:
    """Write slices one by one, as the maker has names for ten files only."""
    for number in range(count):
        write_series(
            folder,
            [float(number)],
            uid,
            change=lambda slice_, _, n=number: change(slice_, n),
            **IDENTITY,
        )
        written = folder / f"{uid[-3:]}-0.dcm"
        written.rename(folder / f"slice{number:03}.dcm")
