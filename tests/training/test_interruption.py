"""A training takes nothing from its surroundings, and goes on after whatever ended it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from command_line import call
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from test_training import ONE_THREAD, data_of, description, recipe, slice_set  # noqa: F401
from torch import Tensor

from pancseg.errors import ProcessDied, RunRefused, RunStopped
from pancseg.running.lock import locked
from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.training import processes
from pancseg.training.fit import FINISHED, train
from pancseg.training.hardware import is_first_process, trainer_on
from pancseg.training.module import SliceSegmentation
from pancseg.training.processes import OwnProcesses, environment_of, is_first, starting_processes

LEFT_OVER = {
    "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "NODE_RANK": "1", "GROUP_RANK": "1",
    "MASTER_ADDR": "192.0.2.1", "MASTER_PORT": "1", "SLURM_PROCID": "1", "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "train", "SLURM_STEP_ID": "0", "TORCHELASTIC_RUN_ID": "x",
    "JSM_NAMESPACE_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2",
    "PL_TRAINER_LIMIT_TRAIN_BATCHES": "1", "PL_TRAINER_FAST_DEV_RUN": "1",
    "PL_TRAINER_GRADIENT_CLIP_VAL": "0.001", "PL_TRAINER_MAX_STEPS": "1", "PL_GLOBAL_SEED": "5",
}  # fmt: skip


def command(folder: Path, *options: str) -> list[str]:
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe(epochs=2).model_dump(mode="json")))
    (folder / "set.yaml").write_text(yaml.safe_dump(description().model_dump(mode="json")))
    words = ["train", str(folder / "recipe.yaml"), "--slices", str(folder / "set.yaml")]
    words += ["--accelerator", "cpu", "--precision", "32-true", "--threads", "1"]
    return [sys.executable, "-m", "pancseg", *words, "--data", str(folder / "slices"), *options]


def test_left_over_variables_and_checkpoints_change_nothing(
    slice_set: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """In a new process, because Lightning reads its rank when it is imported."""
    whole = train(recipe(epochs=2), data_of(slice_set), tmp_path / "whole", hardware=ONE_THREAD)
    other = train(recipe(seed=7), data_of(slice_set), tmp_path / "other", hardware=ONE_THREAD)
    working = tmp_path / "working"
    working.mkdir()
    (working / "hpc_ckpt_1.ckpt").write_bytes((other.parent / "last.ckpt").read_bytes())
    ended = subprocess.run(
        command(tmp_path, "--out", str(tmp_path / "run")),
        env={**os.environ, **LEFT_OVER},
        cwd=working,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "epoch 2/2: " in ended.stdout
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"recipe.yaml", "split.json", "environment.json", "predictions", FINISHED} <= names
    found = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert found.sha256 == load_checkpoint(whole).sha256
    assert [path.name for path in working.iterdir()] == ["hpc_ckpt_1.ckpt"]


def test_processes_of_other_programs_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LEFT_OVER.items():
        monkeypatch.setenv(name, value)
    for devices in (1, "1", "auto", 3):
        found = environment_of(devices, 1)
        assert type(found) is OwnProcesses
        assert (found.local_rank(), found.node_rank(), found.main_address) == (0, 0, "127.0.0.1")
        assert found.main_port > 1
        assert not found.creates_processes_externally
        assert is_first(found)
    assert is_first_process(ONE_THREAD)
    with starting_processes():
        assert is_first_process(ONE_THREAD)  # this process started the others
        monkeypatch.setattr(os, "getppid", os.getpid)
        started = OwnProcesses()  # as one of those sees it
        assert (started.local_rank(), started.main_port) == (1, 1)
        assert started.creates_processes_externally
        assert not is_first(started)
    assert is_first(OwnProcesses())


def test_a_launcher_counts_where_it_started_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in LEFT_OVER.items():
        monkeypatch.setenv(name, value)
    assert type(environment_of(2, 1)) is TorchElasticEnvironment
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    slurm = environment_of(2, 1)
    assert isinstance(slurm, SLURMEnvironment)
    assert not slurm.auto_requeue
    assert not is_first(slurm)
    monkeypatch.delenv("SLURM_STEP_ID")
    assert type(environment_of(2, 1)) is OwnProcesses


def test_the_trainer_takes_no_defaults_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LEFT_OVER.items():
        monkeypatch.setenv(name, value)
    trainer = trainer_on(ONE_THREAD, max_epochs=3, enable_progress_bar=False)
    assert (trainer.limit_train_batches, trainer.fast_dev_run, trainer.max_steps) == (
        1.0,
        False,
        -1,
    )
    assert trainer.gradient_clip_val is None
    assert trainer.is_global_zero
    assert trainer._checkpoint_connector._hpc_resume_path is None
    assert os.environ["PL_TRAINER_MAX_STEPS"] == "1"  # the user's variables are left alone


def test_trainings_that_get_signals_go_on_afterwards() -> None:
    """In a process of its own, which may be ended by them."""
    tests = Path(__file__).with_name("signalled_training.py")
    words = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tests)]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *words], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, "2 passed" in ended.stdout) == (0, True), ended.stdout


def test_in_another_thread_a_training_runs_too(
    slice_set: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    found = list[Path]()
    thread = threading.Thread(
        target=lambda: found.append(
            train(recipe(), data_of(slice_set), tmp_path / "run", hardware=ONE_THREAD)
        )
    )
    thread.start()
    thread.join()
    assert found == [tmp_path / "run" / "last.safetensors"]


def test_two_trainings_do_not_write_into_one_folder(
    slice_set: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    with (
        locked(tmp_path / "run" / ".pancseg"),
        pytest.raises(RunRefused, match="another run is writing into this output folder"),
    ):
        train(recipe(), data_of(slice_set), tmp_path / "run", hardware=ONE_THREAD)
    assert not (tmp_path / "run").exists()


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def stopped(
    slice_set: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The folder of a run that was stopped in its second epoch."""
    step = SliceSegmentation.training_step

    def training_step(self: SliceSegmentation, batch: object, at: int) -> Tensor:
        if self.current_epoch == 1:
            raise RunStopped("as after a signal")
        return step(self, batch, at)

    with monkeypatch.context() as patch:
        patch.setattr(SliceSegmentation, "training_step", training_step)
        with pytest.raises(RunStopped):
            train(recipe(epochs=2), data_of(slice_set), tmp_path / "run", hardware=ONE_THREAD)
    return tmp_path / "run"


def test_a_forged_checkpoint_runs_no_code(slice_set: Path, stopped: Path) -> None:  # noqa: F811
    whole = torch.load(stopped / "last.ckpt", weights_only=True)
    bomb = Bomb(stopped / "ran")
    forged: list[Any] = [{**whole, "bomb": bomb}, bomb, [1], {}]
    forged += [{**whole, "state_dict": {}}, {**whole, "epoch": "1"}, {**whole, "loops": 5}]
    forged += [{k: v for k, v in whole.items() if k != "loops"}]
    forged += [{**whole, "optimizer_states": [{}]}]
    for content in forged:
        torch.save(content, stopped / "last.ckpt")
        with pytest.raises(ValueError, match=r"^last\.ckpt is damaged, or not of this training;"):
            train(recipe(epochs=2), data_of(slice_set), stopped, hardware=ONE_THREAD)
    for content in (pickle.dumps(Bomb(stopped / "ran")), b"PK half"):
        (stopped / "last.ckpt").write_bytes(content)
        with pytest.raises(ValueError, match=r"^last\.ckpt is damaged"):
            train(recipe(epochs=2), data_of(slice_set), stopped, hardware=ONE_THREAD)
    assert not (stopped / "ran").exists()


def test_a_forged_checkpoint_removes_nothing(slice_set: Path, stopped: Path) -> None:  # noqa: F811
    precious = stopped.parent / "precious"
    precious.mkdir()
    whole = torch.load(stopped / "last.ckpt", weights_only=True)
    (name,) = [key for key in whole["callbacks"] if key.startswith("ModelCheckpoint")]
    for path in (f"local://{precious}", str(stopped / ".." / "precious")):
        whole["callbacks"][name] |= {"best_model_path": path, "last_model_path": path}
        torch.save(whole, stopped / "last.ckpt")
        train(recipe(epochs=2), data_of(slice_set), stopped, hardware=ONE_THREAD)
        (stopped / FINISHED).unlink()
        assert precious.exists()


def test_a_process_that_prepares_slices_and_dies_is_told_in_one_line(
    slice_set: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pancseg.training.data.dataset import TrainingSlices

    parent = os.getpid()

    def killed(self: TrainingSlices, draw: object) -> object:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)

    monkeypatch.setattr(TrainingSlices, "__getitem__", killed)
    hardware = replace(ONE_THREAD, workers=1)
    with pytest.raises(ProcessDied, match=r"a process that prepares slices died, .* `workers`"):
        train(recipe(), data_of(slice_set), tmp_path / "run", hardware=hardware)
    code, _, err = call(*command(tmp_path, "--out", str(tmp_path / "run2"), "--workers", "1")[3:])
    assert (code, err.count("\n")) == (2, 1)
    assert "use fewer --workers" in err


@pytest.mark.parametrize(
    ("raised", "kind", "line"),
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible"),
         ProcessDied, "died, probably for lack of memory"),
        (RuntimeError("unable to write to file </torch_1_2>: No space left on device (28)"),
         ProcessDied, r"more shared memory .* goes on"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried\nto"), MemoryError, "batch_size"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
         MemoryError, "the memory is full"),
        (RuntimeError("a bug"), RuntimeError, "a bug"),
    ],
)  # fmt: skip
def test_what_the_user_can_mend_is_said_in_one_line(
    raised: Exception, kind: type[Exception], line: str
) -> None:
    with pytest.raises(kind, match=line), processes.errors_in_one_line(processes.StopOnSignal()):
        raise raised
    stop = processes.StopOnSignal()
    stop.received = signal.SIGTERM
    if kind is ProcessDied:
        with pytest.raises(RunStopped, match="SIGTERM"), processes.errors_in_one_line(stop):
            raise raised


def test_one_of_several_processes_stops_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[bool]()

    def decide(decision: bool, all: bool) -> bool:
        asked.append(decision)
        return not all

    trainer = SimpleNamespace(strategy=SimpleNamespace(reduce_boolean_decision=decide))
    stop = processes.StopOnSignal()
    with pytest.raises(RunStopped, match="a signal to another process"):
        stop.on_train_batch_start(trainer)
    assert asked == [False]
