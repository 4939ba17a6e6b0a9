"""The main job on real CTs: a row, a mask on the scan's own grid, and a Dice that is told.

The weights miss the pancreas in the third scan, which has no contrast (see their model card): there
only the way through is tested. ``pytest -s`` prints the Dice.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from pancseg import read_scan
from pancseg.cli import app
from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import axes_of, grid_difference_mm, on_grid_of
from pancseg.segmentation.overlap import dice

CASES = {
    "nih_p0006": ("nih_p0006_stack/ct.nii.gz", "nih_p0006_stack/mask.nii.gz", 1, 0.80),
    "dicom": ("totalseg/example_ct_dicom", "totalseg/example_seg_dicom.nii.gz", 7, 0.50),
    "small": ("totalseg/example_ct_sm.nii.gz", "totalseg/example_seg.nii.gz", 7, 0.0),
}
"""Scan, reference, label and the least Dice. nih_p0006 is of a training patient."""

VERDICTS = {
    "nih_p0006": (
        "warn",
        "not_hu;truncated",
    ),  # stored clipped to -160..240 HU; a part of the slices
    "dicom": ("fail", "volume;truncated"),  # 20 slices with the end of a pancreas
    "small": ("warn", "volume"),  # 11 mL of something else
}


@pytest.mark.parametrize("name", CASES)
def test_run_on_a_real_ct(name: str, data: Path, tmp_path: Path) -> None:
    image, reference, label, least = CASES[name]
    result = CliRunner().invoke(
        app, ["run", str(data / image), "--out", str(tmp_path), "--keep-failed"]
    )
    row = pd.read_csv(tmp_path / "features.csv", keep_default_na=False, na_values=[""]).iloc[0]
    assert (row["qc_status"], row.fillna("")["qc_reasons"]) == VERDICTS[name]
    assert result.exit_code == (row["qc_status"] == "fail")
    note = "pancseg: patient ids are the names of files and folders"
    assert (note in result.stderr) == (data / image).is_dir()
    assert row.filter(like="_shape_").isna().all() == ("truncated" in VERDICTS[name][1])
    assert row.filter(like="_glcm_").notna().all()
    scan = read_scan(data / image)
    (path,) = (tmp_path / "masks").glob("*.nii.gz")
    mask = read_scan(path)
    assert mask.GetSize() == scan.GetSize()
    assert axes_of(mask) == axes_of(scan)
    assert grid_difference_mm(scan, mask) < 1e-3
    truth = on_grid_of(scan, read_scan(data / reference))
    found = dice(voxel_array(mask) > 0, voxel_array(truth) == label)
    print(f"{name}: Dice {found:.3f}")
    assert found >= least
