"""``pancseg labels`` lists what is in mask files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from rtstruct_file import write_rtstruct
from slicer_file import write_seg_nrrd
from typer.testing import CliRunner

from pancseg.cli import app

VOXELS = np.zeros((4, 6, 5), np.uint8)
VOXELS[1, 1], VOXELS[2, 1:3] = 1, 2


def test_the_segments_of_a_file_are_listed(tmp_path: Path) -> None:
    path = write_seg_nrrd(
        tmp_path / "P1.seg.nrrd", [VOXELS], [("duodenum", 1, 0), ("Pancreas", 2, 0)]
    )
    found = CliRunner().invoke(app, ["labels", str(path)])
    assert found.exit_code == 0
    assert "2      0      10  0.02  Pancreas\n" in found.stdout
    assert "without --label or --roi: pancreas\n" in found.stdout


def test_a_file_that_cannot_be_read_leaves_the_others(tmp_path: Path) -> None:
    path = write_seg_nrrd(tmp_path / "P1.seg.nrrd", [VOXELS], [("a", 1, 0), ("b", 2, 0)])
    found = CliRunner().invoke(app, ["labels", str(tmp_path / "gone.nrrd"), str(path)])
    assert found.exit_code == 1
    assert "gone.nrrd: the file does not exist" in found.stderr
    assert "refused (several_labels: the mask has no segment pancreas" in found.stdout
    assert "--label or --roi" in found.stdout


def test_the_regions_of_an_rtstruct_are_listed_without_voxels(tmp_path: Path) -> None:
    square = np.array([(0, 0, 0), (4, 0, 0), (4, 4, 0)], float)
    regions = {'Käse ^"x"': [square], "Pancreas": [square]}
    path = write_rtstruct(tmp_path / "rs.dcm", regions)
    found = CliRunner().invoke(app, ["labels", str(path)])
    assert found.exit_code == 0
    assert '1      0       –   –  Käse ^"x"\n' in found.stdout
    assert "without --label or --roi: pancreas\n" in found.stdout
    path = write_rtstruct(path, {"a": [square], "b": [square]})
    found = CliRunner().invoke(app, ["labels", str(path)])
    assert "refused (several_labels: the mask has no segment pancreas, but a (1), b (2)" in (
        found.stdout
    )


def test_a_scan_is_not_listed_as_a_mask(tmp_path: Path) -> None:
    hu = np.random.default_rng(1).normal(40, 200, (4, 6, 5))
    for kind in (np.int16, np.float32):
        sitk.WriteImage(sitk.GetImageFromArray(hu.round().astype(kind)), tmp_path / "ct.nii.gz")
        found = CliRunner().invoke(app, ["labels", str(tmp_path / "ct.nii.gz")])
        assert found.exit_code == 1
        assert f"the mask holds values from {hu.min():.0f} to {hu.max():.0f}" in found.stderr
        assert "is it the scan?" in found.stderr
        assert found.stdout == ""
