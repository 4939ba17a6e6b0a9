"""A mask given as RTSTRUCT is measured as the same mask is from NIfTI, and chosen by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from command_line import call
from dicom_series import write_series
from rtstruct_file import DrawnOn, in_mm, outlines, write_rtstruct
from small_cohort import SETTINGS

from pancseg import UnusableCase, read_cohort, read_scan, write_scan
from pancseg.phantom import make_phantom
from pancseg.scans.arrays import voxel_array
from pancseg.scans.masks import read_mask

SERIES = "1.2.826.0.1.19470312"


NAME = "Bauchspeicheldrüse^1"
CASES = {
    "given": ("mask.nii.gz", ""),
    "by_number": ("rs.dcm", "2"),
    "by_name": ("rs.dcm", NAME.lower()),
    "unnamed": ("rs.dcm", ""),
    "pointless": ("rs.dcm", "isocentre"),
    "missing": ("rs.dcm", "liver"),
}
"""Scan → its mask, and the label that is asked for."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What one scan gives with its mask as NIfTI, and as RTSTRUCT among other regions."""
    folder = tmp_path_factory.mktemp("drawn")
    phantom = make_phantom(1, size=(96, 96, 12), spacing_mm=(3.6, 3.6, 15.0))
    image, mask = phantom.image, phantom.mask
    write_scan(image, folder / "ct.nii.gz")
    write_scan(sitk.Cast(mask != 0, sitk.sitkUInt8), folder / "mask.nii.gz")
    body = [[(9, 9, z), (85, 9, z), (85, 85, z), (9, 85, z)] for z in range(12)]
    regions = {
        "BODY": [in_mm(corners, image) for corners in body],
        NAME: outlines(voxel_array(mask) != 0, image),
        "isocentre": [],
    }
    write_rtstruct(folder / "rs.dcm", regions)
    (folder / "quick.yaml").write_text(SETTINGS.replace(", label: 1", ""))
    rows = [f"P1,{scan},ct.nii.gz,{given},{label}" for scan, (given, label) in CASES.items()]
    manifest = folder / "cohort.csv"
    manifest.write_text("\n".join(["patient_id,scan_id,image,mask,mask_label", *rows, ""]))
    code, _, said = call(
        *("extract", manifest, "--out", folder / "out", "--config", folder / "quick.yaml"),
        *("--workers", "0", "--no-report"),
    )
    assert code == 1, said
    return pd.read_csv(folder / "out" / "features.csv").set_index("scan_id")


@pytest.mark.parametrize("chosen", ["by_number", "by_name"])
def test_features_are_those_of_the_same_mask_as_nifti(table: pd.DataFrame, chosen: str) -> None:
    given, drawn = table.loc["given"], table.loc[chosen]
    features = [name for name in given.index if name.startswith("original_")]
    assert len(features) > 30
    assert drawn["qc_status"] == given["qc_status"] != "fail"
    assert drawn["mask_sha256"] == given["mask_sha256"]
    assert drawn["qc_mask_label"] == f'"{NAME.lower()}"'
    assert np.allclose(
        drawn[features].astype(float), given[features].astype(float), rtol=1e-9, atol=0
    )


@pytest.mark.parametrize(
    ("scan", "reason", "fact"),
    [
        ("unnamed", "several_labels", f'no segment pancreas, but body (1), "{NAME.lower()}" (2)'),
        ("pointless", "empty_mask", "segment isocentre: it has no contours; draw it"),
        ("missing", "no_label", "the mask has no segment liver"),
    ],
)
def test_a_region_that_cannot_be_meant_fails(
    table: pd.DataFrame, scan: str, reason: str, fact: str
) -> None:
    row = table.loc[scan]
    assert row["qc_status"] == "fail"
    assert reason in row["qc_reasons"]
    assert fact in row["qc_message"]


def test_contours_of_a_dicom_series_are_those_of_no_other(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", [0, 2, 4, 6], SERIES, FrameOfReferenceUID=f"{SERIES}.7")
    scan = read_scan(tmp_path / "ct")
    voxels = np.zeros(voxel_array(scan).shape, bool)
    voxels[1:3, 2:5, 1:4] = True
    regions = {"pancreas": outlines(voxels, scan)}
    path = tmp_path / "rs.dcm"
    write_rtstruct(path, regions, DrawnOn(SERIES, f"{SERIES}.7"))
    assert np.array_equal(voxel_array(read_mask(path, scan)) != 0, voxels)
    for other in (DrawnOn(f"{SERIES}.1", f"{SERIES}.7"), DrawnOn(SERIES, f"{SERIES}.8")):
        write_rtstruct(path, regions, other)
        with pytest.raises(UnusableCase, match="another") as refused:
            read_mask(path, scan)
        assert (refused.value.code, "1947" in refused.value.fact) == ("geometry", False)


def test_the_rtstruct_beside_the_series_is_the_mask(tmp_path: Path) -> None:
    patient = tmp_path / "cohort" / "P1"
    write_series(patient / "ct", [0, 2, 4, 6], SERIES)
    (patient / "plan").mkdir()
    scan = read_scan(patient / "ct")
    voxels = np.ones(voxel_array(scan).shape, bool)
    regions = {"BODY": outlines(voxels, scan), "pancreas": outlines(voxels, scan)}
    drawn = write_rtstruct(patient / "plan" / "RS1", regions, DrawnOn(SERIES))
    (case,) = read_cohort(tmp_path / "cohort")
    assert case.mask == drawn
    (tmp_path / "masks").mkdir()
    drawn.rename(tmp_path / "masks" / "P1.dcm")
    (case,) = read_cohort(tmp_path / "cohort", tmp_path / "masks")
    assert case.mask == tmp_path / "masks" / "P1.dcm"
