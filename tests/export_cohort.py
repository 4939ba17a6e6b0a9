"""Makes an output folder of three patients: DICOM, NIfTI, and one without a usable row."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from dicom_patient import patient, write_dicom

import pancseg
from pancseg import RunOptions

SETTINGS = """imageType: {Original: {}, LoG: {sigma: [6.0]}}
featureClass: {shape: [MeshVolume, Maximum2DDiameterSlice], firstorder: [Mean, Energy]}
pancseg: {mode: ibsi}
"""
REGIONS = {"pancreas": "1,2", "tumour": "2"}
TARGETS = ["dicom-seg", "dicom-sr", "rtstruct", "bids", "slicer"]


def make_output(base: Path) -> Path:
    """Write a cohort into a folder and measure it; return the output folder."""
    image, mask = patient()
    write_dicom(image, base / "ct" / "P1")
    other = sitk.Cast(image + 3, sitk.sitkInt16)
    pancseg.write_scan(other, base / "ct" / "P2.nii.gz")
    write_dicom(other, base / "ct" / "P3", "1.2.826.0.1.99.456")
    (base / "masks").mkdir()
    for name in ("P1", "P2"):
        pancseg.write_scan(mask, base / "masks" / f"{name}.nii.gz")
    pancseg.write_scan(mask * 0, base / "masks" / "P3.nii.gz")
    (base / "settings.yaml").write_text(SETTINGS)
    pancseg.extract_cohort(
        base / "ct",
        base / "out",
        masks=base / "masks",
        regions=REGIONS,
        settings=base / "settings.yaml",
        options=RunOptions(workers=0),
        pictures=False,
    )
    return base / "out"


def copy_of(measured: Path, base: Path) -> Path:
    """Copy an output folder, whose scans stay where they are; return the copy."""
    return Path(shutil.copytree(measured, base / "out"))


def region(name: str) -> np.ndarray:
    """The voxels of a region of every patient, (z, y, x)."""
    voxels = sitk.GetArrayFromImage(patient().mask)
    return np.asarray(voxels == 2 if name == "tumour" else voxels > 0)
