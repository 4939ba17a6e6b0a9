"""A manifest is read as people, spreadsheets and pyradiomics write it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pancseg import Case, CohortError, read_cohort


def cohort(folder: Path, text: str, **options: object) -> list[Case]:
    (folder / "m.csv").write_text(text)
    return read_cohort(folder / "m.csv", **options)  # type: ignore[arg-type]


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(CohortError) as caught:
        cohort(folder, text)
    return caught.value.problems


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ct").mkdir()
    for name in ("ct/P1.nii.gz", "ct/P2.nii.gz", "m.nrrd"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    "header",
    ["Patient_ID,Image,Mask,Mask_Label", "PATIENT ID,IMAGE,MASK,mask-label", "ID,Image,Mask,Label"],
)
def test_columns_are_known_in_any_case(folder: Path, header: str) -> None:
    (case,) = cohort(folder, f"{header}\nP1,ct/P1.nii.gz,m.nrrd,1.0\n")
    assert (case.patient_id, case.image, case.mask) == (
        "P1", folder / "ct/P1.nii.gz", folder / "m.nrrd"
    )  # fmt: skip
    assert str(case.mask_label) == "1"
    assert case.extra == ()


def test_pyradiomics_header_takes_ids_from_the_images(folder: Path) -> None:
    told: list[str] = []
    rows = "ct/P1.nii.gz,m.nrrd,2\nct/P2.nii.gz,m.nrrd,\n"
    cases = cohort(folder, f"Image,Mask,Label\n{rows}", note=told.append)
    assert [case.patient_id for case in cases] == ["P1", "P2"]
    assert [str(case.mask_label or "") for case in cases] == ["2", ""]
    assert told == ["the manifest has no column patient_id: the names of the images are the ids"]


def test_ids_are_names_of_folders_where_files_share_one(folder: Path) -> None:
    for name in ("A", "B"):
        (folder / name).mkdir()
        (folder / name / "ct.nii").write_bytes(b"")
    cases = cohort(folder, "Image\nA/ct.nii\nB\\ct.nii\n")
    assert [case.patient_id for case in cases] == ["A", "B"]


def test_a_channel_that_is_not_read_is_refused(folder: Path) -> None:
    header = "Image,Mask,Label,Label_channel\n"
    (problem,) = problems(folder, f"{header}ct/P1.nii.gz,m.nrrd,1,2\n")
    assert "label_channel is not 0; save that channel as a mask of its own" in problem
    assert cohort(folder, f"{header}ct/P1.nii.gz,m.nrrd,1,0\n")[0].extra == ()


def test_a_label_without_a_mask_is_an_outcome(folder: Path) -> None:
    (case,) = cohort(folder, "patient_id,image,label\nP1,ct/P1.nii.gz,0\n")
    assert (case.mask_label, case.extra) == (None, (("label", "0"),))


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_separator_that_excel_declares(folder: Path, first: str) -> None:
    (case,) = cohort(folder, f"{first}\r\npatient_id;image;a,b,c,d\r\nP1;ct/P1.nii.gz;\r\n")
    assert (case.patient_id, case.image) == ("P1", folder / "ct/P1.nii.gz")
    (problem,) = problems(folder, f"{first}\npatient_id;image\nP1;ct/P1.nii.gz\nP2;\n")
    assert problem.startswith("line 4 (P2): image is empty; fill it in")


@pytest.mark.parametrize(
    "path", ["ct\\P1.nii.gz", '"""ct\\P1.nii.gz"""', "~/ct/P1.nii.gz", "~\\ct\\P1.nii.gz"]
)
def test_paths_with_backslashes_quotes_and_home(
    folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (case,) = cohort(folder, f"patient_id,image\nP1,{path}\n")
    assert case.image == folder / "ct" / "P1.nii.gz"


@pytest.mark.skipif(os.name != "posix", reason="on Windows these are paths")
def test_a_path_of_windows_has_its_own_remedy(folder: Path) -> None:
    (problem,) = problems(folder, "patient_id,image\nP1,D:\\study\\P1.nii.gz\n")
    assert problem == (
        "line 2 (P1): the image has a path of Windows; write it as on this machine, or relative to "
        "the manifest"
    )


def test_other_columns_are_carried_and_told(folder: Path) -> None:
    told: list[str] = []
    text = "patient_id,image,Age,x_site,comment\nP1,ct/P1.nii.gz,63,=A1,- see notes\n"
    (case,) = cohort(folder, text, note=told.append)
    assert case.extra == (("Age", "63"), ("site", "'=A1"), ("comment", "'- see notes"))
    assert told == [
        "columns of the manifest go into the table as they are: x_Age, x_site, x_comment"
    ]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("mask_lable", "column 'mask_lable' may be meant as 'mask_label'; rename it"),
        ("Age,age", "column 'age' would have the same name in the table as another one; rename"),
        ("a" * 61, "more than 60 characters; rename it"),
        ("mask,Mask", "has column 'mask' twice; remove one"),
    ],
)
def test_columns_that_cannot_be_carried(folder: Path, columns: str, expected: str) -> None:
    (problem,) = problems(folder, f"patient_id,image,{columns}\nP1,ct/P1.nii.gz,,\n")
    assert expected in problem


def test_under_pseudonyms_no_other_column_is_named_or_kept(folder: Path) -> None:
    from pancseg.cohort.pseudonyms import pseudonymised

    told: list[str] = []
    cases = cohort(
        folder, "patient_id,image,Name Miller\nP1,ct/P1.nii.gz,born 1950\n", note=told.append,
        pseudonymise=lambda found: pseudonymised(found, b"0123456789abcdef"),
    )  # fmt: skip
    (hidden,) = pseudonymised(cases, b"0123456789abcdef")
    assert hidden.extra == ()
    assert told == [
        "columns of the manifest that are not known are left out of the table, as they may name "
        "patients: 1; join them with the id map"
    ]


@pytest.mark.parametrize("no", ["", "no", "0", "FALSE", "nein", "FALSCH", "none", "n/a", "-"])
def test_a_word_for_no_uses_no_row_and_accepts_no_mask(folder: Path, no: str) -> None:
    rows = f"P1,ct/P1.nii.gz,{no},seen\nP2,ct/P2.nii.gz,x,{no}\n"
    (case,) = cohort(folder, f"patient_id,image,use,accept\n{rows}")
    assert (case.patient_id, case.accept) == ("P2", "")


@pytest.mark.parametrize("yes", ["yes", "1.0", "TRUE", "WAHR", "oui", "sí"])
def test_a_word_for_yes_uses_a_row_and_is_no_reason_to_accept(folder: Path, yes: str) -> None:
    rows = f"P1,ct/P1.nii.gz,{yes},\nP2,ct/P2.nii.gz,no,\n"
    (case,) = cohort(folder, f"patient_id,image,use,accept\n{rows}")
    assert case.patient_id == "P1"
    assert problems(folder, f"patient_id,image,accept\nP1,ct/P1.nii.gz,{yes}\n") == [
        "line 2 (P1): accept says yes without a reason; write why the mask is to be measured"
    ]


def test_a_word_that_is_neither_yes_nor_no_is_refused(folder: Path) -> None:
    rows = "P1,ct/P1.nii.gz,perhaps,after atrophy\nP2,ct/P2.nii.gz,yes,after atrophy\n"
    assert problems(folder, f"patient_id,image,use,accept\n{rows}") == [
        "line 2 (P1): use says neither yes nor no; write one of the two"
    ]
