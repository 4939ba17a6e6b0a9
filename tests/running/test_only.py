"""Some patients are measured, and the table keeps the rows of all others as they were."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command_line import call
from small_cohort import make_cohort

import pancseg
from pancseg import CaseResult, RunOptions, RunRefused, read_scan, write_scan
from pancseg.review.judge import judge_masks, rows_to_judge
from pancseg.running.journal import Journal
from pancseg.scans.arrays import image_like, voxel_array

HERE = RunOptions(workers=0, threads=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patients a and b with masks, auto1 with the network's, and one that cannot be read; run."""
    folder = tmp_path_factory.mktemp("only")
    manifest = make_cohort(folder, ("a", "b", "auto1"))
    (folder / "broken.nii.gz").write_bytes(b"no scan")
    with manifest.open("a") as lines:
        lines.write("broken,broken.nii.gz,\n")
    run(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def run(folder: Path, **keywords: Any) -> list[CaseResult]:
    given: dict[str, Any] = {"settings": folder / "quick.yaml", "weights": "monet_phantom"}
    given |= {"options": HERE, "pictures": False}
    return pancseg.run_cohort(folder / "cohort.csv", folder / "out", **given | keywords)


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "out" / "features.csv", dtype=str).set_index("patient_id")


def change(mask: Path) -> None:
    """Take the lowest slice of a mask away."""
    image = read_scan(mask)
    voxels = voxel_array(image).copy()
    voxels[np.flatnonzero(voxels.any(axis=(1, 2)))[0]] = 0
    write_scan(image_like(voxels, image), mask)


def test_others_keep_their_rows_though_their_scans_are_gone(folder: Path) -> None:
    before = table(folder)
    for name in ("b.nii.gz", "auto1.nii.gz"):
        (folder / "scans" / name).write_bytes(b"not read")
    change(folder / "scans" / "a_mask.nii.gz")
    told: list[str] = []
    results = run(folder, only=["a"], report=lambda result: told.append(result.case.name))
    after = table(folder)
    assert list(after.index) == list(before.index) == [r.case.name for r in results]
    assert after.loc["a", "mask_sha256"] != before.loc["a", "mask_sha256"]
    pd.testing.assert_frame_equal(after.drop("a"), before.drop("a"))
    assert after.loc["broken", "qc_status"] == "fail", "a failed row is kept as well"
    assert told == ["a"]
    lines = map(json.loads, (folder / "out" / "run.jsonl").read_text().splitlines())
    said = [(line["event"], line["case"]) for line in lines if "case" in line]
    assert said == [("kept", "b"), ("kept", "auto1"), ("kept", "broken"), ("scan", "a")]


def test_the_command_takes_several_ids_and_says_how_many_rows_it_kept(folder: Path) -> None:
    words = ["run", folder / "cohort.csv", "--out", folder / "out", "--workers", 0]
    words += ["--config", folder / "quick.yaml", "--weights", "monet_phantom", "--no-report"]
    code, out, _ = call(*words, "--only", "A,b", "--only", "auto1")
    assert code == 1, "the kept row is not usable, and the table has it"
    assert "[3/3]" in out
    assert "rows kept from an earlier run, without a look at their scans: 1" in out
    code, _, err = call(*words, "--only", "a,nobody")
    assert code == 2
    assert err.splitlines()[-1] == (
        "pancseg: --only: the cohort has no patient or scan nobody; give ids as in the table"
    )


def test_under_pseudonyms_an_unknown_id_is_not_quoted(folder: Path) -> None:
    key = folder / "key"
    key.write_text("0123456789abcdef0123456789abcdef")
    words = ["extract", folder / "cohort.csv", "--out", folder / "hidden", "--workers", 0]
    words += ["--config", folder / "quick.yaml", "--pseudonymise", key, "--only"]
    for ids, what in (
        ("Doe_John", "with the id given"),
        ("a,Roe,Doe", "with 3 of the 3 ids given"),
    ):
        code, out, err = call(*words, ids)
        assert (code, out) == (2, "")
        told = f"--only: the cohort has no patient or scan {what}; give ids as in the table"
        assert err.splitlines()[-1] == f"pancseg: {told}"
        assert "Doe" not in err
    cases = pancseg.read_cohort(folder / "cohort.csv")
    options = RunOptions(workers=0, pseudonyms=True)
    with pytest.raises(pancseg.RunRefused, match="scan with the id given; give ids"):
        pancseg.extract_cohort(cases, folder / "hidden", only=["Doe"], options=options)


def test_a_case_without_an_earlier_row_is_named_before_the_run(folder: Path) -> None:
    with (folder / "cohort.csv").open("a") as lines:
        lines.write("new,scans/b.nii.gz,\n")
    before = table(folder)
    with pytest.raises(RunRefused, match=r"1 other case has no earlier row .*\(new\)"):
        run(folder, only=["a"])
    pd.testing.assert_frame_equal(table(folder), before)
    run(folder, only=["a", "new"])
    assert list(table(folder).index) == [*before.index, "new"]


def test_rows_made_in_another_way_are_not_mixed(folder: Path) -> None:
    other = (folder / "quick.yaml").read_text().replace("binWidth: 25", "binWidth: 10")
    (folder / "other.yaml").write_text(other)
    refused = r"3 other cases have a row that was made with other settings, weights or regions"
    for keywords in (
        {"settings": folder / "other.yaml"},
        {"uncertainty": 2},
        {"regions": {"pancreas": "1"}},
    ):
        with pytest.raises(RunRefused, match=refused):
            run(folder, only=["a"], **keywords)
    with pytest.raises(RunRefused, match=r"2 other cases .*\(auto1, broken\)"):
        run(folder, only=["a", "b"], weights="monet_open")


def test_rows_whose_mask_was_changed_since_are_named(folder: Path) -> None:
    change(folder / "out" / "masks" / "auto1.nii.gz")
    change(folder / "scans" / "b_mask.nii.gz")
    with pytest.raises(RunRefused, match=r"2 other cases have another mask .*\(b, auto1\)"):
        run(folder, only=["a"])
    run(folder, only=["b", "auto1"])
    assert table(folder).loc["auto1", "qc_mask_source"] == "corrected"
    run(folder, only=["a"])
    assert table(folder).loc["auto1", "qc_mask_source"] == "corrected", "kept once it is measured"


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans without masks, one of which is named as a correction of the other's would be."""
    folder = tmp_path_factory.mktemp("alike")
    make_cohort(folder, ("auto1", "auto1_corrected"))
    run(folder)
    return folder


@pytest.mark.parametrize("only", ["auto1", "auto1_corrected"])
def test_a_mask_of_a_scan_that_is_left_alone_is_no_correction(only: str, alike: Path) -> None:
    before = table(alike)
    assert before.loc["auto1", "mask_sha256"] != before.loc["auto1_corrected", "mask_sha256"]
    run(alike, only=[only])
    pd.testing.assert_frame_equal(table(alike), before)


def test_a_decision_that_needs_no_measuring_is_honoured_in_a_kept_row(folder: Path) -> None:
    (row,) = rows_to_judge(folder / "out", ["b"])
    judge_masks(folder / "out", [row], "reject", reason="the stomach", by="KM")
    run(folder, only=["a"])
    assert table(folder).loc["b", "qc_reasons"] == "rejected_by_reviewer"
    judge_masks(folder / "out", [row], "accept", reason="after all", by="KM")
    run(folder, only=["a"])
    assert table(folder).loc["b", ["qc_status", "qc_reasons"]].tolist() == ["warn", "accepted"]


def test_a_row_that_limits_left_unmeasured_is_not_kept_under_wider_ones(folder: Path) -> None:
    wide = (folder / "quick.yaml").read_text()
    narrow = wide.replace(
        "quality: {",
        "quality: {volume_ml: {fail_below: null, warn_below: null, warn_above: 1, fail_above: 1}, ",
    )
    (folder / "narrow.yaml").write_text(narrow)
    shutil.rmtree(folder / "out")
    run(folder, settings=folder / "narrow.yaml")
    assert table(folder).loc["auto1", "qc_status"] == "fail"
    with pytest.raises(RunRefused, match=r"1 other case has a row to be measured further"):
        run(folder, only=["a"])


def test_the_last_row_is_kept_and_not_an_older_one(folder: Path) -> None:
    """A scan that changed and changed back gets its first row again, without a new line for it."""
    scan, first = folder / "scans" / "a.nii.gz", table(folder)
    saved = scan.read_bytes()
    scan.write_bytes((folder / "scans" / "b.nii.gz").read_bytes())
    run(folder)
    assert table(folder).loc["a", "image_sha256"] != first.loc["a", "image_sha256"]
    scan.write_bytes(saved)
    run(folder)
    run(folder, only=["b"])
    pd.testing.assert_frame_equal(table(folder), first)


def test_a_damaged_journal_keeps_nothing(folder: Path) -> None:
    journal = folder / "out" / ".pancseg" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b"unreadable", b"unreadible")]))
    for _ in range(2):
        with pytest.raises(RunRefused, match="the journal of earlier results is damaged"):
            run(folder, only=["a"])
    run(folder)
    run(folder, only=["a"])


def test_rows_of_a_version_that_did_not_note_the_manner_are_not_kept_until_a_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / "out")
    add = Journal.add_row
    monkeypatch.setattr(Journal, "add_row", lambda self, key, result, **_: add(self, key, result))
    run(folder)
    monkeypatch.undo()
    with pytest.raises(RunRefused, match="by another version"):
        run(folder, only=["a"])
    run(folder)
    run(folder, only=["a"])


def test_the_acquisition_of_kept_scans_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "pancseg.running.worker._acquisition",
        lambda case: {"manufacturer": "ACME", "kvp": 120.0} if case.patient_id == "b" else {},
    )
    run(folder)
    before = (folder / "out" / "acquisition.csv").read_bytes()
    assert b"ACME" in before
    monkeypatch.undo()
    run(folder, only=["a"])
    assert (folder / "out" / "acquisition.csv").read_bytes() == before
    run(folder)
    assert not (folder / "out" / "acquisition.csv").exists()


def test_rows_that_leave_the_table_are_counted_and_come_back(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cases = pancseg.read_cohort(folder / "cohort.csv")
    run(folder)
    assert "left it" not in caplog.text
    pancseg.run_cohort(
        cases[:1], folder / "out", settings=folder / "quick.yaml", weights="monet_phantom",
        options=HERE, pictures=False,
    )  # fmt: skip
    assert "3 rows of the earlier table left it" in caplog.text
    assert len(table(folder)) == 1
    run(folder, only=["a"])
    assert len(table(folder)) == 4


@pytest.mark.parametrize("only", [[], [" , "], ""])
def test_nobody_is_nobody(only: Any, folder: Path) -> None:
    with pytest.raises(RunRefused, match="names nobody"):
        run(folder, only=only)
