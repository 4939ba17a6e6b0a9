"""One scan under two ids is a duplicate, unless two readers drew on it."""

from __future__ import annotations

from pathlib import Path

from pancseg import Case, CaseResult, read_cohort
from pancseg.cohort.pseudonyms import pseudonymised
from pancseg.processing.duplicates import with_duplicates


def result(
    patient: str, scan: str = "", *, image: str = "a.nii", mask: str = "", reader: str = "",
    roi: str = "pancreas", drawn: str = "",
) -> CaseResult:  # fmt: skip
    case = Case(
        patient, Path(image), Path(mask) if mask else None, scan_id=scan, roi=roi, reader=reader
    )
    return CaseResult(case, "pass", values={"image_sha256": "voxels", "mask_sha256": drawn or mask})


def reasons(*results: CaseResult) -> list[str]:
    return [one.reason for one in with_duplicates(results, "image_sha256", "warn")]


def test_one_scan_of_two_patients_or_without_masks_is_a_duplicate() -> None:
    assert reasons(result("P1"), result("P2")) == ["duplicate", "duplicate"]
    assert reasons(result("P1", mask="m1"), result("P2", mask="m2")) == ["duplicate", "duplicate"]
    assert reasons(result("P1", "s1"), result("P1", "s2")) == ["duplicate", "duplicate"]


def test_two_masks_of_a_patient_on_one_image_are_two_readings() -> None:
    assert reasons(result("P1", "s1", mask="m1"), result("P1", "s2", mask="m2")) == ["", ""]
    third = result("P2", mask="m3")
    found = with_duplicates(
        [result("P1", "s1", mask="m1"), result("P1", "s2", mask="m2"), third],
        "image_sha256",
        "warn",
    )
    assert [one.same_scan for one in found] == [("P2",), ("P2",), ("P1_s1", "P1_s2")]


def test_the_same_mask_twice_is_a_duplicate() -> None:
    twice = result("P1", "s1", mask="m1", drawn="x"), result("P1", "s2", mask="m2", drawn="x")
    assert reasons(*twice) == ["duplicate", "duplicate"]


def test_a_copied_image_is_a_duplicate_unless_readers_are_named() -> None:
    one = result("P1", "s1", image="a.nii", mask="m1")
    assert reasons(one, result("P1", "s2", image="b.nii", mask="m2")) == ["duplicate"] * 2
    one = result("P1", "A", image="a.nii", mask="m1", reader="A")
    assert reasons(one, result("P1", "B", image="b.nii", mask="m2", reader="B")) == ["", ""]


def test_regions_of_two_readings_are_compared_by_region() -> None:
    rows = [
        result("P1", scan, mask=f"{scan}.nii", roi=roi, drawn=f"{roi} by {scan}")
        for scan in ("A", "B")
        for roi in ("pancreas", "tumour")
    ]
    assert reasons(*rows) == ["", "", "", ""]


def test_a_reader_is_part_of_the_scan_id_and_stands_in_the_table(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "m1.nrrd", "m2.nrrd"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "m.csv").write_text(
        "patient_id,image,mask,scan_id,Reader\n"
        "P1,a.nii.gz,m1.nrrd,baseline,Ada\nP1,a.nii.gz,m2.nrrd,baseline,Bob\nP2,a.nii.gz,,,Bob\n"
    )
    cases = read_cohort(tmp_path / "m.csv")
    assert [case.name for case in cases] == ["P1_baseline_Ada", "P1_baseline_Bob", "P2_Bob"]
    assert [case.carried for case in cases] == [
        (("reader", "Ada"),), (("reader", "Bob"),), (("reader", "Bob"),)
    ]  # fmt: skip


def test_readers_remain_readers_under_pseudonyms() -> None:
    cases = [
        Case("P1", Path(f"{who}.nii"), Path(f"m-{who}.nii"), scan_id=who, reader=who)
        for who in ("Ada", "Bob")
    ]
    hidden = pseudonymised(cases, b"0123456789abcdef")
    assert len({case.reader for case in hidden}) == 2
    assert all(case.reader[0] == "r" and len(case.reader) == 21 for case in hidden)
    rows = [CaseResult(case, "pass", values={"image_sha256": "voxels"}) for case in hidden]
    assert reasons(*rows) == ["", ""]
