"""`pancseg check`: one verdict per case, duplicates found, nothing segmented."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from pancseg import RunOptions, load_feature_settings, read_cohort, write_scan
from pancseg.cli import app
from pancseg.phantom import Phantom
from pancseg.pipeline.check import check_cases
from pancseg.scans.geometry import orient

pytestmark = pytest.mark.usefixtures("in_process")

REASONS = {
    "good": ("pass", ""),
    "thick": ("fail", "thick_slices"),
    "twin": ("fail", "duplicate"),
    "grid": ("fail", "thick_slices;geometry"),
    "empty": ("fail", "empty_mask"),
    "scan": ("fail", "duplicate"),
    "text": ("fail", "unreadable"),
    "moved": ("fail", "duplicate"),
    "turned": ("fail", "duplicate"),
}


def make_cohort(folder: Path, phantom: Phantom) -> Path:
    def write(image: sitk.Image, name: str, slice_mm: float) -> None:
        image = sitk.Image(image)
        image.SetSpacing((*image.GetSpacing()[:2], slice_mm))
        write_scan(image, folder / f"{name}.nii.gz")

    mask = sitk.Cast(phantom.mask > 0, sitk.sitkUInt8)
    for number, (name, slice_mm) in enumerate((("", 4.0), ("thick_", 6.5))):
        write(phantom.image + 3 * number, f"{name}ct", slice_mm)
        write(mask, f"{name}mask", slice_mm)
    write(phantom.image + 1, "other", 4.0)
    write(phantom.image + 2, "third", 4.0)
    write(phantom.image + 4, "thick_other", 6.5)
    moved, turned = sitk.Image(phantom.image), orient(phantom.image, "SAR")
    moved.SetOrigin((1.0, 2.0, 3.0))
    write(moved, "moved", 4.2)
    write_scan(turned, folder / "turned.nii.gz")
    write(mask * 0, "empty", 4.0)
    (folder / "text.nii.gz").write_text("no image")
    rows = [
        "patient_id,image,mask",
        "good,other.nii.gz,mask.nii.gz",
        "thick,thick_ct.nii.gz,thick_mask.nii.gz",
        "twin,ct.nii.gz,mask.nii.gz",
        "grid,thick_other.nii.gz,mask.nii.gz",
        "empty,third.nii.gz,empty.nii.gz",
        "scan,ct.nii.gz,",
        "text,text.nii.gz,",
        "moved,moved.nii.gz,",
        "turned,turned.nii.gz,",
    ]
    (folder / "cohort.csv").write_text("\n".join(rows) + "\n")
    (folder / "limits.yaml").write_text(
        "pancseg: {quality: {slice_mm: {warn_above: 5, fail_above: 6}}}\n"
    )
    return folder / "cohort.csv"


def test_every_case_has_a_verdict(tmp_path: Path, phantom: Phantom) -> None:
    cohort = make_cohort(tmp_path, phantom)
    options = ["--config", str(tmp_path / "limits.yaml"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["check", str(cohort), *options])
    assert result.exit_code == 1, result.output
    frame = pd.read_csv(tmp_path / "out" / "check.csv", keep_default_na=False)
    found = frame.set_index("patient_id")[["qc_status", "qc_reasons"]]
    assert {k: tuple(v) for k, v in found.iterrows()} == REASONS
    line = "twin: fail (duplicate): its scan has the same voxels as that of moved, scan, turned"
    assert line in result.stderr
    assert result.stderr.count("same voxels") == 1
    assert "9 rows in" in result.stdout
    good = frame.iloc[0]
    assert float(good["qc_components"]) == 1
    assert float(good["qc_volume_ml"]) > 25
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["check.csv"]


def test_nothing_lies_on_a_disk_while_it_works(
    tmp_path: Path, phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a check that is killed leaves no id anywhere."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    seen: list[list[Path]] = []
    cases = read_cohort(make_cohort(tmp_path, phantom))[:2]
    check_cases(
        cases,
        load_feature_settings("pyradiomics_default"),
        lambda _: seen.append(list((tmp_path / "tmp").iterdir())),
        RunOptions(workers=0),
    )
    assert seen == [[], []]


def test_limits_are_part_of_the_settings(tmp_path: Path, phantom: Phantom) -> None:
    cohort = make_cohort(tmp_path, phantom)
    cohort.write_text("patient_id,image,mask\ngood,other.nii.gz,mask.nii.gz\n")
    result = CliRunner().invoke(app, ["check", str(cohort)])
    assert result.exit_code == 0
    assert (
        "good: warn (thick_slices): slices are 4 mm apart (expected at most 3 mm)" in result.stderr
    )
    (tmp_path / "limits.yaml").write_text("pancseg: {quality: {slice: {warn_above: 5}}}\n")
    result = CliRunner().invoke(
        app, ["check", str(cohort), "--config", str(tmp_path / "limits.yaml")]
    )
    assert result.exit_code == 2
    assert "quality.slice" in result.stderr
