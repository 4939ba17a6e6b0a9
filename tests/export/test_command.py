"""The command ``export``: what it says, what it refuses, and that nothing else names patients."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from command_line import call
from dicom_patient import IDENTITY, NAME, UID, patient, write_dicom
from export_cohort import REGIONS, copy_of
from pydicom.dataset import FileDataset

import pancseg
from pancseg import RunOptions
from pancseg.export import export as exporting

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def out(measured: Path, tmp_path: Path) -> Path:
    """An output folder that a test may change."""
    return copy_of(measured, tmp_path)


def files(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


def test_what_cannot_become_dicom_is_said_and_the_others_go_on(out: Path) -> None:
    code, said, problems = call("export", out, "--to", "rtstruct,slicer")
    assert code == 1
    assert said == (
        "rtstruct of 1 scan, slicer of 2 scans: in OUT/export; "
        "2 rows that are not usable left out\n"
    )
    assert problems == (
        "pancseg: P2: no rtstruct: the scan is not DICOM, so there is no series, patient and study "
        "to refer to; give the DICOM series as the scan, or export to bids or slicer\n"
    )
    assert files(out / "export") == ["rtstruct/P1.dcm", "slicer/P1.seg.nrrd", "slicer/P2.seg.nrrd"]


def test_an_export_replaces_an_earlier_one_wholly(out: Path) -> None:
    assert call("export", out, "--to", "slicer", "--quiet") == (0, "", "")
    (out / "export" / "slicer" / "P9.seg.nrrd").touch()
    before = files(out / "export" / "slicer")
    assert call("export", out, "--to", "bids", "--quiet") == (0, "", "")
    assert files(out / "export" / "slicer") == before, "another target stays"
    assert call("export", out, "--to", "slicer", "--quiet") == (0, "", "")
    assert files(out / "export" / "slicer") == ["P1.seg.nrrd", "P2.seg.nrrd"]
    assert {path.name for path in (out / "export").iterdir()} == {"bids", "slicer"}


def test_nothing_is_replaced_by_an_export_that_fails(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("export", out, "--to", "slicer", "--quiet") == (0, "", "")
    before = files(out / "export")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    code, _, problems = call("export", out, "--to", "slicer")
    assert code == 2
    assert "No space left on device" in problems
    assert files(out / "export") == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "dicom"), "--to: there is no 'dicom'; give any of dicom-seg, dicom-sr, rtstruct"),
        (("--to", ""), "--to is empty; give any of dicom-seg"),
        (("--to", "dicom-sr"), "--to: dicom-sr refers to the segments of dicom-seg; give both"),
        (("--to", "bids", "--masks", "x"), "--masks needs --cohort; give both or neither"),
    ],
)
def test_what_cannot_be_done_is_refused(out: Path, arguments: tuple[str, ...], said: str) -> None:
    code, _, problems = call("export", out, *arguments)
    assert code == 2
    assert problems.startswith(f"pancseg: {said}")
    assert not (out / "export").exists()


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    assert call("export", tmp_path / "gone", "--to", "bids")[0] == 2
    code, _, problems = call("export", tmp_path, "--to", "bids")
    assert code == 2
    assert "the folder has no table" in problems


def test_highdicom_is_named_with_its_extra(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        exporting, "missing", lambda name, install: f"the package {name} ({install})"
    )
    code, _, problems = call("export", out, "--to", "dicom-seg,slicer")
    assert code == 2
    assert problems == "pancseg: dicom-seg needs the package highdicom ('pancseg[dicom]')\n"
    assert call("export", out, "--to", "rtstruct,slicer")[0] == 1, "these need no highdicom"


def test_a_mask_or_scan_that_is_not_the_measured_one_is_not_exported(
    measured: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(measured.parent, base)
    mask = sitk.GetArrayFromImage(patient().mask)
    mask[10] = 0
    changed = sitk.GetImageFromArray(mask)
    changed.CopyInformation(patient().mask)
    pancseg.write_scan(changed, base / "masks" / "P1.nii.gz")
    pancseg.write_scan(sitk.Cast(patient().image + 9, sitk.sitkInt16), base / "ct" / "P2.nii.gz")
    cohort = ("--cohort", base / "ct", "--masks", base / "masks")
    code, said, problems = call("export", base / "out", "--to", "bids", *cohort)
    assert code == 1
    assert problems.splitlines() == [
        "pancseg: P1: the mask of region pancreas has changed since it was measured; run again",
        "pancseg: P2: the scan is not the one that was measured; run again, or give it",
    ]
    assert said.startswith("nothing was exported")
    assert not (base / "out" / "export" / "bids").exists()


def test_scans_that_have_moved_are_found_in_the_cohort(measured: Path, tmp_path: Path) -> None:
    base = tmp_path / "moved"
    shutil.copytree(measured.parent, base)
    noted = base / "out" / ".pancseg" / "scans.json"
    noted.write_text(noted.read_text().replace(str(measured.parent), str(tmp_path / "gone")))
    code, _, problems = call("export", base / "out", "--to", "bids")
    assert code == 1
    assert problems.splitlines()[0].startswith("pancseg: P1: ")
    cohort = ("--cohort", base / "ct", "--masks", base / "masks")
    assert call("export", base / "out", "--to", "bids", *cohort)[0] == 0


def test_identity_is_in_the_dicom_objects_and_nowhere_else(exported: Path, out: Path) -> None:
    texts = [str(IDENTITY[k]) for k in ("PatientID", "AccessionNumber", "PatientBirthDate")]
    texts += [NAME, "Müller", "Groß", UID, IDENTITY["FrameOfReferenceUID"]]
    needles = [text.encode(code) for text in texts for code in ("utf-8", "latin-1")]
    written = [file for file in exported.rglob("*") if file.is_file()]
    assert len(written) > 10
    for file in written:
        found = [needle for needle in needles if needle in file.read_bytes()]
        assert bool(found) == (file.suffix == ".dcm"), file.name
    _, said, problems = call("export", out, "--to", "rtstruct,slicer")
    assert problems
    assert not [text for text in texts if text in said + problems]


def test_pseudonyms_and_dicom_only_together_when_asked_for(tmp_path: Path) -> None:
    image, mask = patient()
    write_dicom(image, tmp_path / "ct" / "P1")
    (tmp_path / "masks").mkdir()
    pancseg.write_scan(mask, tmp_path / "masks" / "P1.nii.gz")
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "few.yaml").write_text("featureClass: {firstorder: [Mean]}\n")
    hidden = ("--pseudonymise", tmp_path / "key")
    inputs = (tmp_path / "ct", "--masks", tmp_path / "masks")
    out = tmp_path / "out"
    arguments = ("--config", tmp_path / "few.yaml", "--workers", "0", "--no-report", *hidden)
    assert call("extract", *inputs, "--out", out, *arguments)[0] == 0
    cohort = ("--cohort", *inputs, *hidden)
    code, _, problems = call("export", out, "--to", "rtstruct,bids", *cohort)
    assert code == 2
    assert "are pseudonyms, and rtstruct would name the patients" in problems
    assert "give --with-identity" in problems
    assert not (out / "export").exists()
    assert call("export", out, "--to", "bids", *cohort)[0] == 0
    assert not [path for path in (out / "export").rglob("*") if "P1" in path.name]
    assert call("export", out, "--to", "rtstruct", "--with-identity", *cohort)[0] == 0
    (made,) = (out / "export" / "rtstruct").iterdir()
    assert made.name.startswith("p")
    assert str(pydicom.dcmread(made).PatientName) == NAME


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "StudyInstanceUID"])
def test_a_series_without_uids_is_refused_in_a_line(
    measured: Path, tmp_path: Path, keyword: str
) -> None:
    base = tmp_path / "base"
    shutil.copytree(measured.parent, base)
    for file in (base / "ct" / "P1").iterdir():
        slice_ = pydicom.dcmread(file)
        del slice_[keyword]
        slice_.save_as(file)
    cohort = ("--cohort", base / "ct", "--masks", base / "masks")
    code, _, problems = call("export", base / "out", "--to", "rtstruct", *cohort)
    assert code == 1
    assert problems.splitlines()[0] == (
        f"pancseg: P1: no rtstruct: 25 of 25 files of the series have no {keyword}, by which other "
        "objects refer to them; export the series again, or add it"
    )


def test_a_messy_header_goes_into_the_objects_as_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Values that the standard forbids, and others that are missing: no warning shows them."""

    def messy(slice_: FileDataset) -> None:
        slice_.PatientBirthDate, slice_.PatientSex, slice_.StudyTime = "3.2.1951", "W", "noon"
        slice_.PatientName = "Doe Jane"
        del slice_.AccessionNumber, slice_.StudyID

    image, mask = patient()
    with pydicom.config.disable_value_validation():
        write_dicom(image, tmp_path / "ct" / "P1", also=messy)
    pancseg.write_scan(mask, tmp_path / "P1.nii.gz")
    (tmp_path / "few.yaml").write_text("featureClass: {firstorder: [Mean]}\n")
    pancseg.extract_cohort(
        tmp_path / "ct", tmp_path / "out", masks=tmp_path / "P1.nii.gz",
        regions=REGIONS, settings=tmp_path / "few.yaml", options=RunOptions(workers=0),
        pictures=False,
    )  # fmt: skip
    targets = ["dicom-seg", "dicom-sr", "rtstruct"]
    assert pancseg.export_output(tmp_path / "out", targets).problems == ()
    printed = capfd.readouterr()
    assert "Doe" not in printed.out + printed.err
    for target in targets:
        with pydicom.config.disable_value_validation():
            made = pydicom.dcmread(tmp_path / "out" / "export" / target / "P1.dcm")
            assert (made.PatientBirthDate, made.PatientSex) == ("3.2.1951", "W")
            assert str(made.PatientName) == "Doe Jane"
            assert (made.AccessionNumber, made.StudyID) == ("", "")


def test_failed_rows_are_counted(measured: Path) -> None:
    table = pd.read_csv(measured / "features.csv")
    assert table.groupby("patient_id")["qc_status"].agg(set).to_dict() == {
        "P1": {"warn"}, "P2": {"warn"}, "P3": {"fail"},
    }  # fmt: skip
