"""Manifests, folders and ids that are broken or hostile: cases, or problems in one line each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import small_files as small

from pancseg import Case, CohortError, RunOptions, UnusableCase, read_cohort, read_scan
from pancseg.cohort.case import is_name
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.messages import Request

HEADER = "patient_id,image\n"
ROW = "P1,a.nii\n"

GOOD: dict[str, bytes] = {
    "byte order mark": b"\xef\xbb\xbf" + (HEADER + ROW).encode(),
    "UTF-16": (HEADER + ROW).encode("utf-16"),
    "semicolons": b"patient_id;image\nP1;a.nii\n",
    "tabs": b"patient_id\timage\nP1\ta.nii\n",
    "CRLF": b"patient_id,image\r\nP1,a.nii\r\n",
    "CR only": b"patient_id,image\rP1,a.nii\r",
    "no end of line": b"patient_id,image\nP1,a.nii",
    "empty lines before the header": b"\n,,\n" + (HEADER + ROW).encode(),
    "empty rows": (HEADER + "\n" + ROW + ",\n\n,,,\n").encode(),
    "quotes": b'"patient_id","image"\n"P1","a.nii"\n',
    "empty columns": b"patient_id,image,,,\nP1,a.nii,,,\n",
    "blanks": b" patient_id , image \n P1 , a.nii \n",
}

BAD: dict[str, tuple[bytes, str]] = {
    "latin-1": ("patient_id,image\nMüller,a.nii\n".encode("latin-1"), "not UTF-8"),
    "UTF-16 without mark": ((HEADER + ROW).encode("utf-16-le"), "not UTF-8"),
    "NUL in a path": (HEADER.encode() + b"P1,a\0.nii\n", "not UTF-8"),
    "empty": (b"", "no column"),
    "doubled header": (b"patient_id,image,image\nP1,a.nii,a.nii\n", "column 'image' twice"),
    "quoted newline in an id": (HEADER.encode() + b'"P\n1",a.nii\n', "cannot be a file name"),
    "quoted newline in a path": (HEADER.encode() + b'P1,"a\n.nii"\n', "does not exist"),
    "quote without end": (HEADER.encode() + b'"P1,a.nii\n' + b"P,a.nii\n" * 30_000, "is not CSV"),
    "a million columns": (b"a," * 1_000_000 + b"\n", "has 1000000 columns"),
    "a thousand columns": (b",".join(b"c%d" % i for i in range(1000)), "1000 columns"),
    "a million bad rows": (HEADER.encode() + b"x,y\n" * 1_000_000, "was not read"),
    "100 MB of junk": (b"junk,and more\n" * 7_500_000, "larger than"),
    "one line of 20 MB": (b"x" * 20_000_000, "is not CSV"),
    "binary": (bytes(range(256)) * 100, "not UTF-8"),
    "home folder": (HEADER.encode() + b"P1,~/a.nii\n", "does not exist"),
    "a path too long": (HEADER.encode() + b"P1," + b"x" * 5000 + b"\n", "cannot be reached"),
}

BAD_NAMES = (
    "../x", "..", ".", ".hidden", "/etc/passwd", "a/b", "a\\b", "C:x", "x\ny", "x\ry", "x\ty",
    "NUL", "con", "COM1", "lpt9.txt", "trailing.", "trailing ", "a*b", 'a"b', "a|b", "\u202egnp",
    "zero\u200bwidth", "a\u2028b", "\udcff",
)  # fmt: skip
"""What must never become the name of a file."""


def problems_of(path: Path) -> list[str]:
    start = time.process_time()
    with pytest.raises(CohortError) as caught:
        read_cohort(path)
    assert time.process_time() - start < 60
    assert len(caught.value.problems) < 120
    assert not any("\n" in problem or len(problem) > 400 for problem in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize("name", GOOD)
def test_a_table_from_any_program_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.nii").touch()
    (tmp_path / "m.csv").write_bytes(GOOD[name])
    assert read_cohort(tmp_path / "m.csv") == [Case("P1", tmp_path / "a.nii")]


def segment(folder: Path, case: Case) -> None:
    run_plan(
        [case],
        folder / "out",
        ProcessingPlan("segment", None, "monet_phantom"),
        options=RunOptions(workers=0),
    )


@pytest.mark.usefixtures("longest_cell_as_python_has_it")
@pytest.mark.parametrize("name", BAD)
def test_a_broken_manifest_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.nii").touch()
    content, expected = BAD[name]
    (tmp_path / "m.csv").write_bytes(content)
    assert any(expected in problem for problem in problems_of(tmp_path / "m.csv"))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_an_id_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    assert not is_name(name)
    with pytest.raises(ValueError, match="cannot be a file name"):
        segment(tmp_path, Case(name, tmp_path / "a.nii"))
    assert list(tmp_path.iterdir()) == []
    if "\udcff" in name:
        return
    (tmp_path / "a.nii").touch()
    quoted = name.replace('"', '""')
    for row in (f'"{quoted}",a.nii,,', f'P1,a.nii,"{quoted}",', f'P1,a.nii,,"{quoted}"'):
        text = f"patient_id,image,scan_id,roi\n{row}\n"
        (tmp_path / "m.csv").write_bytes(text.encode())
        if name.strip() == name:
            assert any("cannot be a file name" in one for one in problems_of(tmp_path / "m.csv"))
        else:  # blanks around a cell do not count
            assert read_cohort(tmp_path / "m.csv")[0].name.strip() != name


def test_look_alikes_of_a_slash_stay_in_the_folder(tmp_path: Path) -> None:
    for name in ("a\uff0fb", "a\u2044b", "a\u2215b", "\u2025", "a\uff3cb"):
        request = Request((Case(name, tmp_path / "a.nii"),), (frozenset(),), tmp_path / "masks")
        for path in (request.mask_path, request.new_mask_path):
            assert path.resolve().parent == tmp_path / "masks"


def test_long_ids_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").touch()
    (tmp_path / "m.csv").write_text(HEADER + "x" * 201 + ",a.nii\n")
    assert "201 bytes together (at most 200)" in problems_of(tmp_path / "m.csv")[0]
    (tmp_path / "m.csv").unlink()
    (tmp_path / "a.nii").rename(tmp_path / ("x" * 201 + ".nii"))
    assert "201 bytes (at most 200)" in problems_of(tmp_path)[0]


@pytest.mark.parametrize("name", [b"a\nb", b"M\xfcller", b"NUL", b"a:b"])
def test_files_whose_names_cannot_be_ids_are_refused(name: bytes, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".nii")).touch()
    assert "cannot be a file name" in problems_of(tmp_path)[0]


def _itself(folder: Path) -> None:
    (folder / "P1").symlink_to(folder / "P1")


def _up(folder: Path) -> None:
    (folder / "P1").mkdir()
    (folder / "P1" / "again").symlink_to(folder / "P1")


def _each_other(folder: Path) -> None:
    (folder / "P1").mkdir()
    (folder / "P2").mkdir()
    (folder / "P1" / "x").symlink_to(folder / "P2")
    (folder / "P2" / "x").symlink_to(folder / "P1")


def _deep(folder: Path) -> None:
    (folder / "/".join(["P1", *["d"] * 500])).mkdir(parents=True)


def _named_as_a_file(folder: Path) -> None:
    (folder / "P1.nii.gz").mkdir()


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "P1.nii.gz")


@pytest.mark.parametrize("make", [_itself, _up, _each_other, _deep, _named_as_a_file, _pipe])
def test_folders_that_lead_nowhere_cost_their_row_only(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path)
    (tmp_path / "good.nii").touch()
    start = time.process_time()
    names = [case.patient_id for case in read_cohort(tmp_path)]
    assert names in (["P1", "good"], ["P1", "P2", "good"])
    assert time.process_time() - start < 30


def test_a_link_to_a_scan_is_that_scan(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    small.write(tmp_path / "store" / "x.nii")
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "P1.nii").symlink_to(tmp_path / "store" / "x.nii")
    assert [case.patient_id for case in read_cohort(tmp_path / "cohort")] == ["P1"]


@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "/proc/self/mem"])
def test_a_manifest_that_is_no_file_does_not_block(path: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "m.csv").symlink_to(tmp_path / path if path == "pipe" else path)
    with pytest.raises(CohortError):
        read_cohort(tmp_path / "m.csv")


def test_devices_and_pipes_in_a_manifest_end_in_a_row(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "m.csv").write_text(HEADER + "P1,/dev/zero\nP2,pipe.nii\nP3,/etc/hostname\n")
    for case in read_cohort(tmp_path / "m.csv"):
        with pytest.raises(UnusableCase) as caught:
            read_scan(case.image)
        assert caught.value.code == "unreadable"
