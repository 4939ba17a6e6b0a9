"""Masks are found under the names that programs give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pancseg.cohort.discovery import read_cohort
from pancseg.errors import CohortError


def _folders(tmp_path: Path, scans: list[str], masks: list[str]) -> tuple[Path, Path]:
    for folder, names in (("ct", scans), ("seg", masks)):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    return tmp_path / "ct", tmp_path / "seg"


@pytest.mark.parametrize(
    ("scan", "mask"),
    [
        ("P1.nrrd", "P1.seg.nrrd"),
        ("P1.nii.gz", "P1_seg.nii.gz"),
        ("P1.nii.gz", "p1_Segmentation.nii.gz"),
        ("P1.nii.gz", "P1_mask_pancreas.nii.gz"),
        ("P1.nii.gz", "P1-label_1.nrrd"),
        ("P1_0000.nii.gz", "P1.nii.gz"),
        ("P1_0000.nii.gz", "P1_mask.nii.gz"),
        ("P1_seg.nii.gz", "P1_seg.nii.gz"),
    ],
)
def test_a_mask_is_found_by_its_name(tmp_path: Path, scan: str, mask: str) -> None:
    ct, seg = _folders(tmp_path, [scan, "P11.nii.gz"], [mask])
    found = [case.mask and case.mask.name for case in read_cohort(ct, seg)]
    assert sorted(map(str, found)) == sorted([mask, "None"])


@pytest.mark.parametrize("mask", ["P1_liver.nii.gz", "P1_mask_liver.nii.gz", "P1mask.nii.gz"])
def test_a_mask_of_something_else_is_named(tmp_path: Path, mask: str) -> None:
    ct, seg = _folders(tmp_path, ["P1.nii.gz"], [mask])
    with pytest.raises(CohortError, match=f"1 of 1 masks belong to no case .{mask}"):
        read_cohort(ct, seg)


def test_two_masks_of_one_case_are_refused(tmp_path: Path) -> None:
    ct, seg = _folders(tmp_path, ["P1.nii.gz"], ["P1.nii.gz", "P1_mask.nii.gz"])
    with pytest.raises(CohortError, match=r"2 masks fit one case \(P1.nii.gz, P1_mask.nii.gz\)"):
        read_cohort(ct, seg)


def test_under_pseudonyms_no_name_is_shown(tmp_path: Path) -> None:
    ct, seg = _folders(tmp_path, ["P1.nii.gz"], ["Meyer.nii.gz"])
    with pytest.raises(CohortError) as refused:
        read_cohort(ct, seg, pseudonymise=list)
    assert "Meyer" not in str(refused.value)
