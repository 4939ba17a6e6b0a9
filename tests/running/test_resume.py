"""A run does again what is new, changed or failed, and nothing else."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from pancseg import (
    Case,
    CaseResult,
    RunOptions,
    load_feature_settings,
    read_cohort,
    read_scan,
    write_scan,
)
from pancseg.cohort.discovery import STATE_FOLDER
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.running import keys
from pancseg.running.run_log import account_of
from pancseg.scans.arrays import image_like, voxel_array

HERE = RunOptions(workers=0)


@pytest.fixture
def work(cohort: Path) -> ProcessingPlan:
    settings = load_feature_settings(cohort.parent / "quick.yaml")
    return ProcessingPlan("run", settings, weights="monet_phantom")


@pytest.fixture
def cases(cohort: Path, tmp_path: Path) -> list[Case]:
    """Three patients of the cohort, the last without a mask, as files that a test may change."""
    folder = tmp_path / "copy"
    shutil.copytree(cohort.parent, folder)
    by_name = {case.name: case for case in read_cohort(folder / "cohort.csv")}
    return [by_name[name] for name in ("a", "b", "auto1")]


def correct(path: Path) -> None:
    """Take the lowest slice of a mask away."""
    mask = read_scan(path)
    voxels = voxel_array(mask).copy()
    voxels[np.flatnonzero(voxels.any(axis=(1, 2)))[0]] = 0
    write_scan(image_like(voxels, mask), path)


def run(
    cases: list[Case], out: Path, work: ProcessingPlan, options: RunOptions = HERE
) -> tuple[list[CaseResult], set[str]]:
    """Run, and return the results and the names of the scans that were done anew."""
    results = run_plan(cases, out, work, lambda result: None, options)
    lines = [json.loads(line) for line in (out / "run.jsonl").read_text().splitlines()]
    scans_ = [line for line in lines if line["event"] == "scan"]
    return results, {line["case"] for line in scans_ if line["reused"] < len(line["rows"])}


def test_the_same_again_does_nothing_and_gives_the_same_bytes(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _, done = run(cases, out, work)
    assert done == {"a", "b", "auto1"}
    first = (out / "features.csv").read_bytes()
    _, done = run(cases, out, work)
    assert done == set()
    assert account_of(out / "run.jsonl").reused == 3
    assert (out / "features.csv").read_bytes() == first


def test_another_order_added_and_removed_patients(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cases[:2], out, work)
    first = pd.read_csv(out / "features.csv").set_index("patient_id")
    _, done = run([cases[2], cases[1]], out, work)
    assert done == {"auto1"}
    second = pd.read_csv(out / "features.csv").set_index("patient_id")
    assert list(second.index) == ["auto1", "b"]
    pd.testing.assert_series_equal(second.loc["b"], first.loc["b"])


def test_a_changed_setting_never_takes_an_old_value_and_keeps_the_masks(
    cases: list[Case], work: ProcessingPlan, cohort: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cases, out, work)
    before = pd.read_csv(out / "features.csv")
    mask = out / "masks" / "auto1.nii.gz"
    made = mask.stat().st_mtime_ns
    text = (cohort.parent / "quick.yaml").read_text().replace("binWidth: 25", "binWidth: 10")
    (tmp_path / "finer.yaml").write_text(text)
    finer = replace(work, settings=load_feature_settings(tmp_path / "finer.yaml"))
    _, done = run(cases, out, finer)
    assert done == {"a", "b", "auto1"}
    after = pd.read_csv(out / "features.csv")
    entropy = "original_firstorder_Entropy"
    assert (before[entropy] != after[entropy]).all()
    assert (before["settings_sha256"] != after["settings_sha256"]).all()
    assert mask.stat().st_mtime_ns == made
    _, done = run(cases, out, work)  # the first settings again
    assert done == set()
    pd.testing.assert_frame_equal(pd.read_csv(out / "features.csv"), before)


def test_a_changed_scan_or_mask_costs_that_patient_alone(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cases, out, work)
    assert cases[0].mask is not None
    correct(cases[0].mask)
    _, done = run(cases, out, work)
    assert done == {"a"}
    image = read_scan(cases[2].image)
    image[0, 0, 0] += 1  # a corner, so that the network finds the same
    write_scan(image, cases[2].image)
    results, done = run(cases, out, work)
    assert done == {"auto1"}
    assert results[2].usable, results[2].fact


def test_a_mask_of_the_network_that_was_corrected_is_measured_as_it_is(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before, _ = run(cases, out, work)
    path = out / "masks" / "auto1.nii.gz"
    correct(path)
    corrected = path.read_bytes()
    results, done = run(cases, out, work)
    assert done == {"auto1"}
    assert path.read_bytes() == corrected
    assert results[2].values["qc_mask_source"] == "corrected"
    assert 0 < results[2].values["qc_volume_ml"] < before[2].values["qc_volume_ml"]  # type: ignore[operator]
    _, done = run(cases, out, work)
    assert done == set()


def test_a_corrected_mask_is_not_taken_for_another_scan(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cases, out, work)
    path = out / "masks" / "auto1.nii.gz"
    correct(path)
    write_scan(read_scan(cases[2].image) + 1, cases[2].image)
    corrected = path.read_bytes()
    results, _ = run(cases, out, work)
    assert [o.reason for o in results] == ["", "", "mask_exists"]
    assert path.read_bytes() == corrected


def test_a_corrected_mask_holds_whatever_the_network_would_make_now(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(cases[2:], out, work)
    path = out / "masks" / "auto1.nii.gz"
    correct(path)
    corrected = path.read_bytes()
    monkeypatch.setattr(keys, "MASK_VERSION", keys.MASK_VERSION + 1)
    for other in (work, replace(work, weights="monet_open")):
        results, _ = run(cases[2:], out, other)
        assert results[0].values["qc_mask_source"] == "corrected"
        assert path.read_bytes() == corrected


def test_why_a_corrected_mask_is_not_taken_is_told(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cases[2:], out, work)
    correct(out / "masks" / "auto1.nii.gz")
    journal = out / STATE_FOLDER / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        line.pop("scan", None)  # as an earlier version wrote it
        line.pop("hash")
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert "under an earlier version of pancseg" in run(cases[2:], out, work)[0][0].fact
    cases[2].image.unlink()
    assert "the scan cannot be read" in run(cases[2:], out, work)[0][0].fact
    assert (out / "masks" / "auto1.nii.gz").exists()


def test_a_version_that_moves_a_feature_makes_no_mask_again(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(cases[2:], out, work)
    made = (out / "masks" / "auto1.nii.gz").stat().st_mtime_ns
    monkeypatch.setattr(keys, "RESULT_VERSION", keys.RESULT_VERSION + 1)
    assert run(cases[2:], out, work)[1] == {"auto1"}
    assert (out / "masks" / "auto1.nii.gz").stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("scan.mhd", b"ElementDataFile = ", b"ElementDataFile\t=\t"),
        ("scan.mhd", b"ElementDataFile = ", b" ElementDataFile ="),
        ("scan.nhdr", b"data file: ", b"# %s\ndata file: " % (b"x" * 70_000)),
    ],
)
def test_changed_voxels_beside_a_header_are_measured_again(
    name: str,
    before: bytes,
    after: bytes,
    cases: list[Case],
    work: ProcessingPlan,
    tmp_path: Path,
) -> None:
    """However the header names their file."""
    image = tmp_path / name
    sitk.WriteImage(read_scan(cases[0].image), str(image))
    header = image.read_bytes()
    assert header.count(before) == 1
    image.write_bytes(header.replace(before, after))
    case, extract = replace(cases[0], image=image), replace(work, command="extract", weights=None)
    first, done = run([case], tmp_path / "out", extract)
    assert done == {"a"}
    assert run([case], tmp_path / "out", extract)[1] == set()
    data = next(path for path in tmp_path.glob("scan.*raw*"))
    voxels = np.frombuffer(data.read_bytes(), "<i2")
    data.write_bytes((voxels + 10).astype("<i2").tobytes())
    again, done = run([case], tmp_path / "out", extract)
    assert done == {"a"}
    means = [each[0].values["original_firstorder_Mean"] for each in (first, again)]
    assert float(means[1]) == pytest.approx(float(means[0]) + 10)


def test_the_networks_own_mask_given_as_ones_own_is_another_row(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    """Whether a foreign mask was refused before, or a corrected one measured."""
    out, alone = tmp_path / "out", replace(HERE, retry=False)
    run(cases[2:], tmp_path / "other", work)
    (out / "masks").mkdir(parents=True)
    mask = Path(shutil.copy(tmp_path / "other" / "masks" / "auto1.nii.gz", out / "masks"))
    assert run(cases[2:], out, work)[0][0].reason == "mask_exists"
    results, _ = run([replace(cases[2], mask=mask)], out, work, alone)
    assert results[0].values["qc_mask_source"] == "given"
    correct(tmp_path / "other" / "masks" / "auto1.nii.gz")
    results, _ = run(cases[2:], tmp_path / "other", work)
    assert results[0].values["qc_mask_source"] == "corrected"
    mine = replace(cases[2], mask=tmp_path / "other" / "masks" / "auto1.nii.gz")
    results, _ = run([mine], tmp_path / "other", work)
    assert results[0].values["qc_mask_source"] == "given"


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_finished_stays_when_there_is_less_memory(
    cases: list[Case],
    work: ProcessingPlan,
    tmp_path: Path,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    run(cases[:2], out, work)
    table = pd.read_csv(out / "features.csv")
    assert cases[1].mask is not None
    correct(cases[1].mask)
    monkeypatch.setattr("pancseg.running.executors.place.free_bytes", lambda: 1_000_000)
    results, _ = run(cases, out, work, replace(HERE, workers=workers))
    assert [(o.status, o.reason) for o in results] == [
        ("pass", ""), ("fail", "memory"), ("fail", "memory")
    ]  # fmt: skip
    assert "raise `memory_bytes`" in results[1].fact
    pd.testing.assert_series_equal(pd.read_csv(out / "features.csv").loc[0], table.loc[0])


def test_a_mask_that_comes_from_elsewhere_is_neither_taken_nor_replaced(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "masks").mkdir(parents=True)
    assert cases[0].mask is not None
    shutil.copy(cases[0].mask, out / "masks" / "auto1.nii.gz")
    results, _ = run(cases, out, work)
    assert [o.reason for o in results] == ["", "", "mask_exists"]
    assert (out / "masks" / "auto1.nii.gz").read_bytes() == cases[0].mask.read_bytes()


def test_a_mask_that_was_deleted_is_made_again(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cases, out, work)
    path = out / "masks" / "auto1.nii.gz"
    made = path.read_bytes()
    table = (out / "features.csv").read_bytes()
    path.unlink()
    _, done = run(cases, out, work)
    assert done == {"auto1"}
    assert path.read_bytes() == made
    assert (out / "features.csv").read_bytes() == table


def test_a_mask_outlives_its_scan_being_away(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    """A share that drops out costs the row, not the mask, which is right when it is back."""
    out, away = tmp_path / "out", tmp_path / "away.nii.gz"
    run(cases, out, work)
    path, table = out / "masks" / "auto1.nii.gz", (out / "features.csv").read_bytes()
    made = path.stat().st_mtime_ns
    cases[2].image.rename(away)
    results, _ = run(cases, out, work)
    assert results[2].reason == "unreadable"
    away.rename(cases[2].image)
    run(cases, out, work)
    assert path.stat().st_mtime_ns == made
    assert (out / "features.csv").read_bytes() == table


def test_segmenting_first_leaves_only_measuring(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    apart, whole = tmp_path / "apart", tmp_path / "whole"
    alone = replace(work, command="segment", settings=None)
    run_plan(cases[2:], apart, alone, lambda result: None, HERE)
    made = (apart / "masks" / "auto1.nii.gz").stat().st_mtime_ns
    run(cases[2:], apart, work)
    assert (apart / "masks" / "auto1.nii.gz").stat().st_mtime_ns == made
    run(cases[2:], whole, work)
    assert (apart / "features.csv").read_bytes() == (whole / "features.csv").read_bytes()


def test_failures_are_tried_again_unless_they_are_to_stay(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert cases[0].mask is not None
    whole = cases[0].mask.read_bytes()
    write_scan(read_scan(cases[0].mask) * 0, cases[0].mask)
    results, _ = run(cases, out, work)
    assert [o.reason for o in results] == ["empty_mask", "", ""]
    table = (out / "features.csv").read_bytes()
    _, done = run(cases, out, work)
    assert done == {"a"}
    _, done = run(cases, out, work, replace(HERE, retry=False))
    assert done == set()
    assert (out / "features.csv").read_bytes() == table
    cases[0].mask.write_bytes(whole)
    results, done = run(cases, out, work, replace(HERE, retry=False))
    assert done == {"a"}  # it is not the same any more
    assert [o.reason for o in results] == ["", "", ""]


def test_a_renamed_patient_gets_a_mask_under_the_new_name(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cases, out, work)
    results, _ = run([replace(cases[2], patient_id="new")], out, work)
    assert results[0].usable
    old, new = (out / "masks" / f"{name}.nii.gz" for name in ("auto1", "new"))
    assert old.read_bytes() == new.read_bytes()
    assert list(pd.read_csv(out / "features.csv")["patient_id"]) == ["new"]


def test_a_failed_segmentation_leaves_no_mask_of_an_earlier_scan(
    cases: list[Case], work: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cases, out, work)
    image = read_scan(cases[2].image)
    air = np.full(voxel_array(image).shape, -1000, np.int16)
    air[0, 0, 0] = 0
    write_scan(image_like(air, image), cases[2].image)
    results, _ = run(cases, out, work)
    assert not results[2].usable
    assert not (out / "masks" / "auto1.nii.gz").exists()
