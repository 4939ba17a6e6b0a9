"""Whatever happens to a worker: one row per patient, and the others as if nothing had happened."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hanging_scans import limit_only_what_hangs

from pancseg import (
    Case,
    CaseResult,
    RunOptions,
    RunRefused,
    RunStopped,
    load_feature_settings,
    read_cohort,
)
from pancseg.cohort.regions import one_per_region
from pancseg.cohort.roi import parse_roi
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.running import keys
from pancseg.running.executors import process, supervisor
from pancseg.running.executors.supervisor import SupervisedWorker
from pancseg.running.messages import Message, OnStage, Request, RowDone, ScanDone
from pancseg.running.run_log import account_of
from pancseg.system.stage import Stage

BAD = {
    "segfault": ("error", "crashed", "SIGSEGV"),
    "exit": ("error", "crashed", "exited with code 7"),
    "kernel": ("error", "killed", "lack of memory"),
    "hang": ("error", "timeout", "longer than 2 s"),
    "memoryerror": ("fail", "memory", "the process ran out of memory"),
    "print": ("warn", "duplicate", "same voxels"),
}


@pytest.fixture
def work(cohort: Path) -> ProcessingPlan:
    return ProcessingPlan("extract", load_feature_settings(cohort.parent / "quick.yaml"))


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Path(__file__).with_name("crashing_child.py")
    monkeypatch.setattr(process, "CHILD", (str(child),))
    limit_only_what_hangs(monkeypatch)


def with_own_masks(cohort: Path) -> list[Case]:
    return [case for case in read_cohort(cohort) if case.mask]


def renamed(case: Case, name: str, folder: Path) -> Case:
    """The same patient under another id, its scan in a file of that name."""
    path = folder / f"{name}.nii.gz"
    shutil.copy(case.image, path)
    return replace(case, patient_id=name, image=path)


def second_measurement_crashes(script: Path, after_s: float = 0) -> Path:
    """Write a child whose second measurement of features crashes."""
    script.write_text(
        "import os, signal, time\n"
        "from pancseg.processing import row_filler\n"
        "from pancseg.running.executors import child\n"
        "compute, done = row_filler.compute_features, []\n"
        "def badly(*given):\n"
        "    done.append(1)\n"
        "    if len(done) == 2:\n"
        f"        time.sleep({after_s})\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return compute(*given)\n"
        "row_filler.compute_features = badly\n"
        "child.main()\n"
    )
    return script


def quietly(result: CaseResult) -> None:
    """Report nothing."""


def test_bad_ends_cost_their_own_row_only(
    cohort: Path, work: ProcessingPlan, crashing: None, tmp_path: Path
) -> None:
    good = with_own_masks(cohort)
    cases = [good[0]]
    for number, name in enumerate(BAD):
        cases += [renamed(good[0], name, tmp_path), renamed(good[1], f"good{number}", tmp_path)]
    seen: list[str] = []
    results = run_plan(
        cases,
        tmp_path / "out",
        work,
        lambda result: seen.append(result.case.name),
        RunOptions(workers=2, timeout_s=2),
    )
    assert [o.case.name for o in results] == [case.name for case in cases]
    assert sorted(seen) == sorted(case.name for case in cases)
    by_name = {o.case.name: o for o in results}
    for name, (status, reason, fact) in BAD.items():
        assert (by_name[name].status, by_name[name].reason) == (status, reason)
        assert fact in by_name[name].fact
    frame = pd.read_csv(tmp_path / "out" / "features.csv")
    assert list(frame["patient_id"]) == [case.name for case in cases]
    values = frame.filter(like="original_")
    usable = frame["qc_status"].isin(["pass", "warn"])
    assert values[usable].notna().all(axis=None)
    assert values[~usable].isna().all(axis=None)
    assert values[frame["patient_id"].str.startswith("good")].nunique().eq(1).all()


def test_a_crash_in_one_region_leaves_the_scans_other_rows(
    cohort: Path, work: ProcessingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = second_measurement_crashes(tmp_path / "child.py")
    monkeypatch.setattr(process, "CHILD", (str(script),))
    regions = {name: parse_roi("1") for name in ("first", "second", "third")}
    cases = one_per_region(with_own_masks(cohort)[:1], regions)
    results = run_plan(cases, tmp_path / "out", work, quietly, RunOptions(workers=1))
    assert [o.reason for o in results if not o.usable] == ["crashed"]
    assert [o.case.roi for o in results if o.usable] == ["first", "third"]


class AsOnACluster:
    """Workers whose messages come when a request is done: a mask has no name of its own before."""

    budget, at_once = None, 1

    def __init__(
        self, work: ProcessingPlan, cases: object, options: RunOptions, early: object
    ) -> None:
        self._worker = SupervisedWorker(work, 1)
        self.network_info = self._worker.start().network_info

    def execute(
        self, requests: Iterator[Request], on_stage: OnStage
    ) -> Iterator[tuple[Request, Message]]:
        for request in requests:
            told: list[Message] = []
            self._worker.run(request, told.append)
            yield from ((request, m) for m in told if not isinstance(m, Stage))

    def close(self) -> None:
        self._worker.stop()


def test_a_crash_after_the_network_made_the_mask_leaves_the_scans_other_rows(
    cohort: Path, work: ProcessingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = next(case for case in read_cohort(cohort) if not case.mask)
    regions = {name: parse_roi("1") for name in ("first", "second", "third")}
    cases = one_per_region([auto], regions)
    work = replace(work, command="run", weights="monet_phantom")
    whole = run_plan(cases, tmp_path / "whole", work, quietly, RunOptions(workers=1))
    mask = (tmp_path / "whole" / "masks" / "auto1.nii.gz").read_bytes()
    script = second_measurement_crashes(tmp_path / "child.py")
    monkeypatch.setattr(process, "CHILD", (str(script),))
    for place in ("here", "cluster"):
        if place == "cluster":
            monkeypatch.setattr("pancseg.pipeline.cohort_run.executor_for", AsOnACluster)
        results = run_plan(cases, tmp_path / place, work, quietly, RunOptions(workers=1))
        assert [o.reason for o in results] == ["", "crashed", ""]
        for number in (0, 2):
            assert dict(results[number].values) == dict(whole[number].values)
        assert (tmp_path / place / "masks" / "auto1.nii.gz").read_bytes() == mask
        assert list((tmp_path / place / "masks").glob(".*")) == []


@pytest.mark.parametrize("when", ["starting", "idle"])
def test_a_worker_that_is_killed_before_it_has_a_scan_costs_none(
    when: str, cohort: Path, work: ProcessingPlan
) -> None:
    told: list[Message] = []
    worker = SupervisedWorker(work, 1)
    if when == "starting":
        worker.launch()
    else:
        worker.start()
    child = worker._child
    assert child is not None
    child.kill()
    child.wait()
    case = with_own_masks(cohort)[0]
    worker.run(Request((case,), (frozenset(),)), told.append)
    worker.stop()
    rows = [message for message in told if isinstance(message, RowDone)]
    assert [row.result and row.result.status for row in rows] == ["pass"]
    assert isinstance(told[-1], ScanDone)


@pytest.mark.parametrize(("bad_starts", "lost"), [(range(2, 4), 0), (range(2, 5), 1)])
def test_new_workers_that_are_killed_while_starting_cost_one_scan_at_most(
    bad_starts: range,
    lost: int,
    cohort: Path,
    work: ProcessingPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first worker crashes at the first scan; some that should follow it do not begin."""
    counter = tmp_path / "starts"
    script = tmp_path / "child.py"
    script.write_text(
        "import os, signal, sys\n"
        f"with open({str(counter)!r}, 'a') as file: print(file=file)\n"
        f"if os.path.getsize({str(counter)!r}) in {list(bad_starts)}:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import crashing_child\n"
        "crashing_child.scan_reading.read_scan = crashing_child._badly\n"
        "crashing_child.child.main()\n"
    )
    monkeypatch.setattr(process, "CHILD", (str(script),))
    monkeypatch.setattr(supervisor, "WAIT_S", 0.01)
    good = with_own_masks(cohort)
    cases = [renamed(good[0], "segfault", tmp_path), *good]
    results = run_plan(cases, tmp_path / "out", work, quietly, RunOptions(workers=1))
    reasons = ["crashed", *["killed"] * lost, *[""] * (len(good) - lost)]
    assert [o.reason for o in results] == reasons
    assert ("the last of 3 was killed, most likely" in results[1].fact) == bool(lost)
    assert len(pd.read_csv(tmp_path / "out" / "features.csv")) == len(cases)


def test_the_log_tells_what_lost_scans_took(
    cohort: Path, work: ProcessingPlan, crashing: None, tmp_path: Path
) -> None:
    good = with_own_masks(cohort)
    cases = [good[0], renamed(good[1], "hang", tmp_path), renamed(good[2], "segfault", tmp_path)]
    run_plan(cases, tmp_path / "out", work, quietly, RunOptions(workers=1, timeout_s=2))
    account = account_of(tmp_path / "out" / "run.jsonl")
    spent = {name: seconds for seconds, name in account.slowest}
    assert set(spent) == {case.name for case in cases}
    assert spent["hang"] >= 2
    assert min(spent.values()) > 0
    lines = map(json.loads, (tmp_path / "out" / "run.jsonl").read_text().splitlines())
    scans = {line["case"]: line for line in lines if line["event"] == "scan"}
    total = sum(sum(scan["stages"].values()) for scan in scans.values())
    lost = (spent["hang"] + spent["segfault"]) / total  # nothing of them but what was broken off
    assert dict(account.shares)["broken off"] == pytest.approx(lost, abs=0.01)
    assert sum(share for _, share in account.shares) == pytest.approx(1)
    peaks = {name: scan["peak_mb"] for name, scan in scans.items()}
    assert 50 < peaks["hang"] < 2000  # its process still was there to be asked


def test_the_log_counts_both_parts_of_a_scan_with_a_crash_between(
    cohort: Path, work: ProcessingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = second_measurement_crashes(tmp_path / "child.py", after_s=2)
    monkeypatch.setattr(process, "CHILD", (str(script),))
    regions = {name: parse_roi("1") for name in ("first", "second", "third")}
    cases = one_per_region(with_own_masks(cohort)[:1], regions)
    run_plan(cases, tmp_path / "out", work, quietly, RunOptions(workers=1))
    lines = [json.loads(line) for line in (tmp_path / "out" / "run.jsonl").read_text().splitlines()]
    (scan,) = (line for line in lines if line["event"] == "scan")
    assert scan["seconds"] > 2
    assert scan["stages"]["broken off"] > 2
    assert 0 < scan["stages"]["features"] <= scan["seconds"] - scan["stages"]["broken off"]
    assert [row["reasons"] for row in scan["rows"]] == ["", "crashed", ""]


def test_an_exception_beside_the_rows_is_the_outcome_of_those_left(
    cohort: Path, work: ProcessingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, series_uid: str | None = None) -> str:
        raise KeyError("DOE^JOHN")

    monkeypatch.setattr(keys, "of_files", broken)
    cases = with_own_masks(cohort)[:2]
    results = run_plan(cases, tmp_path / "out", work, quietly, RunOptions(workers=0))
    assert [(o.status, o.reason) for o in results] == [("error", "KeyError")] * 2
    assert "unexpected KeyError" in results[0].fact
    monkeypatch.undo()
    results = run_plan(cases, tmp_path / "out", work, quietly, RunOptions(workers=0))
    assert all(o.usable for o in results)


def test_order_and_values_do_not_depend_on_workers(
    cohort: Path, work: ProcessingPlan, tmp_path: Path
) -> None:
    cases = read_cohort(cohort)[2:]
    work = replace(work, command="run", weights="monet_phantom")
    tables = []
    for workers in (0, 1, 2):
        out = tmp_path / str(workers)
        run_plan(cases, out, work, quietly, RunOptions(workers=workers))
        masks = [path.read_bytes() for path in sorted((out / "masks").glob("*.nii.gz"))]
        tables.append([(out / "features.csv").read_bytes(), *masks])
        assert len(masks) == 2
    assert tables[0] == tables[1] == tables[2]


def test_strict_stops_at_the_first_row_that_is_not_usable(
    cohort: Path, work: ProcessingPlan, crashing: None, tmp_path: Path
) -> None:
    good = with_own_masks(cohort)
    cases = [renamed(good[0], "segfault", tmp_path), *good]
    out = tmp_path / "out"
    with pytest.raises(RunStopped):
        run_plan(cases, out, work, quietly, RunOptions(workers=1, strict=True))
    assert not (out / "features.csv").exists()
    (line,) = [text for text in (out / "run.jsonl").read_text().splitlines() if '"scan"' in text]
    assert json.loads(line)["rows"][0]["reasons"] == "crashed"


def test_a_worker_that_hangs_while_it_starts_ends_the_run(
    cohort: Path, work: ProcessingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "child.py"
    script.write_text("import time\ntime.sleep(3600)\n")
    monkeypatch.setattr(process, "CHILD", (str(script),))
    monkeypatch.setattr(supervisor, "START_S", 0.5)
    cases = with_own_masks(cohort)[:1]
    with pytest.raises(RunRefused, match="cannot start: it was not ready within"):
        run_plan(cases, tmp_path / "out", work, quietly, RunOptions(workers=1))


def test_what_does_not_fit_into_memory_is_refused_with_the_number(
    cohort: Path, work: ProcessingPlan, tmp_path: Path
) -> None:
    cases = with_own_masks(cohort)[:2]
    options = RunOptions(workers=1, memory_bytes=100_000_000)
    results = run_plan(cases, tmp_path / "out", work, quietly, options)
    assert {(o.status, o.reason) for o in results} == {("fail", "memory")}
    assert "needs about 0." in results[0].fact
    assert "0.1 GB may be used" in results[0].fact
    lines = [json.loads(line) for line in (tmp_path / "out" / "run.jsonl").read_text().splitlines()]
    logged = [line for line in lines if line["event"] == "scan"]
    assert [line["case"] for line in logged] == [case.name for case in cases]
    assert [line["rows"][0]["reasons"] for line in logged] == ["memory", "memory"]


def test_nobody_is_left_behind_when_a_run_is_killed(cohort: Path, tmp_path: Path) -> None:
    import psutil

    with psutil.Popen(
        [
            *(
                sys.executable,
                "-m",
                "pancseg",
                "extract",
                str(cohort),
                "--out",
                str(tmp_path / "o"),
            ),
            *("--workers", "2", "--quiet"),
        ]
    ) as run:
        deadline = time.monotonic() + 300
        while not (children := run.children(recursive=True)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert children
        run.kill()
    _, alive = psutil.wait_procs(children, timeout=120)
    assert alive == []
