"""A manifest may be an Excel workbook; what is no readable one is refused in one line."""

from __future__ import annotations

import zipfile
from datetime import date, datetime
from pathlib import Path

import pytest
from openpyxl import Workbook
from openpyxl.chart import BarChart

from pancseg import Case, CohortError, read_cohort
from pancseg.system import optional


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.nii.gz", "m.nrrd"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def written(folder: Path, *rows: tuple[object, ...]) -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / "m.xlsx")
    return folder / "m.xlsx"


def cases(folder: Path, *rows: tuple[object, ...]) -> list[Case]:
    return read_cohort(written(folder, *rows))


def problem(path: Path) -> str:
    with pytest.raises(CohortError) as caught:
        read_cohort(path)
    (line,) = caught.value.problems
    assert "\n" not in line
    return line


def test_a_workbook_is_read_as_a_csv(folder: Path) -> None:
    (case,) = cases(
        folder,
        (),
        (
            "Patient_ID",
            "Image",
            "Mask",
            "mask_label",
            "scanned",
            "at",
            "age",
            "bmi",
            "smoker",
            None,
        ),
        (
            17,
            "a.nii.gz",
            "m.nrrd",
            1.0,
            date(2026, 1, 31),
            datetime(2026, 1, 31, 8),
            63.0,
            24.5,
            True,
        ),
        (None, "", None),
    )
    assert (case.patient_id, case.image, case.mask) == (
        "17", folder / "a.nii.gz", folder / "m.nrrd"
    )  # fmt: skip
    assert str(case.mask_label) == "1"
    assert [text for _, text in case.extra] == [
        "2026-01-31", "2026-01-31 08:00:00", "63", "24.5", "true"
    ]  # fmt: skip


def test_ids_keep_the_zeros_that_excel_shows(folder: Path) -> None:
    path = written(folder, ("patient_id", "image"), (7, "a.nii.gz"))
    book = Workbook()
    book.active.append(("patient_id", "image"))
    book.active.append((7, "a.nii.gz"))
    book.active["A2"].number_format = "000"
    book.save(path)
    assert read_cohort(path)[0].patient_id == "007"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("=1+1", "a.nii.gz"), "a formula has no stored value; open the workbook and save it"),
        (("#N/A", "a.nii.gz"), "line 2 (no id): a cell holds the error #N/A; mend its formula"),
        ((1234567890123456789, "a.nii.gz"), "a number has 19 digits, of which workbooks keep 15"),
        (("P1", "a.nii.gz", "more"), "the row has 3 cells, the header 2 columns"),
    ],
)
def test_cells_without_a_sure_value_are_refused(
    folder: Path, row: tuple[object, ...], expected: str
) -> None:
    with pytest.raises(CohortError) as caught:
        cases(folder, ("patient_id", "image"), row)
    assert any(expected in line for line in caught.value.problems)


def test_the_sheet_that_names_images_is_read(folder: Path) -> None:
    book = Workbook()
    book.active.append(("notes of the study", "by"))
    book.create_chartsheet().add_chart(BarChart())
    cohort = book.create_sheet("cohort")
    cohort.append(("patient_id", "image"))
    cohort.append(("P1", "a.nii.gz"))
    path = folder / "m.xlsx"
    book.save(path)
    assert [case.patient_id for case in read_cohort(path)] == ["P1"]
    book.copy_worksheet(cohort)
    book.save(path)
    assert "2 of 3 sheets could be the table; keep one" in problem(path)


def test_what_is_no_readable_workbook_is_one_line(folder: Path) -> None:
    path = folder / "m.xlsx"
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    path.write_bytes(old + "EncryptedPackage".encode("utf-16-le"))
    assert problem(path) == "the manifest is protected by a password; save it without one"
    path.write_bytes(old)
    assert "is a workbook of Excel 97–2003; save it again as .xlsx" in problem(path)
    path.write_bytes(b"patient_id,image\n")
    assert "is no workbook, or a damaged one; save it again" in problem(path)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    assert "is no .xlsx workbook" in problem(path)
    (folder / "m.xls").write_bytes(old)
    assert "save a table as .xlsx or CSV UTF-8" in problem(folder / "m.xls")


def test_a_damaged_sheet_is_one_line(folder: Path) -> None:
    path = written(folder, ("patient_id", "image"), ("P1", "a.nii.gz"))
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    for broken in (sheet[: len(sheet) // 2], b"", sheet.replace(b'r="A2"', b'r="?"')):
        with zipfile.ZipFile(path, "w") as packed:
            for name, content in parts.items():
                packed.writestr(name, broken if name.endswith("sheet1.xml") else content)
        assert "is a damaged workbook" in problem(path)


def test_a_workbook_that_unpacks_to_much_is_refused(folder: Path) -> None:
    path = written(folder, ("patient_id", "image"), ("P1", "a.nii.gz"))
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed,
        packed.open("xl/media/image1.png", "w") as file,
    ):
        for _ in range(257):
            file.write(bytes(1 << 20))
    assert "unpacks to 257 MiB (at most 256); split it" in problem(path)


def test_without_openpyxl_the_package_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(folder, ("patient_id", "image"), ("P1", "a.nii.gz"))
    monkeypatch.setattr(optional, "find_spec", lambda _: None)
    assert problem(path) == (
        "the manifest is a workbook, which needs the package openpyxl (pip install openpyxl); or "
        "save it as 'CSV UTF-8'"
    )


def test_a_sheet_may_claim_to_be_endless(folder: Path) -> None:
    path = written(folder, ("patient_id", "image"), ("P1", "a.nii.gz"))
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    name = "xl/worksheets/sheet1.xml"
    assert b'ref="A1:B2"' in parts[name]
    parts[name] = parts[name].replace(b'ref="A1:B2"', b'ref="A1:XFD1048576"')
    far = b'<row r="99999999999999999999"><c r="A99999999999999999999"><v>1</v></c></row>'
    parts[name] = parts[name].replace(b"</sheetData>", far + b"</sheetData>")
    with zipfile.ZipFile(path, "w") as packed:
        for part, content in parts.items():
            packed.writestr(part, content)
    assert [case.patient_id for case in read_cohort(path)] == ["P1"]
