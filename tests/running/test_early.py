"""A worker process that is started early works like any other, and none is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from command_line import call

from pancseg import RunOptions
from pancseg.cli.options import Resuming, Running
from pancseg.cli.run_options import early_worker
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors import early, process
from pancseg.running.executors.early import EarlyWorker
from pancseg.running.executors.local import LocalExecutor
from pancseg.running.executors.process import worker_process
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


def test_the_first_worker_of_a_run_takes_it() -> None:
    worker = EarlyWorker(2, verbose=False)
    assert worker._process is not None
    pid = worker._process.pid
    place = LocalExecutor(
        ProcessingPlan("check", None),
        workers=2,
        threads=2,
        budget=MemoryBudget(10**10),
        started=worker.take(),
    )
    try:
        pids = [each._child.pid for each in place._workers if each._child]
    finally:
        place.close()
    assert pids[0] == pid
    assert len(set(pids)) == 2


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
    assert RunOptions(early_worker=worker) == RunOptions()


def test_a_process_that_is_not_needed_ends_without_a_word() -> None:
    child = worker_process(1, verbose=True)
    assert child.end() == "exited with code 0"


def test_libraries_that_are_loaded_later_keep_to_the_threads_of_the_run() -> None:
    code = """
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors.child import _worker
_worker(ProcessingPlan("check", None), 1, False)
import scipy.linalg, threadpoolctl
print(max(each["num_threads"] for each in threadpoolctl.threadpool_info()))
"""
    environment = process.child_environment() | dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
