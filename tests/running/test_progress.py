"""A run tells how far it has come, wherever its workers are, and no result depends on that."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pancseg import Case, RunOptions, RunProgress, load_feature_settings, read_cohort, run_cohort
from pancseg.report.cohort import stages_of
from pancseg.report.output_folder import read_output
from pancseg.running.executors import process, supervisor
from pancseg.running.executors.local import LocalExecutor
from pancseg.running.executors.supervisor import SupervisedWorker
from pancseg.running.messages import Message, Request, RowDone
from pancseg.running.progress import LOG_EVERY_S, ProgressTracker
from pancseg.running.run_log import RunLog, account_of
from pancseg.system.stage import Stage

WEIGHTS = "monet_phantom"


def run(cohort: Path, out: Path, workers: int, **more: Any) -> list[str]:
    settings = load_feature_settings(cohort.parent / "quick.yaml")
    options = RunOptions(workers=workers, threads=max(1, workers))
    cases = [case for case in read_cohort(cohort) if case.name in ("a", "auto1")]
    results = run_cohort(
        cases, out, settings=settings, weights=WEIGHTS, options=options, pictures=False, **more
    )
    return [f"{r.case.name} {r.status} {r.reason}" for r in results]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_stage_of_every_scan_is_told(cohort: Path, workers: int, tmp_path: Path) -> None:
    seen: list[RunProgress] = []
    run(cohort, tmp_path / "out", workers, watch=seen.append)
    stages: dict[str, set[str]] = {}
    for now in seen:
        assert len(now.at_work) <= max(1, workers)
        for name, stage in now.at_work.items():
            stages.setdefault(name, set()).add(stage.name)
    assert stages == {"a": {"read", "features"}, "auto1": {"read", "segment", "features"}}
    assert [now.done for now in seen] == sorted(now.done for now in seen)
    assert seen[-1] == RunProgress(2, 2, 0.0, {})


def test_a_watcher_that_fails_changes_no_row(cohort: Path, tmp_path: Path) -> None:
    def fail(now: RunProgress) -> None:
        raise RuntimeError("no screen")

    expected = run(cohort, tmp_path / "unwatched", 0)
    for workers in (0, 2):
        assert run(cohort, tmp_path / f"out{workers}", workers, watch=fail) == expected
        for name in ("features.csv", "masks/auto1.nii.gz"):
            mine, theirs = tmp_path / f"out{workers}" / name, tmp_path / "unwatched" / name
            assert mine.read_bytes() == theirs.read_bytes()


def test_unchanged_rows_are_done_but_tell_nothing_of_the_time(cohort: Path, tmp_path: Path) -> None:
    run(cohort, tmp_path, 0)
    seen: list[RunProgress] = []
    run(cohort, tmp_path, 0, watch=seen.append)
    assert (seen[-1].done, seen[-1].total) == (2, 2)
    assert {now.left_s for now in seen[:-1]} == {None}


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_log_has_few_lines_about_a_scan_and_summaries_pass_over_them(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "run.jsonl"
    log = RunLog(path)
    tracker = ProgressTracker({"P1": False, "P2": False}, lambda: 1, log, lambda _: None, clock)
    for second in range(95):
        clock.now_s = float(second)
        tracker.reach("P1", Stage("segment", second, 280))
    for _ in range(99):  # a quick scan has no line
        tracker.reach("P2", Stage("features", 1, 1))
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["event"] for line in lines} == {"progress"}
    assert [line["seconds"] for line in lines] == [LOG_EVERY_S * n for n in range(1, 10)]
    assert not any(account_of(path))
    (tmp_path / "features.csv").write_text("patient_id,qc_status,qc_reasons\nP1,pass,\n")
    assert stages_of(read_output(tmp_path)) == ([], 0.0)


def test_a_full_disk_under_a_line_about_progress_stops_nothing(tmp_path: Path) -> None:
    class FullDisk(RunLog):
        def _write(self, record: dict[str, Any]) -> None:
            tried.append(record)
            raise OSError(28, "No space left on device")

    clock, tried, seen = Clock(), list[Any](), list[RunProgress]()
    with closing(FullDisk(tmp_path / "run.jsonl")) as log:
        tracker = ProgressTracker({"P1": False}, lambda: 1, log, seen.append, clock)
        for second in (0, 11, 22):
            clock.now_s = float(second)
            tracker.reach("P1", Stage("read"))
    assert (len(tried), len(seen)) == (2, 3)


CHATTY = """\
import time
from pancseg.processing import scan_reading
from pancseg.running.executors import child
from pancseg.system.stage import begin_stage
def for_ever(*given, **named):
    while time.monotonic() < began + 300:
        begin_stage("read")
        time.sleep(0.01)
began = time.monotonic()
scan_reading.read_scan = for_ever
child.main()
"""


def test_a_scan_that_hangs_while_it_tells_of_stages_is_given_up_in_time(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chatty.py").write_text(CHATTY)
    monkeypatch.setattr(process, "CHILD", (str(tmp_path / "chatty.py"),))
    results = run_cohort(
        read_cohort(cohort)[:1],
        tmp_path / "out",
        settings=load_feature_settings(cohort.parent / "quick.yaml"),
        weights=WEIGHTS,
        options=RunOptions(workers=1, timeout_s=2),
    )
    assert [result.reason for result in results] == ["timeout"]


class Talker(SupervisedWorker):
    """Tells a thousand stages and one row, without any process."""

    def __init__(self) -> None:
        self.has_told = threading.Event()

    def run(self, request: Request, on_message: supervisor.OnMessage) -> None:
        for done in range(1000):
            on_message(Stage("segment", done, 1000))
        self.has_told.set()
        on_message(RowDone(0, "", None))


def test_stages_that_nobody_takes_are_dropped_and_rows_are_not() -> None:
    executor = object.__new__(LocalExecutor)
    executor._messages = queue.Queue(maxsize=4)
    talker = Talker()
    request = Request((Case("P1", Path("P1")),), (frozenset(),))

    def told() -> Iterator[tuple[Request, Message]]:
        while True:
            item = executor._messages.get(timeout=120)
            assert isinstance(item, tuple)
            yield item

    thread = threading.Thread(
        target=talker.run, args=(request, lambda m: executor._take(request, m)), daemon=True
    )
    thread.start()  # the row waits for room
    assert talker.has_told.wait(120)
    messages = [message for _, (_, message) in zip(range(5), told(), strict=False)]
    assert messages == [*(Stage("segment", n, 1000) for n in range(4)), RowDone(0, "", None)]
