"""A worker that hangs, or takes far more memory than there is, costs its row and nothing else."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pancseg import Case, RunOptions, RunRefused, load_feature_settings, read_cohort
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors import process, supervisor
from pancseg.running.executors.process import ChildProcess
from pancseg.running.executors.supervisor import SupervisedWorker
from pancseg.running.messages import Message, Request
from pancseg.running.time_limit import default_limit_s
from pancseg.system.processes.memory_limit import MemoryLimit, is_out_of_memory

GB = 10**9


@pytest.fixture
def plan(cohort: Path) -> ProcessingPlan:
    return ProcessingPlan("extract", load_feature_settings(cohort.parent / "quick.yaml"))


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Path(__file__).with_name("crashing_child.py")
    monkeypatch.setattr(process, "CHILD", (str(child),))


def cases_named(cohort: Path, folder: Path, *names: str) -> list[Case]:
    """The cohort's first patients, their scans in files of these names."""
    found = []
    for case, name in zip(read_cohort(cohort), names, strict=False):
        path = folder / f"{name}.nii.gz"
        shutil.copy(case.image, path)
        found.append(replace(case, patient_id=name, image=path))
    return found


def child_of(script: str, folder: Path) -> ChildProcess:
    path = folder / "script.py"
    path.write_text(script)
    return ChildProcess((str(path),), 1, verbose=False)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing stops a process there")
def test_a_stopped_worker_is_given_up_without_any_option(
    cohort: Path,
    plan: ProcessingPlan,
    crashing: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int, int]] = []

    def limit(memory_bytes: int, rows: int, passes: int) -> float:
        asked.append((memory_bytes, rows, passes))
        return 3 if len(asked) == 1 else 600

    monkeypatch.setattr(supervisor, "default_limit_s", limit)
    cases = cases_named(cohort, tmp_path, "stopped", "good")
    results = run_plan(cases, tmp_path / "out", plan, options=RunOptions(workers=1))
    assert [o.reason for o in results] == ["timeout", ""]
    assert "longer than 3 s; raise `timeout_s`" in results[0].fact
    assert all(size > 10**8 for size, _, _ in asked)  # from the header
    assert {(rows, passes) for _, rows, passes in asked} == {(1, 0)}


def test_the_limit_is_generous_and_grows_with_the_scan_its_rows_and_passes() -> None:
    assert default_limit_s(0, 1) == 3600
    whole = default_limit_s(1_300_000_000, rows=1, passes=1)
    assert 2 * 3600 < whole < 6 * 3600
    assert default_limit_s(1_300_000_000, rows=9, passes=21) > 10 * whole


@pytest.mark.parametrize(
    ("weights", "looks", "known", "passes"),
    [
        (None, None, None, 0),
        ("monet_phantom", None, None, 2),  # not known before a child is ready
        ("monet_phantom", 1, None, 1),
        ("monet_phantom", None, 1, 1),
        ("monet_phantom", None, 2, 2),
    ],
)
def test_every_look_is_a_pass(
    plan: ProcessingPlan,
    weights: str | None,
    looks: int | None,
    known: int | None,
    passes: int,
    tmp_path: Path,
) -> None:
    worker = SupervisedWorker(replace(plan, weights=weights, looks=looks, uncertainty=3), 1)
    if known:
        worker.network_info = {"inference": {"looks": known}}
    request = Request((Case("x", tmp_path / "x.nii"),), (frozenset(),), memory_bytes=10**9)
    assert worker._limit_of(request) == default_limit_s(10**9, 1, passes + 3)
    assert default_limit_s(10**9, 1, 4) > default_limit_s(10**9, 1, 3)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing stops a process there")
def test_a_worker_that_is_stopped_before_it_is_ready_is_given_up(
    plan: ProcessingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "child.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n")
    monkeypatch.setattr(process, "CHILD", (str(script),))
    monkeypatch.setattr(supervisor, "START_S", 0.5)
    with pytest.raises(RunRefused, match=r"it was not ready within 0\.5 s"):
        SupervisedWorker(plan, 1).start()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing stops a process there")
def test_a_request_that_a_stopped_worker_does_not_take_is_done_by_the_next(
    cohort: Path, plan: ProcessingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "WAIT_S", 0.01)
    worker = SupervisedWorker(plan, 1)
    worker.start()
    stopped, send = worker._child, ChildProcess.send
    assert stopped is not None
    stopped._process.send_signal(signal.SIGSTOP)

    def sent(self: ChildProcess, value: object, limit_s: float) -> None:
        send(self, value, 1.0 if self is stopped else limit_s)

    monkeypatch.setattr(ChildProcess, "send", sent)
    case = next(case for case in read_cohort(cohort) if case.mask)
    long = frozenset(f"{i:064}" for i in range(20_000))  # more than a pipe holds
    told: list[Message] = []
    worker.run(Request((case,), (long,), limit_s=600), told.append)
    worker.stop()
    assert "RowDone" in {type(message).__name__ for message in told}
    assert [m.result.reason for m in told if type(m).__name__ == "RowDone"] == [""]  # type: ignore[union-attr]


def test_a_child_that_does_not_even_end_when_killed_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that waits for a file share that has gone."""
    monkeypatch.setattr(process, "ENDS_S", 0.1)
    child = child_of("import time; time.sleep(60)", tmp_path)
    monkeypatch.setattr(child, "kill", lambda: None)
    with pytest.raises(TimeoutError):
        child.receive(until=time.monotonic() + 0.1)
    assert child.end() == "does not end, even when it is killed"
    child._process.kill()
    child._process.wait()


def test_a_child_that_has_answered_but_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "ENDS_S", 2.0)
    script = "import os, pickle, sys, time\n"
    script += "sys.stdout.buffer.write(pickle.dumps('done')); sys.stdout.flush(); os.close(1)\n"
    child = child_of(script + "time.sleep(60)", tmp_path)
    assert child.receive(until=time.monotonic() + 300) == "done"
    with pytest.raises(EOFError):
        child.receive(until=time.monotonic() + 300)
    assert child.end() == process.KILLED


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
def test_a_worker_far_beyond_its_memory_is_a_row(
    cohort: Path, plan: ProcessingPlan, crashing: None, tmp_path: Path
) -> None:
    cases = cases_named(cohort, tmp_path, "greedy", "torch", "good")
    options = RunOptions(workers=1, memory_bytes=GB)
    results = run_plan(cases, tmp_path / "out", plan, options=options)
    assert [(o.status, o.reason) for o in results[:2]] == [("fail", "memory")] * 2
    assert results[2].usable


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
def test_a_limit_counts_from_what_the_process_has() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = MemoryLimit(threads=1)
    try:
        limit.allow(GB)
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        assert 2 * GB < soft < 8 * GB
        assert hard == before[1]
        limit.allow(0)
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("Exception thrown in SimpleITK: Failed to allocate memory for image."),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_libraries_say_in_their_own_words_that_memory_ran_out(error: Exception) -> None:
    assert is_out_of_memory(error)
    wrapped = KeyError("elsewhere")
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped)
    assert not is_out_of_memory(RuntimeError("the kernel size is too large"))
