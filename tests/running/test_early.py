"""A worker process that is started early works like any other, and none is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from command_line import call

from pancseg import RunRefused
from pancseg.cli.options import Resuming, Running
from pancseg.cli.run_options import early_worker
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors import early, process
from pancseg.running.executors.early import EarlyWorker
from pancseg.running.executors.local import LocalExecutor
from pancseg.running.executors.process import worker_process
from pancseg.running.executors.supervisor import SupervisedWorker
from pancseg.running.memory import MemoryBudget


@pytest.fixture
def slow_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Workers that never become ready."""
    script = tmp_path / "child.py"
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(process, "CHILD", (str(script),))


def test_a_process_that_nobody_takes_ends_with_its_owner(slow_child: None) -> None:
    worker = EarlyWorker(1, verbose=False)
    assert worker._process is not None
    started = psutil.Process(worker._process.pid)
    del worker
    assert not started.is_running()


def executor(early: EarlyWorker | None, workers: int = 2) -> LocalExecutor:
    plan = ProcessingPlan("check", None)
    return LocalExecutor(plan, workers=workers, threads=2, budget=MemoryBudget(10**10), early=early)


def test_the_first_worker_of_a_run_takes_it() -> None:
    done: list[str] = []
    worker = EarlyWorker(2, verbose=False, meanwhile=lambda: done.append("imported"))
    assert worker._process is not None
    pid = worker._process.pid
    place = executor(worker)
    try:
        pids = [each._child.pid for each in place._workers if each._child]
    finally:
        place.close()
    assert pids[0] == pid
    assert len(set(pids)) == 2
    assert done == ["imported"]


def test_one_that_was_killed_while_it_waited_is_replaced() -> None:
    worker = EarlyWorker(1, verbose=False)
    assert worker._process is not None
    worker._process.kill()
    psutil.Process(worker._process.pid).wait(10)
    place = executor(worker, workers=1)
    try:
        assert place._workers[0]._is_ready
    finally:
        place.close()


def test_a_worker_that_is_stopped_before_its_launch_ends_it(slow_child: None) -> None:
    started = EarlyWorker(1, verbose=False).take()
    assert started is not None
    process_of_it = psutil.Process(started.pid)
    SupervisedWorker(ProcessingPlan("check", None), 1, started=started).stop()
    assert not process_of_it.is_running()


def test_what_fails_meanwhile_leaves_no_worker(slow_child: None) -> None:
    before = set(psutil.Process().children(recursive=True))
    worker = EarlyWorker(1, verbose=False, meanwhile=lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        executor(worker)
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.parametrize("error", ["OSError(12, 'Cannot allocate memory')", "MemoryError()"])
def test_what_fails_while_a_worker_imports_is_told(
    error: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "child.py"
    script.write_text(f"""
import sys

class Failing:
    def find_spec(self, name, *_):
        if name == "pancseg.running.worker":
            raise {error}

sys.meta_path.insert(0, Failing())
from pancseg.running.executors.child import main
main()
""")
    monkeypatch.setattr(process, "CHILD", (str(script),))
    with pytest.raises(RunRefused, match=r"Cannot allocate memory|ran out of memory"):
        executor(None, workers=1)


@pytest.mark.parametrize(
    "running",
    [Running(workers=0), Resuming(scheduler="tcp://node:8786"), Resuming(slurm=Path("slurm.yaml"))],
)
def test_none_is_started_for_runs_without_workers_here(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "worker_process", lambda *_: pytest.fail("a process was started"))
    with early_worker(running, verbose=False) as worker:
        assert worker is None


def test_a_refused_command_leaves_no_process(slow_child: None, tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    code, _, told = call("run", tmp_path / "missing.csv", "--out", tmp_path / "out")
    assert code == 2
    assert told.startswith("pancseg: ")
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_system_without_another_process_starts_the_run_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(early, "worker_process", refused)
    worker = EarlyWorker(1, verbose=False)
    assert worker.take() is None


def test_a_process_that_is_not_needed_ends_without_a_word() -> None:
    child = worker_process(1, verbose=True)
    assert child.end() == "exited with code 0"


def test_libraries_that_are_loaded_later_are_told_the_threads_of_the_run() -> None:
    code = """
import os
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors.child import _worker
_worker(ProcessingPlan("check", None), 1, False)
print(os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"])
"""
    environment = process.child_environment() | dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 1\n"
