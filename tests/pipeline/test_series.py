"""A study's series are listed as a manifest that runs as it is; names and whole UIDs stay out."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from dicom_series import write_series
from dicom_study import ARTERIAL, PORTAL, SCOUT, STUDY, TYPICAL, write_study
from typer.testing import CliRunner

from pancseg import UnusableCase, read_cohort, read_scan
from pancseg.cli import app
from pancseg.errors import CohortError
from pancseg.pipeline.series import list_series
from pancseg.pipeline.series import write_series as write_manifest

OTHER = {"StudyInstanceUID": "1.2.9", "PatientID": "MRN-0815"}


def call(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["series", *map(str, arguments)])
    for hidden in ("Doe", "4711", "0815", STUDY, "Traceback"):
        assert hidden not in result.output
    return result.exit_code, result.output


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_manifest_runs_as_it_is(tmp_path: Path) -> None:
    write_study(tmp_path / "ct" / "P1" / "DICOM", **TYPICAL)
    write_study(tmp_path / "ct" / "P2", a=PORTAL | OTHER, b=PORTAL | OTHER, c=SCOUT | OTHER)
    code, said = call(tmp_path / "ct", "--out", tmp_path / "m.csv")
    assert code == 0
    assert said.startswith(
        "9 series, 2 studies with a CT of 2 patients; 1 preselected, 1 study left"
    )
    rows = rows_of(tmp_path / "m.csv")
    assert [row["use"] for row in rows] == ["no", "no", "no", "yes", *5 * ["no"]]
    chosen = rows[3]
    assert chosen["image"] == "ct/P1/DICOM/ven1"
    assert STUDY.endswith(chosen["series_uid"].split(".2001")[0])
    assert chosen["series_uid"].count(".") >= 3  # no number and no date to Excel
    assert [chosen[name] for name in ("phase", "kernel", "distance_mm", "slices", "volume")] == [
        "portal_venous", "Br40d", "1.0", "6", "yes"
    ]  # fmt: skip
    (case,) = read_cohort(tmp_path / "m.csv")
    assert case.patient_id == "P1"
    assert read_scan(case.image, series_uid=case.series_uid).GetSize() == (5, 6, 6)
    text = (tmp_path / "m.csv").read_text().replace("\r", "")
    assert "MRN" not in text
    assert "Doe" not in text
    (tmp_path / "m.csv").write_text(re.sub("^no,P2,st1se2", "x,P2,st1se2", text, flags=re.M))
    assert [case.name for case in read_cohort(tmp_path / "m.csv")] == ["P1_st1se4", "P2_st1se2"]


def test_without_a_manifest_every_series_has_a_line(tmp_path: Path) -> None:
    write_study(tmp_path / "P1", **TYPICAL)
    code, said = call(tmp_path / "P1")
    assert code == 0
    assert "P1, study 1, series 1: localizer (not used: localizer)\n" in said
    assert "P1, study 1, series 4: portal_venous, 1 mm, Br40d, 5×6×6 (use)\n" in said
    assert said.endswith("1 preselected; --out writes a manifest\n")


def test_an_existing_manifest_is_kept(tmp_path: Path) -> None:
    write_study(tmp_path / "P1", a=PORTAL)
    (tmp_path / "m.csv").write_text("mine")
    code, said = call(tmp_path / "P1", "--out", tmp_path / "m.csv")
    assert (code, (tmp_path / "m.csv").read_text()) == (2, "mine")
    assert "--out exists" in said


@pytest.mark.parametrize("name", ["list.xlsx", "list", "list.tsv"])
def test_a_manifest_is_written_as_csv_alone(tmp_path: Path, name: str) -> None:
    write_study(tmp_path / "P1", a=PORTAL)
    code, said = call(tmp_path / "P1", "--out", tmp_path / name)
    assert (code, (tmp_path / name).exists()) == (2, False)
    assert said == "pancseg: --out is written as CSV; choose a name that ends in .csv\n"


def test_series_without_a_patient_id_are_of_no_other_patient(tmp_path: Path) -> None:
    """Unless another series of their study has one; names that folders have are not given twice."""
    study = {"StudyInstanceUID": "1.2.3", "StudyDate": "20200101"}
    write_study(tmp_path / "all", a=PORTAL | {"PatientID": "MRN-1"}, b=ARTERIAL | {"PatientID": ""})
    write_study(tmp_path / "all", c=PORTAL | OTHER, d=PORTAL | study | {"PatientID": ""})
    write_study(tmp_path / "All_P1", e=PORTAL | {"StudyInstanceUID": "1.2.4"})
    lines = list_series(tmp_path)
    assert [(x.patient_id, x.facts.first.file.parent.name) for x in lines] == [
        ("All_P1", "e"), ("all_p2", "c"), ("all_p3", "a"), ("all_p3", "b"), ("all_p4", "d")
    ]  # fmt: skip


def test_a_folder_without_a_ct_is_one_line_that_lists_what_there_is(tmp_path: Path) -> None:
    seg = {"Modality": "SEG", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "count": 1}
    write_study(tmp_path, a=seg, b=seg | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67"})
    assert call(tmp_path) == (
        2,
        "pancseg: no CT series below the folder (it holds 1 SEG, 1 dose report); give that of the "
        "CT\n",
    )
    assert call(tmp_path / "absent")[0] == 2


def test_patients_in_one_dump_are_told_apart(tmp_path: Path) -> None:
    write_study(tmp_path / "dump", a=PORTAL, b=PORTAL | OTHER)
    for path in (tmp_path / "dump").glob("*/*"):
        path.rename(tmp_path / "dump" / f"{path.parent.name}{path.name}")
    lines = list_series(tmp_path / "dump")
    assert len({line.patient_id for line in lines}) == 2
    write_manifest(tmp_path / "m.csv", lines)
    sizes = [read_scan(c.image, series_uid=c.series_uid).GetSize() for c in
             read_cohort(tmp_path / "m.csv")]  # fmt: skip
    assert sizes == 2 * [(5, 6, 6)]


def test_two_studies_of_a_patient_are_two_scans(tmp_path: Path) -> None:
    write_study(tmp_path / "ct" / "P1", late=PORTAL | {"StudyDate": "20240101"})
    earlier = {"StudyDate": "20230101", "StudyInstanceUID": "1.2.9"}
    write_study(tmp_path / "ct" / "P1", early=PORTAL | earlier)
    lines = list_series(tmp_path / "ct")
    places = [(x.patient_id, x.study, x.facts.folder.name) for x in lines if x.facts.folder]
    assert places == [("P1", 1, "early"), ("P1", 2, "late")]


def test_two_acquisitions_under_one_uid_are_two_lines(tmp_path: Path) -> None:
    write_study(tmp_path / "P1", a=PORTAL | {"AcquisitionNumber": 4})
    write_study(tmp_path / "more", a=ARTERIAL | {"AcquisitionNumber": 3, "RescaleIntercept": 0})
    for path in (tmp_path / "more" / "a").iterdir():
        path.rename(tmp_path / "P1" / "a" / f"3{path.name}")
    (tmp_path / "more" / "a").rmdir()
    write_manifest(tmp_path / "m.csv", list_series(tmp_path / "P1"))
    rows = rows_of(tmp_path / "m.csv")
    assert [(row["phase"], row["series_uid"][-2:], row["use"]) for row in rows] == [
        ("arterial", "#1", "no"),
        ("portal_venous", "#2", "yes"),
    ]
    (case,) = read_cohort(tmp_path / "m.csv")
    assert read_scan(case.image, series_uid=case.series_uid)[0, 0, 3] == 3
    arterial = read_scan(case.image, series_uid=rows[0]["series_uid"])
    assert arterial[0, 0, 3] == 1027
    assert read_scan(tmp_path / "P1" / "a")[0, 0, 3] == 3  # the rules choose here too


def test_a_patients_folder_is_one_patient(tmp_path: Path) -> None:
    write_study(tmp_path / "P1", **TYPICAL)
    assert [(c.patient_id, c.image) for c in read_cohort(tmp_path / "P1")] == [
        ("P1", tmp_path / "P1")
    ]
    write_study(tmp_path / "P2" / "DICOM", **TYPICAL)
    (case,) = read_cohort(tmp_path / "P2")
    assert case.patient_id == "P2"
    assert read_scan(case.image).GetSize() == (5, 6, 6)
    write_study(tmp_path / "P1", other=PORTAL | OTHER)
    assert len(read_cohort(tmp_path / "P1")) == len(TYPICAL) + 1


def test_a_manifest_names_no_row_to_use(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("patient_id,image,use,phase\nP1,a.nii.gz,no,x\n")
    with pytest.raises(CohortError, match=r"none of the 1 rows has yes in the column use"):
        read_cohort(tmp_path / "m.csv")
    (tmp_path / "a.nii.gz").touch()
    for columns, extra in (("use,phase", ()), ("age,phase", (("age", "yes"), ("phase", "x")))):
        (tmp_path / "m.csv").write_text(f"patient_id,image,{columns}\nP1,a.nii.gz,yes,x\n")
        assert [case.extra for case in read_cohort(tmp_path / "m.csv")] == [extra]


def test_a_single_file_of_a_series_is_not_read_as_the_series(tmp_path: Path) -> None:
    write_series(tmp_path / "P1", [0.0, 1.0, 2.0], "1.2.826.1")
    file = sorted((tmp_path / "P1").iterdir())[0]
    (case,) = read_cohort(file)
    with pytest.raises(UnusableCase, match=r"the file is one of 3 of its series in the folder"):
        read_scan(case.image)
