"""A cohort is read whole or refused with all its problems; every case has one result."""

from __future__ import annotations

import errno
import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pancseg import Case, CohortError, UnusableCase, read_cohort, read_scan
from pancseg.cohort.discovery import STATE_FOLDER
from pancseg.cohort.roi import parse_roi
from pancseg.processing.row import DraftRow, case_result


def problems_of(path: Path, masks: Path | None = None) -> list[str]:
    with pytest.raises(CohortError) as caught:
        read_cohort(path, masks)
    return caught.value.problems


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"")


def test_a_manifest_is_read_relative_to_itself(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "m.nii.gz")
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        "\ufeffpatient_id;image;mask;mask_label;scan_id;roi\r\n"
        "P1;a.nii.gz;m.nii.gz;7;;\r\nP1;a.nii.gz;;;follow-up;tumour\r\n;;;;;\r\n",
        encoding="utf-8",
    )
    first, second = read_cohort(manifest)
    assert first == Case("P1", tmp_path / "a.nii.gz", tmp_path / "m.nii.gz", parse_roi("7"))
    assert (second.scan_id, second.roi, second.mask) == ("follow-up", "tumour", None)
    assert (first.name, second.name) == ("P1", "P1_follow-up_tumour")


def test_a_manifest_has_rows_for_regions_of_one_scan(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "m.nii.gz")
    (tmp_path / "m.csv").write_text(
        "patient_id,image,mask,roi,mask_label\n"
        'P1,a.nii.gz,m.nii.gz,,"1,2"\n'
        "P1,a.nii.gz,m.nii.gz,tumour,2\n"
        "P1,a.nii.gz,m.nii.gz,ring5,ring(1+2;5mm;-200..300HU)\n"
    )
    cases = read_cohort(tmp_path / "m.csv")
    assert [case.name for case in cases] == ["P1", "P1_tumour", "P1_ring5"]
    assert {case.scan_name for case in cases} == {"P1"}
    labels = ["1,2", "2", "ring(1,2;5mm;-200..300HU)"]
    assert [str(case.mask_label) for case in cases] == labels


def test_rows_of_one_scan_have_one_image(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "b.nii.gz")
    rows = "P1,a.nii.gz,,\nP1,b.nii.gz,tumour,\nP1,b.nii.gz,,later\n"
    (tmp_path / "m.csv").write_text("patient_id,image,roi,scan_id\n" + rows)
    assert problems_of(tmp_path / "m.csv") == [
        "'P1_tumour' has another image or series_uid than 'P1', but the same ids; "
        "give each scan of a patient a different scan_id"
    ]


def test_all_problems_of_a_manifest_come_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz")
    (tmp_path / "m.csv").write_text(
        "patient_id,image,mask,mask_label,scan_if\n"
        "P1,a.nii.gz,,\nP1,a.nii.gz,,\nP2,gone.nii.gz,gone2.nii.gz,1-3\n\n,a.nii.gz,,\nA/B,,,\n"
    )
    text = "\n".join(problems_of(tmp_path / "m.csv"))
    for expected in (
        "the manifest's column 'scan_if' may be meant as 'scan_id'; rename it",
        "'P1' occurs twice",
        "line 4 (P2): the image does not exist",
        "line 4 (P2): the mask does not exist",
        "line 4 (P2): mask_label '1-3'",
        "line 6 (no id): patient_id is empty",
        "line 7 (A/B): image is empty",
        "line 7 (A/B): patient_id cannot be a file name",
    ):
        assert expected in text
    assert "gone.nii.gz" not in text


def test_what_is_not_there_costs_its_row_only(tmp_path: Path) -> None:
    """Unless nothing is there: then the paths are wrong, or a disk is away."""
    touch(tmp_path, "a.nii.gz")
    long = "x" * 5000
    rows = f"P1,a.nii.gz,gone.nii.gz\nP2,gone.nii.gz,\nP3,~/x.nii,a.nii.gz\nP4,{long},\n"
    (tmp_path / "m.csv").write_text("patient_id,image,mask\n" + rows)
    cases = read_cohort(tmp_path / "m.csv")
    assert [case.patient_id for case in cases] == ["P1", "P2", "P3", "P4"]
    assert [c.mask and c.mask.name for c in cases] == ["gone.nii.gz", None, "a.nii.gz", None]
    (tmp_path / "a.nii.gz").unlink()
    problems = problems_of(tmp_path / "m.csv")
    assert [problem.partition(":")[0] for problem in problems] == [
        "line 2 (P1)", "line 2 (P1)", "line 3 (P2)", "line 4 (P3)", "line 4 (P3)", "line 5 (P4)"
    ]  # fmt: skip
    assert "the image does not exist (paths are relative to the manifest)" in problems[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("patient_id,image,image_\n", "no rows"),
        ("P17,ct/P17.nii.gz\n", "no column 'image'"),
        ("patient_id,image\n", "no rows"),
        ("patient_id,image\nP1,a,b,c\n", "the row has 4 cells, the header 2 columns"),
        ("patient_id,image\nP1,.\nP2\n", "line 3 (P2): image is empty"),
        ("patient_id,image\nP1;.\n", "line 2 (P1;.): image is empty"),
        ('patient_id,image\nP1,.\nP2,"a\nP3,b\nP4,c\n', "line 3 (P2): a cell holds 3 lines"),
        ('patient_id,image\nP1,.\nP2,"a\nP3,"b\nP4,c\n', "line 3 (P2): a cell holds 2 lines"),
        ('patient_id,image,\nP1,.,\nP2,.,"\nP3,b,"\n', "line 3 (P2): a cell holds 2 lines"),
        ("", "no column 'image'"),
    ],
)
def test_malformed_manifests_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    assert any(expected in problem for problem in problems_of(tmp_path / "m.csv"))


def test_a_folder_has_a_patient_per_volume_and_per_subfolder(tmp_path: Path) -> None:
    touch(tmp_path, "b.nii.gz", "a.nrrd", ".hidden.nii.gz", "readme.txt")
    (tmp_path / "c").mkdir()
    assert [case.patient_id for case in read_cohort(tmp_path)] == ["a", "b", "c"]


def test_a_single_scan_and_a_folder_of_loose_files_are_one_patient(tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()
    touch(tmp_path / "ct", "IM0001", "IM0002")
    assert [c.patient_id for c in read_cohort(tmp_path / "ct")] == ["ct"]
    touch(tmp_path, "x.nii.gz")
    assert [c.patient_id for c in read_cohort(tmp_path / "x.nii.gz")] == ["x"]


def test_unusable_cohorts_are_refused(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == ["the folder is empty"]
    assert problems_of(tmp_path / "gone") == ["no such file or folder; check the path"]
    touch(tmp_path, "a.nii.gz", "a.nrrd")
    assert "'a' occurs twice" in problems_of(tmp_path)[0]


def test_masks_are_found_by_the_names_of_cases(tmp_path: Path) -> None:
    scans_, masks = tmp_path / "ct", tmp_path / "masks"
    scans_.mkdir()
    masks.mkdir()
    touch(scans_, "a.nii.gz", "b.nii.gz")
    (problem,) = problems_of(scans_, masks)
    assert problem.startswith("the folder of masks holds no mask file (.nii")
    touch(masks, "B.nrrd", "c.nii.gz")
    assert "1 of 2 masks belong to no case (c.nii.gz); name" in problems_of(scans_, masks)[0]
    (masks / "c.nii.gz").unlink()
    (masks / "B.nrrd").rename(masks / "b.nrrd")
    assert [case.mask for case in read_cohort(scans_, masks)] == [None, masks / "b.nrrd"]
    assert "one mask file for 2 scans" in problems_of(scans_, masks / "b.nrrd")[0]
    single = read_cohort(scans_ / "a.nii.gz", masks / "b.nrrd")
    assert single[0].mask == masks / "b.nrrd"


def test_regions_with_a_label_share_the_mask_of_their_scan(tmp_path: Path) -> None:
    """A mask of their own goes first; without a label only that one will do."""
    masks = tmp_path / "masks"
    masks.mkdir()
    touch(tmp_path, "a.nii.gz")
    touch(masks, "P1.nii.gz", "P1_own.nii.gz")
    (tmp_path / "m.csv").write_text(
        "patient_id,image,roi,mask_label\n"
        "P1,a.nii.gz,,\nP1,a.nii.gz,tumour,2\nP1,a.nii.gz,own,1\nP1,a.nii.gz,other,\n"
    )
    whole, own = masks / "P1.nii.gz", masks / "P1_own.nii.gz"
    assert [c.mask for c in read_cohort(tmp_path / "m.csv", masks)] == [whole, whole, own, None]
    assert [c.mask for c in read_cohort(tmp_path / "m.csv", own)] == [own, own, own, None]
    (tmp_path / "m.csv").write_text("patient_id,image,roi,mask_label\nP1,a.nii.gz,own,1\n")
    assert "1 of 2 masks belong to no case (P1.nii" in problems_of(tmp_path / "m.csv", masks)[0]


def test_a_folder_of_patients_with_one_scan_deeper_finds_it(tmp_path: Path) -> None:
    for place in ("p1/study/series", "p2", "out"):
        (tmp_path / place).mkdir(parents=True)
    touch(tmp_path / "p1/study/series", "IM1", "IM2")
    touch(tmp_path / "p2", "ct.nii.gz")
    first, second = read_cohort(tmp_path, leave_out=[tmp_path / "out"])
    assert (first.patient_id, first.image) == ("p1", tmp_path / "p1/study/series")
    assert (second.patient_id, second.image) == ("p2", tmp_path / "p2/ct.nii.gz")


def test_the_one_volume_of_a_patient_may_have_notes_beside_it(tmp_path: Path) -> None:
    for place in ("p1", "p2", "p3", "p4", "p5", "p6"):
        (tmp_path / place).mkdir()
    touch(tmp_path / "p1", "ct.mhd", "ct.raw")
    touch(tmp_path / "p2", "ct.nii.gz", "ct.json", "readme.txt")
    touch(tmp_path / "p3", "ct.nii.gz", "other.nii.gz")
    touch(tmp_path / "p4", "ct.nii.gz")
    write_dicom(tmp_path / "p4" / "IM1", CT)
    touch(tmp_path / "p5", "ct.mgz", "seg.nii.gz")  # the volume is no scan
    touch(tmp_path / "p6", "IM1.dcm", "seg.nii.gz")
    images = [str(case.image.relative_to(tmp_path)) for case in read_cohort(tmp_path)]
    assert images == ["p1/ct.mhd", "p2/ct.nii.gz", "p3", "p4", "p5", "p6"]
    with pytest.raises(UnusableCase, match=r"holds 2 files.*name the scan in a manifest"):
        read_scan(tmp_path / "p3")


def test_a_volume_beside_a_series_is_not_chosen(tmp_path: Path) -> None:
    """Which of the two is the scan? Masks in a folder, or notes, make no question."""
    touch(tmp_path, "z.nii.gz")
    for name in ("p1", "p2"):
        (tmp_path / name / "masks").mkdir(parents=True)
        touch(tmp_path / name, "ct.nii.gz")
        touch(tmp_path / name / "masks", "m.nii.gz")
    write_dicom(tmp_path / "p1" / "venous" / "IM1", CT)
    write_dicom(tmp_path / "p2" / "rt" / "dose.dcm", b"1.2.840.10008.5.1.4.1.1.481.2")
    (tmp_path / "p3" / "masks").mkdir(parents=True)  # whose scan is missing
    touch(tmp_path / "p3", "notes.txt")
    touch(tmp_path / "p3" / "masks", "m.nii.gz")
    images = [str(case.image.relative_to(tmp_path)) for case in read_cohort(tmp_path)]
    assert images == ["p1", "p2/ct.nii.gz", "p3", "z.nii.gz"]


def test_what_systems_put_beside_scans_is_in_no_way(tmp_path: Path) -> None:
    write_dicom(tmp_path / "p1" / "study" / "series" / "IM1", CT)
    touch(tmp_path / "p1", "Thumbs.db")
    touch(tmp_path / "p1" / "study", "desktop.ini")
    for place in ("p1/@eaDir", "@eaDir", "__MACOSX", "$RECYCLE.BIN"):
        (tmp_path / place).mkdir()
        touch(tmp_path / place, "p1.nii.gz")
    (case,) = read_cohort(tmp_path)
    assert case.image == tmp_path / "p1" / "study" / "series"


@pytest.mark.parametrize("out", [".", "results", "results/2024"])
def test_an_output_among_the_scans_is_no_patient(out: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz")
    (tmp_path / "b").mkdir()
    touch(tmp_path / "b", "ct.nii.gz")
    (tmp_path / out / "masks").mkdir(parents=True)
    (tmp_path / out / STATE_FOLDER).mkdir()
    touch(tmp_path / out, "features.csv", "run.jsonl")
    touch(tmp_path / out / "masks", "a.nii.gz")
    cases = read_cohort(tmp_path, leave_out=[tmp_path / out])
    assert [case.patient_id for case in cases] == ["a", "b"]
    if out == "results/2024":  # the same without --out, and with another one beside it
        for left_out in ([], [tmp_path / "results" / "2025"]):
            cases = read_cohort(tmp_path, leave_out=left_out)
            assert [case.patient_id for case in cases] == ["a", "b"]
    (tmp_path / "b" / "out").mkdir()  # inside a patient's folder, whose scan stays
    cases = read_cohort(tmp_path, leave_out=[tmp_path / out, tmp_path / "b" / "out"])
    assert [case.patient_id for case in cases] == ["a", "b"]
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "series").symlink_to(tmp_path / "b")  # nobody knows what is there
    cases = read_cohort(tmp_path, leave_out=[tmp_path / out, tmp_path / "c" / "out"])
    assert [case.patient_id for case in cases] == ["a", "b", "c"]


def test_an_earlier_runs_output_is_no_patient(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz")
    (tmp_path / "seg" / STATE_FOLDER).mkdir(parents=True)
    (tmp_path / "b").mkdir()
    notes: list[str] = []
    assert [case.patient_id for case in read_cohort(tmp_path, note=notes.append)] == ["a", "b"]
    assert notes == ["1 folder is an earlier run's output and was left out; `verbose` names it"]
    (tmp_path / "c" / STATE_FOLDER).mkdir(parents=True)
    write_dicom(tmp_path / "c" / "IM1", CT)  # the output went into the scan's own folder
    assert [case.patient_id for case in read_cohort(tmp_path)] == ["a", "b", "c"]
    alone = tmp_path / "seg" / "cohort"
    (alone / "out" / STATE_FOLDER).mkdir(parents=True)
    assert "nothing but outputs of earlier runs" in problems_of(alone)[0]


def test_a_folder_that_cannot_be_looked_into_costs_its_row_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.nii.gz")
    (tmp_path / "shut").mkdir()
    real = os.stat

    def stat(path: Any, *words: Any, **named: Any) -> os.stat_result:
        if "shut/" in os.fspath(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *words, **named)

    monkeypatch.setattr(os, "stat", stat)
    assert [case.patient_id for case in read_cohort(tmp_path)] == ["a", "shut"]


def test_dicom_beside_a_subfolder_is_the_scan(tmp_path: Path) -> None:
    (tmp_path / "IM1").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "reports").mkdir()
    assert [case.image for case in read_cohort(tmp_path)] == [tmp_path]
    touch(tmp_path, "ct.nii.gz")
    assert "both DICOM files and volume files" in problems_of(tmp_path)[0]


def write_dicom(path: Path, sop_class: bytes) -> None:
    """Write the beginning of a DICOM file: as much as tells what is stored in it."""
    uid = sop_class + b"\0" * (len(sop_class) % 2)
    meta = b"\x02\0\x02\0UI" + len(uid).to_bytes(2, "little") + uid
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0" * 128 + b"DICM" + meta)


CT, DIRECTORY, REPORT = (
    b"1.2.840.10008." + ending for ending in (b"5.1.4.1.1.2", b"1.3.10", b"5.1.4.1.1.88.67")
)


@pytest.mark.parametrize("beside", [DIRECTORY, REPORT])
def test_patients_beside_a_dicomdir_or_a_report_are_not_one_scan(
    beside: bytes, tmp_path: Path
) -> None:
    for name in ("pat1", "pat2"):
        write_dicom(tmp_path / name / "IM1", CT)
    write_dicom(tmp_path / "DICOMDIR", beside)
    notes: list[str] = []
    cases = read_cohort(tmp_path, note=notes.append)
    assert [case.patient_id for case in cases] == ["pat1", "pat2"]
    assert notes == ["1 file in the folder is not a scan and was left out; `verbose` names it"]


def test_a_patients_disc_is_looked_into(tmp_path: Path) -> None:
    """A DICOMDIR beside the one folder does not make the disc itself the series."""
    write_dicom(tmp_path / "pat1" / "DICOMDIR", DIRECTORY)
    write_dicom(tmp_path / "pat1" / "DICOM" / "series" / "IM1", CT)
    write_dicom(tmp_path / "pat2" / "IM1", CT)
    (tmp_path / "pat2" / "notes").mkdir()
    images = [case.image for case in read_cohort(tmp_path)]
    assert images == [tmp_path / "pat1" / "DICOM" / "series", tmp_path / "pat2"]


def test_slices_beside_folders_of_scans_are_refused(tmp_path: Path) -> None:
    """Whose are they? One row for all would lose patients."""
    for name in ("pat1", "pat2"):
        write_dicom(tmp_path / name / "study" / "IM1", CT)
    write_dicom(tmp_path / "IM0", CT)
    assert "both DICOM files and subfolders with scans" in problems_of(tmp_path)[0]
    write_dicom(tmp_path / "whole" / "IM0", CT)
    write_dicom(tmp_path / "whole" / "reports" / "SR1", REPORT)
    assert [c.image for c in read_cohort(tmp_path / "whole")] == [tmp_path / "whole"]


def test_no_entry_of_a_folder_is_dropped_without_a_word(tmp_path: Path) -> None:
    """What somebody took for a patient has a row, though it cannot be read; the rest is counted."""
    touch(tmp_path, "A.nii.gz", "D.nii.bz2", "E.hdr", "E.img", "F.zip", "A.zip", "notes.txt")
    touch(tmp_path, "G.mhd", "G.raw")
    for name in ("B", "C.nii.gz"):
        (tmp_path / name).symlink_to(tmp_path / "gone")
    notes: list[str] = []
    cases = read_cohort(tmp_path, note=notes.append)
    assert [case.patient_id for case in cases] == ["A", "B", "C", "D", "E", "F", "G"]
    assert notes == ["2 files in the folder are not scans and were left out; `verbose` names them"]
    for case in cases:
        with pytest.raises(UnusableCase, match=r".") as caught:
            read_scan(case.image)
        assert caught.value.code == "unreadable"


def test_a_table_in_another_format_is_not_a_patient(tmp_path: Path) -> None:
    touch(tmp_path, "cohort.ods")
    assert "save a table as .xlsx or CSV UTF-8" in problems_of(tmp_path / "cohort.ods")[0]


def test_one_case_costs_only_itself() -> None:
    def fill(row: DraftRow, name: str) -> None:
        row.values["x"] = 1.0
        row.note("thick_slices", "warn", "4 mm")
        if name == "bad":
            raise UnusableCase("empty_mask", "none of 8 voxels")
        if name == "bug":
            raise OSError("/home/doe/scan")
        row.values["y"] = float("inf")
        row.note("thick_slices", "fail", "again")

    names = ("bad", "bug", "a")
    results = [case_result(Case(n, Path("x")), partial(fill, name=n)) for n in names]
    assert [o.status for o in results] == ["fail", "error", "fail"]
    expected = ["thick_slices;empty_mask", "thick_slices;OSError", "thick_slices"]
    assert [o.reason for o in results] == expected
    assert results[1].fact == "4 mm; unexpected OSError; run with `verbose` for the traceback"
    assert [o.values["x"] for o in results] == [1.0, 1.0, 1.0]
    assert math.isnan(float(results[2].values["y"]))


def test_what_nothing_is_wrong_with_passes() -> None:
    result = case_result(Case("a", Path("x")), lambda row: row.values.update(x=1.0))
    assert (result.status, result.reason, result.fact) == ("pass", "", "")
