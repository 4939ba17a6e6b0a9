"""What cannot be asked of a run together is refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pancseg import Case, RunOptions, RunRefused
from pancseg.cli import app
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors.local import LocalExecutor
from pancseg.running.executors.place import executor_for
from pancseg.running.memory import MemoryBudget

CASES = [Case(f"p{number}", Path(f"p{number}.nii.gz")) for number in range(8)]


@pytest.mark.parametrize("command", ["check", "extract"])
def test_a_time_limit_without_worker_processes_is_refused(
    command: str, cohort: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunRefused, match="`timeout_s` ends a worker process"):
        RunOptions(workers=0, timeout_s=5)
    words = [command, str(cohort), "--out", str(tmp_path / "o"), "--timeout", "5", "--workers", "0"]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 2
    assert ended.output.startswith("pancseg: --timeout ends a worker process")
    assert ended.output.count("\n") == 1
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("weights", "facts"),
    [
        (None, ("8 workers need 2.4 GB", "is 1.2 GB; set `workers` to 4")),
        (
            "monet_phantom",
            ("8 workers need 7.6 GB", "is 1.2 GB; set `workers` to 1"),
        ),
    ],
)
def test_more_workers_than_memory_holds_are_refused_with_the_number_that_fits(
    weights: str | None, facts: tuple[str, str]
) -> None:
    work = ProcessingPlan("segment" if weights else "extract", None, weights, engine="torch")
    options = RunOptions(workers=8, memory_bytes=1_200_000_000)
    with pytest.raises(RunRefused) as refused:
        executor_for(work, CASES, options)
    assert all(fact in str(refused.value) for fact in facts)


@pytest.mark.parametrize(("threads", "each"), [(4, "2"), (3, "1"), (1, "1")])
def test_the_threads_are_divided_among_the_workers(threads: int, each: str) -> None:
    work = ProcessingPlan("check", None)
    place = LocalExecutor(work, workers=2, threads=threads, budget=MemoryBudget(10**10))
    try:
        for worker in place._workers:
            assert worker._child is not None
            given = Path(f"/proc/{worker._child.pid}/environ").read_bytes().split(b"\0")
            for library in ("OMP", "OPENBLAS", "MKL"):
                assert f"{library}_NUM_THREADS={each}".encode() in given
    finally:
        place.close()
