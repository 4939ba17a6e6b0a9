"""Regions are chosen by name from a cohort's masks, and a row follows the names beside its mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import call
from slicer_file import write_seg_nrrd

from pancseg import RunOptions, check_cohort, write_scan
from pancseg.running import keys

HERE = RunOptions(workers=0)
SHAPE = (8, 30, 30)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Return a manifest of a scan with a mask of two overlapping segments, cut to a box."""
    scan = sitk.GetImageFromArray(np.random.default_rng(1).normal(60, 20, SHAPE).astype(np.int16))
    scan.SetSpacing((3, 3, 3))
    write_scan(scan, tmp_path / "ct.nii.gz")
    pancreas, tumour = np.zeros((2, 4, 20, 20), np.uint8)
    pancreas[:, 2:18, 2:18] = 1
    tumour[1:3, 10:19, 10:19] = 1
    write_seg_nrrd(
        tmp_path / "m.seg.nrrd", [pancreas, tumour], [("Pancreas", 1, 0), ("Tumor", 1, 1)],
        origin=(15, 15, 6), sides=(3, 3, 3),
    )  # fmt: skip
    (tmp_path / "m.csv").write_text("patient_id,image,mask\nP1,ct.nii.gz,m.seg.nrrd\n")
    return tmp_path / "m.csv"


def test_named_regions_of_a_cropped_file_with_layers_have_their_volumes(cohort: Path) -> None:
    regions = {
        "whole": "pancreas,tumor",
        "tumour": "Tumor|PDAC",
        "rest": "pancreas without tumor",
        "none": "spleen",
    }
    rows = check_cohort(cohort, regions=regions, options=HERE)
    volumes = [row.values.get("qc_volume_ml") for row in rows]
    both, tumour, shared = 4 * 16 * 16 + 2 * (81 - 64), 2 * 81, 2 * 64
    expected = [both, tumour, 4 * 16 * 16 - shared]
    assert volumes[:3] == pytest.approx([27 * n / 1000 for n in expected])
    assert [row.values.get("qc_mask_label") for row in rows[:3]] == [
        "pancreas+tumor", "tumor", "pancreas without tumor",
    ]  # fmt: skip
    assert rows[3].reason.endswith("no_label")
    assert "pancreas (1), tumor (1 in layer 1)" in rows[3].fact


def test_without_a_choice_both_are_joined(cohort: Path) -> None:
    (row,) = check_cohort(cohort, options=HERE)
    assert row.values["qc_mask_label"] == "pancreas+tumor"


def test_the_key_of_a_mask_with_layers_depends_on_names_and_voxels(cohort: Path) -> None:
    path = cohort.with_name("m.seg.nrrd")
    first = keys.of_given_mask(path)
    assert len(first) == 64
    path.write_bytes(path.read_bytes().replace(b"Name:=Tumor", b"Name:=Other"))
    assert keys.of_given_mask(path) not in ("", first)


def test_a_persons_name_in_a_mask_or_an_acceptance_stays_out_of_a_run_under_pseudonyms(
    tmp_path: Path,
) -> None:
    scan = sitk.GetImageFromArray(np.random.default_rng(1).normal(60, 20, SHAPE).astype(np.int16))
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[2:6, 5:25, 5:25] = 1
    mask = sitk.GetImageFromArray(voxels)
    write_scan(scan, tmp_path / "ct.nii.gz")
    write_scan(mask, tmp_path / "m.nii.gz")
    (tmp_path / "m.json").write_text('{"1": "Mueller Hans 1951"}')
    (tmp_path / "m.csv").write_text(
        "patient_id,image,mask,roi,mask_label,accept\n"
        "P1,ct.nii.gz,m.nii.gz,pancreas,,as Mueller wished\nP1,ct.nii.gz,m.nii.gz,all,1,\n"
    )
    (tmp_path / "key").write_text("0123456789abcdef")
    (tmp_path / "few.yaml").write_text("featureClass: {firstorder: [Mean]}\n")
    _, out, err = call(
        "extract", tmp_path / "m.csv", "--out", tmp_path / "o", "--workers", "0", "--no-report",
        "--pseudonymise", tmp_path / "key", "--config", tmp_path / "few.yaml",
    )  # fmt: skip
    written = [path.read_bytes() for path in (tmp_path / "o").rglob("*") if path.is_file()]
    assert b"several_labels" in b"".join(written)
    assert all(b"ueller" not in each for each in (out.encode(), err.encode(), *written))
