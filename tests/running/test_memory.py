"""What fits is let in; what does not waits, or is refused."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import SimpleITK as sitk

from pancseg import (
    Case,
    FeatureSettings,
    RunOptions,
    RunRefused,
    load_feature_settings,
    read_cohort,
    write_scan,
)
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.running import memory
from pancseg.running.memory import (
    SECOND_LOOK_BYTES,
    MemoryBudget,
    free_bytes,
    needed_bytes,
    needed_memory,
    parse_size,
)
from pancseg.segmentation import engines


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4_000_000_000),
        ("3.5g", 3_500_000_000),
        ("800 MiB", 800_000_000),
        ("0.1GB", 100_000_000),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "many", "-3GB", "0", "1.2.3GB", "4PB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of memory"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("8", "did you mean 8GB?"), ("512", "did you mean 512GB?"), ("99MB", "give more")],
)
def test_an_amount_in_which_nothing_can_be_done_is_refused(text: str, remedy: str) -> None:
    with pytest.raises(RunRefused, match=r"\(expected at least 100 MB\)") as refused:
        parse_size(text)
    assert str(refused.value).endswith(remedy)
    with pytest.raises(RunRefused, match=r"`memory_bytes` is 8 \(expected .* mean 8GB"):
        RunOptions(memory_bytes=8)


def test_a_scan_needs_more_the_larger_it_is_and_an_unreadable_one_only_its_worker(
    tmp_path: Path,
) -> None:
    sizes = []
    for count in (10, 40):
        path = tmp_path / f"{count}.nii.gz"
        write_scan(sitk.GetImageFromArray(np.zeros((count, 100, 100), np.int16)), path)
        sizes.append(needed_bytes([Case("x", path)], "torch"))
    assert sizes[1] - sizes[0] >= 30 * 100 * 100 * 2
    (tmp_path / "bad.nii").write_text("no header")
    bad = [Case("x", tmp_path / "bad.nii")]
    few, more, most = (needed_bytes(bad, engine) for engine in ("", "openvino", "torch"))
    assert few < more < most < sizes[0]
    masked = Case("x", tmp_path / "10.nii.gz", mask=tmp_path / "40.nii.gz")
    assert needed_bytes([masked], "torch") - sizes[0] >= 40 * 100 * 100 * 8


def test_a_header_on_a_share_that_has_gone_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back = threading.Event()

    def hang(*_: object, **__: object) -> None:
        back.wait()
        raise OSError

    monkeypatch.setattr(memory, "HEADER_S", 0.1)
    monkeypatch.setattr("pancseg.running.memory.preview_scan", hang)
    case = Case("x", Path("gone") / "scan.nii", mask=Path("gone") / "mask.nii")
    assert needed_bytes([case], "torch") == memory.WORKER_BYTES["torch"]
    back.set()


def test_who_does_not_fit_waits_for_room() -> None:
    budget = MemoryBudget(10)
    assert budget.fits(10)
    assert not budget.fits(11)
    budget.take(7)
    entered = threading.Event()

    def second() -> None:
        budget.take(5)
        entered.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not entered.wait(0.1)
    budget.give_back(7)
    assert entered.wait(120)
    thread.join()


def test_there_is_memory() -> None:
    assert 0 < free_bytes() <= psutil.virtual_memory().total


@pytest.mark.parametrize("weights", [None, "monet_phantom"])
def test_a_worker_takes_no_more_than_is_foretold_and_not_much_less(
    cohort: Path, weights: str | None, tmp_path: Path
) -> None:
    cases = [case for case in read_cohort(cohort) if bool(case.mask) is not bool(weights)][:1]
    settings = load_feature_settings(cohort.parent / "quick.yaml")
    work = ProcessingPlan("run" if weights else "extract", settings, weights)
    run_plan(cases, tmp_path, work, lambda result: None, RunOptions(workers=1))
    log = map(json.loads, (tmp_path / "run.jsonl").read_text().splitlines())
    took = next(record["peak_mb"] for record in log if record["event"] == "scan") * 1e6
    foretold = needed_bytes(cases, engines.pick() if weights else "")
    assert took <= foretold <= 2.5 * took


def test_a_second_look_needs_memory_of_its_own(cohort: Path) -> None:
    case = read_cohort(cohort)[0]
    for engine in ("openvino", "torch", "cuda"):
        one, two = (needed_bytes([case], engine, looks=looks) for looks in (1, 2))
        assert two - one == SECOND_LOOK_BYTES.get(engine, SECOND_LOOK_BYTES["torch"]) > 2e7
        assert needed_memory([case], engine, None, 2).scan == two


def test_features_are_foretold_too(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    write_scan(sitk.GetImageFromArray(np.zeros((10, 100, 100), np.int16)), path)
    cases = [Case("x", path)]
    settings = load_feature_settings("pancreas_ct_filters")
    assert needed_memory(cases, "", None) == (needed_bytes(cases, ""), 0)
    few, many = (needed_memory(cases, "", s) for s in (load_feature_settings(), settings))
    assert few.scan == many.scan == needed_bytes(cases, "")
    assert 8 * 10**7 < few.features <= many.features
    assert needed_memory([Case("x", tmp_path / "gone.nii")], "", settings).features == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_a_grid_that_does_not_fit_costs_its_row_and_no_memory(
    cohort: Path, workers: int, tmp_path: Path
) -> None:
    cases = [case for case in read_cohort(cohort) if case.mask][:1]
    setting = {"resampledPixelSpacing": [0.3, 0.3, 0.3]}
    settings = FeatureSettings(name="custom", parameters={"setting": setting})
    plan = ProcessingPlan("extract", settings, keep_failed=True)
    options = RunOptions(workers=workers, memory_bytes=500_000_000)
    (result,) = run_plan(cases, tmp_path, plan, lambda result: None, options)
    assert result.status == "fail"
    assert "memory" in result.reason.split(";")
    log = map(json.loads, (tmp_path / "run.jsonl").read_text().splitlines())
    took = next(record["peak_mb"] for record in log if record["event"] == "scan")
    assert workers == 0 or took < 500
