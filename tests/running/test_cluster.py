"""On a Dask cluster: the same bytes as at home, whoever is lost on the way."""

from __future__ import annotations

import gc
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

pytest.importorskip("distributed")

from distributed import Client, KilledWorker

from pancseg import (
    CaseResult,
    RunOptions,
    RunRefused,
    load_feature_settings,
    read_cohort,
)
from pancseg.cohort.case import Case
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors import dask_cluster as cluster_module
from pancseg.running.executors.dask_cluster import Answer
from pancseg.running.executors.slurm import slurm_cluster
from pancseg.running.messages import Request, RowDone, RowKeys, ScanDone
from pancseg.system.processes.build import Build, own_build

FILES = ("features.csv", "codebook.csv", "datapackage.json", "masks/auto1.nii.gz")
SLURM = {"cores": 1, "processes": 1, "memory": "4GB", "interface": "lo"}
RESUME = "run the same command again to resume"
LOST = f"pancseg: the connection to the Dask scheduler was lost; {RESUME}\n"


class Dask:
    """A scheduler and two workers, each in a process of its own, on loopback."""

    def __init__(self, folder: Path, *options: str) -> None:
        where = folder / "scheduler.json"
        local = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(where))
        self.scheduler = self._start("scheduler", *local, "--port", "0")
        own = ("--no-nanny", "--nthreads", "1", "--local-directory", str(folder), *options)
        self.workers = [self._start("worker", *local, *own) for _ in range(2)]
        deadline = time.monotonic() + 300
        while not where.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.address = json.loads(where.read_text())["address"]

    def _start(self, what: str, *options: str) -> psutil.Popen:
        words = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options]
        return psutil.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def grandchildren(self) -> list[psutil.Process]:
        return [child for worker in self.workers for child in worker.children()]

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    started = Dask(tmp_path_factory.mktemp("dask"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def work(cohort: Path) -> ProcessingPlan:
    settings = load_feature_settings(cohort.parent / "quick.yaml")
    return ProcessingPlan("run", settings, "monet_phantom")


@pytest.fixture(scope="module")
def at_home(
    cohort: Path, work: ProcessingPlan, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("home") / "out"
    run_plan(read_cohort(cohort), out, work, quietly, RunOptions(workers=2))
    return left_in(out)


def quietly(result: CaseResult) -> None:
    """Report nothing."""


def left_in(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def command(cohort: Path, out: Path, *options: str) -> list[str]:
    settings = cohort.parent / "quick.yaml"
    return [
        *(sys.executable, "-m", "pancseg", "run", str(cohort), "--out", str(out), "--quiet"),
        *("--config", str(settings), "--weights", "monet_phantom", *options),
    ]


def test_a_cluster_makes_the_bytes_of_a_run_at_home_and_nothing_stays_there(
    dask: Dask,
    cohort: Path,
    work: ProcessingPlan,
    at_home: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    monkeypatch.chdir(cohort.parent)  # where the workers are not
    cases = read_cohort(Path(cohort.name))
    out = Path(os.path.relpath(tmp_path / "out"))
    monkeypatch.chdir(cohort.parent)
    options = RunOptions(scheduler=dask.address)
    results = run_plan(cases, out, work, lambda o: seen.append(o.case.name), options)
    assert [o.case.name for o in results] == [case.name for case in cases]
    assert sorted(seen) == sorted(case.name for case in cases)
    assert left_in(out) == at_home
    assert dask.grandchildren() == []
    run_plan(cases, out, work, quietly, options)
    log = [json.loads(line) for line in (out / "run.jsonl").read_text().splitlines()]
    assert sum(record.get("reused", 0) for record in log) == len(cases)


def test_what_a_killed_dask_worker_was_at_is_done_by_the_other_one(
    dask: Dask, cohort: Path, work: ProcessingPlan, at_home: dict[str, bytes], tmp_path: Path
) -> None:
    killed: list[str] = []
    with Client(dask.address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=300)

        def kill_one_at_work(result: CaseResult) -> None:
            busy = {worker: keys for worker, keys in client.processing().items() if keys}
            if busy and not killed:
                killed.append(next(iter(busy)))
                pid = client.run(os.getpid, workers=killed)[killed[0]]
                psutil.Process(pid).kill()

        out, options = tmp_path / "out", RunOptions(scheduler=dask.address)
        results = run_plan(read_cohort(cohort), out, work, kill_one_at_work, options)
        assert len(killed) == 1
        assert len(client.nthreads()) == 1
    assert {o.status for o in results} <= {"pass", "warn"}
    assert left_in(out) == at_home


def test_a_scan_that_fits_into_no_dask_worker_is_a_row(
    cohort: Path, work: ProcessingPlan, tmp_path: Path
) -> None:
    small = Dask(tmp_path, "--memory-limit", "500MB")  # the network alone takes more
    try:
        options = RunOptions(scheduler=small.address)
        results = run_plan(read_cohort(cohort), tmp_path / "out", work, quietly, options)
    finally:
        small.close()
    assert {(o.status, o.reason) for o in results} == {("fail", "memory")}
    assert "but only 0.5 GB may be used" in results[0].fact


def test_no_scheduler_is_one_line_and_exit_code_2(cohort: Path, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        ended = subprocess.run(
            command(cohort, tmp_path / "out", "--scheduler", address),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"pancseg: no Dask scheduler answers at {address}; check the address\n"


def test_a_scheduler_that_is_lost_is_one_line_and_the_next_run_goes_on(
    dask: Dask, cohort: Path, at_home: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    log = out / "run.jsonl"
    with subprocess.Popen(
        command(cohort, out, "--scheduler", dask.address),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        while run.poll() is None and (not log.exists() or '"scan"' not in log.read_text()):
            time.sleep(0.02)
        dask.scheduler.kill()
        said, complained = run.communicate(timeout=300)
    assert (run.returncode, said, complained) == (2, "", LOST)
    assert not (out / "features.csv").exists()
    subprocess.run(command(cohort, out), check=True)
    assert left_in(out) == at_home
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(record.get("reused", 0) for record in records) >= 1


def test_every_path_of_a_request_is_absolute() -> None:
    """Workers have another working directory."""
    case = Case("a", Path("scan.nii"), mask=Path("mask.nii"))
    sent = cluster_module._absolute(
        Request((case,), (frozenset(),), masks=Path("out/masks"), pictures=Path("out/report"))
    )
    values = (*vars(sent).values(), *vars(sent.cases[0]).values())
    found = [value for value in values if isinstance(value, Path)]
    assert len(found) == 4
    assert all(path.is_absolute() for path in found)


def test_weights_in_a_file_are_named_from_the_root() -> None:
    given = ProcessingPlan("segment", None, "folder/mine.safetensors")
    absolute = str(Path("folder/mine.safetensors").absolute())
    assert cluster_module._absolute_plan(given).weights == absolute
    shipped = replace(given, weights="monet_phantom")
    assert cluster_module._absolute_plan(shipped) == shipped


# What a Dask worker answers ----------------------------------------------------------------------


class Future:
    """A request at a Dask worker that has ended."""

    def __init__(self, ended: object) -> None:
        self.status = "error" if isinstance(ended, Exception) else "finished"
        self._ended = ended

    def result(self, timeout: float) -> object:
        if isinstance(self._ended, Exception):
            raise self._ended
        return self._ended


class NoWorkers:
    """A Dask client whose cluster has no worker left."""

    status = "running"

    def nthreads(self) -> dict[str, int]:
        return {}


OPENVINO = {"inference": {"engine": "openvino", "precision": "fp32"}, "weights": {"sha256": "1"}}
TORCH = {**OPENVINO, "inference": {"engine": "torch", "precision": "fp32"}}
OTHER = {**OPENVINO, "weights": {"sha256": "2"}}


def cluster_without_dask(about: dict[str, object]) -> cluster_module.ClusterExecutor:
    cluster = cluster_module.ClusterExecutor.__new__(cluster_module.ClusterExecutor)
    cluster.network_info, cluster._client, cluster._cluster, cluster._begun = (
        about,
        NoWorkers(),
        None,
        True,
    )
    return cluster


def request(cohort: Path) -> Request:
    case = next(case for case in read_cohort(cohort) if case.mask)
    return Request((case,), (frozenset(),))


@pytest.mark.parametrize(
    ("build", "about", "fact"),
    [
        (Build("0.0.1", ""), OPENVINO, "a Dask worker has pancseg 0.0.1, this process"),
        (own_build()._replace(sha256="0"), OPENVINO, "a Dask worker has other source files of"),
        (own_build(), TORCH, "in different ways (openvino fp32, torch fp32); give an `engine`"),
        (own_build(), OTHER, "the Dask workers have different weights under one name"),
    ],
)
def test_a_worker_that_would_make_other_masks_ends_the_run(
    build: Build, about: dict[str, object], fact: str, cohort: Path
) -> None:
    cluster = cluster_without_dask(OPENVINO)
    asked = request(cohort)
    answer = Answer(own_build(), OPENVINO, [ScanDone()])
    assert cluster._messages_of(Future(answer), asked) == [ScanDone()]
    assert cluster._messages_of(Future(answer._replace(network_info={})), asked) == [ScanDone()]
    with pytest.raises(RunRefused) as refused:
        cluster._messages_of(Future(Answer(build, about, [ScanDone()])), asked)
    assert fact in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_answer_says_what_it_was_made_with(cohort: Path, work: ProcessingPlan) -> None:
    setup = cluster_module.WorkerSetup("a run", (work, 1, False))
    try:
        answer = cluster_module._process(setup, request(cohort))
    finally:
        cluster_module._retire(setup.run)
    assert answer.build == own_build()
    assert answer.network_info["inference"]["precision"] == "fp32"
    assert [type(message) for message in answer.messages] == [RowKeys, RowDone, ScanDone]


def test_a_scan_that_dask_gives_up_is_a_row(cohort: Path) -> None:
    asked = request(cohort)
    row, done = cluster_without_dask({})._messages_of(Future(KilledWorker("task", None, 4)), asked)
    assert isinstance(row, RowDone)
    assert isinstance(done, ScanDone)
    assert row.result is not None
    assert (row.result.status, row.result.reason) == ("error", "crashed")
    assert row.result.fact == "it could not be done on the cluster (KilledWorker)"


def test_without_any_worker_for_long_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "NO_WORKER_S", 0.3)
    monkeypatch.setattr(cluster_module, "_LOOK_S", 0.05)
    began = time.monotonic()
    with pytest.raises(RunRefused, match="there has been no Dask worker for"):
        cluster_without_dask({})._next(queue.Queue())
    assert time.monotonic() - began > 0.3


class StoppedScheduler(NoWorkers):
    """A Dask client whose scheduler is stopped: the connection stands, but no answer comes."""

    def __init__(self) -> None:
        self._resumed = threading.Event()

    def nthreads(self) -> dict[str, int]:
        self._resumed.wait(600)
        return {}

    def run(self, *_: object, **__: object) -> dict[str, int]:
        self._resumed.wait(600)
        return {}

    def close(self, timeout: float) -> None:
        self._resumed.set()


def test_a_stopped_scheduler_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "ANSWERS_S", 0.3)
    monkeypatch.setattr(cluster_module, "RETIRE_S", 0.3)
    monkeypatch.setattr(cluster_module, "_LOOK_S", 0.05)
    cluster = cluster_without_dask({})
    cluster._client = StoppedScheduler()
    cluster._setup = cluster_module.WorkerSetup("a run", (ProcessingPlan("check", None), 1, False))
    began = time.monotonic()
    with pytest.raises(RunRefused, match="the connection to the Dask scheduler was lost"):
        cluster._next(queue.Queue())
    with pytest.raises(RunRefused, match="the connection to the Dask scheduler was lost"):
        cluster._share_of_memory()
    cluster.close()
    assert time.monotonic() - began < 300  # three answers that would take 600 s each


# SLURM: a stand-in for sbatch starts the job script here ----------------------------------------


def sbatch(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    pytest.importorskip("dask_jobqueue")
    folder.mkdir()
    for name, text in {"sbatch": does, "scancel": 'kill "$1"'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_slurm_jobs_hold_the_settings_and_make_the_same_bytes(
    cohort: Path,
    work: ProcessingPlan,
    at_home: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = tmp_path / "job.sh"
    does = f'cp "$1" {copy}; sed -i "s/^[^#].*distributed/exec &/" {copy}; '
    does += f"sh {copy} >/dev/null 2>&1 & echo Submitted batch job $!"
    sbatch(tmp_path / "bin", monkeypatch, does)
    settings = {
        **SLURM,
        "job_script_prologue": ["echo mine"],
        "jobs": 1,
        "queue": "long",
        "account": "lab",
        "walltime": "04:00:00",
    }
    options = RunOptions(slurm=settings)
    run_plan(read_cohort(cohort), tmp_path / "out", work, quietly, options)
    assert left_in(tmp_path / "out") == at_home
    script = copy.read_text()
    for line in ("-p long", "-A lab", "-t 04:00:00", "--cpus-per-task=1", "--mem=4G"):
        assert f"#SBATCH {line}\n" in script
    assert "dask_worker" in script or "dask worker" in script
    lines = script.splitlines()  # a job starts in the folder of the run, which holds data
    prologue, own = lines.index("export PYTHONSAFEPATH=1"), lines.index("echo mine")
    assert prologue < own < next(i for i, line in enumerate(lines) if "-m distributed" in line)


@pytest.mark.parametrize(
    ("settings", "fact"),
    [
        ({**SLURM, "que": "long"}, "`slurm`: Got unexpected keyword argument 'que'"),
        ({"jobs": 2}, "`slurm`: You must specify"),
        (
            {**SLURM, "jobs": "many"},
            "`slurm`: jobs is 'many'; expected a whole number",
        ),
    ],
)
def test_settings_that_slurm_jobs_do_not_have_are_one_line(
    settings: dict[str, object], fact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sbatch(tmp_path / "bin", monkeypatch, "exit 1")
    with pytest.raises(RunRefused) as refused:
        slurm_cluster(settings)
    assert str(refused.value).startswith(fact)
    assert "\n" not in str(refused.value)
    del refused
    gc.collect()  # what dask-jobqueue has begun complains of itself, here and not in a later test


def test_a_job_that_cannot_be_submitted_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sbatch(tmp_path / "bin", monkeypatch, "echo invalid partition >&2; exit 1")
    with pytest.raises(RunRefused, match="`slurm`: a job cannot be submitted"):
        slurm_cluster(SLURM)
    shutil.rmtree(tmp_path / "bin")
    with pytest.raises(RunRefused, match="`slurm`: this machine has no sbatch"):
        slurm_cluster(SLURM)
