"""Masks are found under the names that Slicer, nnU-Net and people give them."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_study import ARTERIAL, PORTAL, write_study

from pancseg import CohortError, read_cohort


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def found(folder: Path, masks: Path | None = None) -> dict[str, tuple[str, str]]:
    """Return patient → names of its scan and its mask."""
    return {
        case.patient_id: (case.image.name, case.mask.name if case.mask else "")
        for case in read_cohort(folder, masks)
    }


@pytest.mark.parametrize(
    ("scan", "mask"),
    [
        ("P1.nrrd", "P1.seg.nrrd"),
        ("P1.nii.gz", "P1_seg.nii.gz"),
        ("P1.nii.gz", "P1_mask_final.nrrd"),
        ("P1.nii.gz", "p1-label.nrrd"),
        ("P1.nii.gz", "P1 Segmentation.nii"),
        ("P1_0000.nii.gz", "P1.nii.gz"),
        ("P1_0000.nii.gz", "P1_mask.nii.gz"),
        ("PDAC_001.nii.gz", "PDAC_001_mask.nii.gz"),
        ("Tumor-7.nii.gz", "Tumor-7.seg.nrrd"),
    ],
)
def test_a_mask_in_a_folder_of_masks_or_beside_its_scan(
    tmp_path: Path, scan: str, mask: str
) -> None:
    patient = scan.partition(".")[0]
    touch(tmp_path, f"ct/{scan}", f"masks/{mask}", f"both/{scan}", f"both/{mask}", "both/Z.nii")
    assert found(tmp_path / "ct", tmp_path / "masks") == {patient: (scan, mask)}
    assert found(tmp_path / "both") == {patient: (scan, mask), "Z": ("Z.nii", "")}


def test_a_mask_in_a_patients_folder(tmp_path: Path) -> None:
    touch(tmp_path, "P1/ct.nii.gz", "P1/mask.nii.gz", "P2/ct.nii.gz", "P2/pancreas.nii.gz")
    touch(tmp_path, "P3/scan.nii", "P3/P3_seg.nii", "P4/mask.nii.gz", "P5/ct.nii", "P5/liver.nii")
    touch(tmp_path, "P6/pancreas_001_0000.nii.gz", "P6/pancreas_001.nii.gz")
    assert found(tmp_path) == {
        "P1": ("ct.nii.gz", "mask.nii.gz"),
        "P2": ("ct.nii.gz", "pancreas.nii.gz"),
        "P3": ("scan.nii", "P3_seg.nii"),
        "P4": ("mask.nii.gz", ""),
        "P5": ("P5", ""),
        "P6": ("pancreas_001_0000.nii.gz", "pancreas_001.nii.gz"),
    }
    assert found(tmp_path / "P1") == {"ct": ("ct.nii.gz", "mask.nii.gz")}


@pytest.mark.parametrize("mask", ["P1/mask.nii.gz", "P1_mask.nii.gz", "P1/series/seg.nrrd"])
def test_a_mask_beside_a_dicom_series(tmp_path: Path, mask: str) -> None:
    touch(tmp_path, "P1/series/IM1", "P1/series/IM2", mask, "Z.nii")
    head = b"\0" * 128 + b"DICM\x02\0\x02\0UI\x1a\x001.2.840.10008.5.1.4.1.1.2\0"
    for name in ("IM1", "IM2"):
        (tmp_path / "P1" / "series" / name).write_bytes(head)
    name = mask.rpartition("/")[2]
    assert found(tmp_path) == {"P1": ("series", name), "Z": ("Z.nii", "")}


@pytest.mark.parametrize("mask", ["P1_seg.nii.gz", "P1.seg.nrrd", "P1_mask.nii.gz", "mask.nii"])
@pytest.mark.parametrize("place", ["series", "study", "loose"])
def test_a_mask_named_after_the_patient_of_a_dicom_series(
    tmp_path: Path, mask: str, place: str
) -> None:
    """In a cohort, and where the patient's folder is given itself."""
    patient = tmp_path / "ct" / "P1"
    write_study(patient, DICOM=PORTAL, **({"art": ARTERIAL} if place == "study" else {}))
    image = "DICOM" if place == "series" else "P1"
    if place == "loose":
        for path in (patient / "DICOM").iterdir():
            path.rename(patient / path.name)
        (patient / "DICOM").rmdir()
    touch(patient, mask)
    assert found(tmp_path / "ct") == {"P1": (image, mask)}
    assert found(patient) == {"P1": ("P1", mask)}


def test_a_volume_that_is_used_for_nothing_is_counted(tmp_path: Path) -> None:
    write_study(tmp_path / "P1", DICOM=PORTAL, art=ARTERIAL)
    touch(tmp_path, "P1/DICOM/P1_seg.nii.gz", "P2/ct.nii.gz")
    told: list[str] = []
    read_cohort(tmp_path, note=told.append)
    assert told == [
        "1 volume file beside a DICOM series is not its mask by its name and was left out; "
        "`verbose` names it"
    ]
    assert found(tmp_path) == {"P1": ("P1", ""), "P2": ("ct.nii.gz", "")}


def test_a_mask_of_another_organ_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "P1/liver.nii", "P1/liver_mask.nii", "P2/ct.nii", "P2/tumor_mask.nii")
    assert found(tmp_path) == {"P1": ("P1", ""), "P2": ("P2", "")}


def test_masks_are_counted_in_one_line_without_names(tmp_path: Path) -> None:
    touch(tmp_path, "P1.nii", "P1_mask.nii")
    told: list[str] = []
    read_cohort(tmp_path, note=told.append)
    assert told == ["1 file is a mask by its name, that of the scan beside it; `verbose` names it"]
    touch(tmp_path, "P2/ct.nii", "P2/seg.nii")
    told.clear()
    read_cohort(tmp_path, note=told.append)
    assert told == [
        "2 files are masks by their names, each of the scan beside it; `verbose` names them"
    ]


def test_two_masks_of_one_scan_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "ct", "P1.nii", "P1_mask.nii", "P1_seg.nii", "P2.nii")
    with pytest.raises(CohortError) as caught:
        read_cohort(tmp_path / "ct")
    assert caught.value.problems == [
        "1 scan has several files that are masks by their names (P1); keep one beside each scan, "
        "or write a manifest"
    ]
    touch(tmp_path / "masks", "P1.nii", "P1.seg.nrrd")
    touch(tmp_path / "scans", "P1.nii")
    with pytest.raises(CohortError) as caught:
        read_cohort(tmp_path / "scans", tmp_path / "masks")
    assert caught.value.problems == ["2 masks fit one case (P1.nii, P1.seg.nrrd); keep one"]


def test_a_folder_of_masks_goes_before_masks_beside_the_scans(tmp_path: Path) -> None:
    touch(tmp_path, "ct/P1.nii", "ct/P1_mask.nii", "ct/P2.nii", "ct/P2_mask.nii", "m/P1.nrrd")
    assert found(tmp_path / "ct", tmp_path / "m") == {
        "P1": ("P1.nii", "P1.nrrd"),
        "P2": ("P2.nii", ""),
    }


def test_a_mask_of_a_scan_that_is_not_there_is_not_anothers(tmp_path: Path) -> None:
    touch(tmp_path, "P1.nii", "P2_seg.nii")
    assert found(tmp_path) == {"P1": ("P1.nii", ""), "P2_seg": ("P2_seg.nii", "")}
