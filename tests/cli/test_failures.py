"""Whatever the machine lacks, every command ends with one line, the remedy and exit code 2."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import typer
from conftest import ROOT
from small_cohort import make_cohort
from typer.testing import CliRunner

from pancseg.cli import app
from pancseg.cli.commands import benchmark
from pancseg.cli.failures import BUG_CODE, lacking, run_program
from pancseg.system.processes.python_child import child_environment

KILLED = "a worker process was killed, most likely for lack of memory; use fewer workers"
RECIPE = """\
network: monet
size: 32
batch_size: 2
epochs: 500
learning_rate: 0.01
loss: dice_ce
schedule: one_cycle
"""


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number), "/tmp/DOE^JOHN")


def worker_error(name: str, base: type[Exception]) -> Exception:
    """An error of joblib's, which are classes of modules that need not be imported here."""
    return type(name, (base,), {})("A worker process managed by the executor was unexpectedly …")


@pytest.mark.parametrize(
    ("error", "fact"),
    [
        (MemoryError(), "not enough memory"),
        (np._core._exceptions._ArrayMemoryError((10**12,), np.dtype("f8")), "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "not enough"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "the GPU has not enough"),
        (RuntimeError("bad allocation"), "not enough memory"),
        (worker_error("TerminatedWorkerError", RuntimeError), KILLED),
        (worker_error("BrokenProcessPool", RuntimeError), KILLED),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), KILLED),
        (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), KILLED),
        (
            RuntimeError(
                "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that "
                "dataloader's workers are out of shared memory. Please try to raise your shared "
                "memory limit."
            ),
            "/dev/shm) is too small",
        ),
        (RuntimeError("unable to write to file </torch_7_1_0>: No space left"), "/dev/shm)"),
        (os_error(errno.ENOSPC), "set TMPDIR"),
        (os_error(errno.EDQUOT), "no space is left"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "set TMPDIR"),
        (os_error(errno.EMFILE), "ulimit -n"),
        (os_error(errno.EAGAIN), "ulimit -u"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_libraries_raise_is_named(error: Exception, fact: str) -> None:
    told = lacking(error)
    assert told is not None
    assert fact in told
    assert "DOE" not in told
    assert "\n" not in told
    wrapped = ValueError("Could not pickle the task to send it to the workers.")
    wrapped.__cause__ = error
    assert lacking(wrapped) == told


@pytest.mark.parametrize(
    "error", [KeyError("memory"), ValueError("no space"), os_error(errno.ENOENT), RuntimeError("?")]
)
def test_other_errors_are_not(error: Exception) -> None:
    assert lacking(error) is None


def commands(group: typer.Typer, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the words of every command."""
    found = []
    for one in group.registered_commands:
        assert one.callback is not None
        found.append((*before, one.name or one.callback.__name__))
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        found += commands(inner.typer_instance, (*before, str(inner.name)))
    return found


@pytest.mark.parametrize("words", commands(app), ids=" ".join)
def test_every_command_ends_with_one_line(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(self: object, ctx: object) -> None:
        raise MemoryError

    monkeypatch.setattr("typer.core.TyperCommand.invoke", lacks)
    monkeypatch.setattr("typer.core.TyperCommand.parse_args", lambda self, ctx, args: [])
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "not enough memory" in done.stderr


def test_a_full_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise os_error(errno.ENOSPC)

    monkeypatch.setattr("pancseg.benchmark.features.make_case", full)
    done = CliRunner().invoke(benchmark.app, ["features"])
    assert isinstance(done.exception, OSError)
    done = CliRunner().invoke(app, ["benchmark", "features"])
    assert (done.exit_code, "set TMPDIR" in done.stderr) == (2, True)


def _killed_in(words: list[str], folder: Path, is_helper: str) -> tuple[int, str]:
    """Start a command, kill its first helper process, and return the code and standard error."""
    command = [sys.executable, "-P", "-m", "pancseg", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with psutil.Popen(
        command, cwd=folder, env=env, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as run:
        deadline = time.monotonic() + 600
        while run.poll() is None and time.monotonic() < deadline:
            helpers = [c for c in run.children(recursive=True) if is_helper in str(c.cmdline())]
            if helpers:
                helpers[-1].kill()
                break
            time.sleep(0.05)
        _, complained = run.communicate(timeout=600)
    return run.returncode, complained


@pytest.mark.skipif(os.name == "nt", reason="looks for the processes as they are on POSIX")
def test_a_killed_process_of_a_model_is_no_leak(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(80, 30))).add_prefix("f")
    table.insert(0, "patient_id", [f"P{i}" for i in range(80)])
    table["original_shape_MeshVolume"] = rng.normal(size=80)
    table.to_csv(tmp_path / "table.csv", index=False)
    grade = np.where(table["f1"] + rng.normal(size=80) > 0, "high", "low")
    table[["patient_id"]].assign(grade=grade).to_csv(tmp_path / "outcome.csv", index=False)
    words = "model subtype table.csv --outcome outcome.csv --label grade --positive high "
    words += "--workers 2 --repeats 50 --out out --quiet"
    code, complained = _killed_in(words.split(), tmp_path, "popen_loky")
    last = complained.splitlines()[-1]
    assert code == 2
    assert last.startswith("pancseg: a process that fits models died, probably for lack of memory;")
    assert "Traceback" not in complained


@pytest.mark.skipif(os.name == "nt", reason="looks for the processes as they are on POSIX")
def test_a_killed_process_of_a_training_is_one_line(tmp_path: Path) -> None:
    make_cohort(tmp_path, ("a", "b", "c", "d"))
    (tmp_path / "split.json").write_text('{"train": ["a", "b", "c"], "val": ["d"]}')
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    words = "train recipe.yaml --data cohort.csv --split split.json --workers 1 --threads 1 "
    code, complained = _killed_in([*words.split(), "--out", "out"], tmp_path, "recipe.yaml")
    (line,) = (each for each in complained.splitlines() if each.startswith("pancseg: "))
    assert (code, line.partition(";")[0]) == (
        2, "pancseg: a process that prepares slices died, probably for lack of memory",
    )  # fmt: skip
    assert "Traceback" not in complained


@pytest.mark.parametrize("verbose", [True, False])
def test_an_error_in_pancseg_has_its_own_exit_code(
    verbose: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = "^".join(("DOE", "JOHN"))

    def program() -> None:
        raise KeyError(patient)

    monkeypatch.setattr(sys, "argv", ["pancseg", *["--verbose"] * verbose])
    with pytest.raises(SystemExit) as ended:
        run_program(program)
    told = capsys.readouterr().err
    assert ended.value.code == BUG_CODE == 3
    assert "in program" in told  # where it was
    assert told.endswith("pancseg: an error in pancseg itself (KeyError); please report it\n")
    assert (patient in told) == verbose


def test_an_interruption_while_it_imports_is_no_traceback() -> None:
    code = """
import sys
from pancseg.__main__ import main

class Interrupted:
    def find_spec(self, name, *_):
        if name == "pancseg.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
