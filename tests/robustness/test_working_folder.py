"""Nothing in the working folder is ever run: it holds data, which may come from anybody."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from small_cohort import make_cohort

import pancseg
from pancseg import RunOptions, RunRefused, load_feature_settings, read_cohort
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors import process
from pancseg.system.processes import build
from pancseg.system.processes.python_child import child_environment, python_command

RECIPE = """\
network: monet
size: 32
batch_size: 2
epochs: 1
learning_rate: 0.01
loss: dice_ce
schedule: one_cycle
"""
FIT = "--workers 2 --canary 0 --folds 3 --inner-folds 2 --repeats 1"
BENCHMARK = """\
import sys
from pathlib import Path
from pancseg.benchmark import features, patient
features.make_case(Path(sys.argv[1]), (64, 64, 12), (5.6, 5.6, 16.0))
features._in_new_process(Path(sys.argv[1]), "ibsi", "the scan's own voxels")
patient._peak_mb(["-m", "pancseg", "selftest", "--help"])
"""
COMMANDS = {
    "check": "check cohort.csv --workers 1 --config quick.yaml",
    "segment": "segment cohort.csv --workers 1 --config quick.yaml --weights monet_phantom",
    "extract": "extract cohort.csv --workers 1 --config quick.yaml",
    "run": "run cohort.csv --workers 1 --config quick.yaml --weights monet_phantom",
    "demo": "demo --patients 1 --workers 1",
    "evaluate": "evaluate --prediction A=m --reference m",
    "train": "train recipe.yaml --data drawn.csv --split split.json --workers 1 --threads 1",
    "model": f"model subtype table.csv --outcome outcome.csv --label grade {FIT}",
    "predict": "predict fitted table.csv",
    "selftest": "selftest",
    "benchmark": "",
}


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data with a trap for every module that anything could import."""
    folder = tmp_path_factory.mktemp("received")
    make_cohort(folder, ("a", "b", "c", "d"))
    rows = (folder / "cohort.csv").read_text().splitlines()
    (folder / "drawn.csv").write_text("\n".join(rows) + "\n")
    (folder / "cohort.csv").write_text("\n".join(rows[:2]) + "\n")
    (folder / "split.json").write_text('{"train": ["a", "b", "c"], "val": ["d"]}')
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "m").mkdir()
    for name in ("a", "b"):
        shutil.copy(folder / "scans" / f"{name}_mask.nii.gz", folder / "m" / f"{name}.nii.gz")
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(60, 3)), columns=["original_shape_MeshVolume", "f", "g"])
    table.insert(0, "patient_id", [f"P{i}" for i in range(60)])
    table.to_csv(folder / "table.csv", index=False)
    grade = np.where(table["f"] + rng.normal(size=60) > 0, "high", "low")
    table[["patient_id"]].assign(grade=grade).to_csv(folder / "outcome.csv", index=False)
    pancseg.fit_model(
        folder / "table.csv",
        folder / "outcome.csv",
        folder / "fitted",
        label="grade",
        positive="high",
        folds=3,
        inner_folds=2,
        repeats=1,
        canary=0,
        workers=1,
    )
    names = {*sys.stdlib_module_names, *importlib.metadata.packages_distributions()}
    for name in {*names, "pancseg", "sitecustomize", "usercustomize"}:
        if name.isidentifier():
            _trap(folder / f"{name}.py", name)
    (folder / "matplotlibrc").write_text("text.usetex: True\nbackend: module://numpy\n")
    (folder / "pancseg").mkdir()
    _trap(folder / "pancseg" / "__init__.py", "pancseg")
    return folder


_TRAP = """\
import posix
_file = posix.open(posix.environ[b"TRAPPED"], posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND)
posix.write(_file, b"NAME ")
posix.close(_file)
"""


def _trap(path: Path, name: str) -> None:
    """Write a module that notes its name when it is imported, and imports nothing itself."""
    path.write_text(_TRAP.replace("NAME", name))


def _call(words: Sequence[str | Path], folder: Path, tmp_path: Path) -> tuple[int, str]:
    """Run Python in the folder; return its exit code and what it printed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TRAPPED": str(tmp_path / "trapped")}
    env.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(os.name == "nt", reason="the traps are for POSIX")
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_what_lies_in_the_working_folder(
    command: str, received: Path, tmp_path: Path
) -> None:
    words: list[str | Path] = ["-P", "-m", "pancseg", *COMMANDS[command].split()]
    if command == "benchmark":
        (tmp_path / "out").mkdir()
        words = ["-P", "-c", BENCHMARK, tmp_path / "out"]
    elif command not in ("check", "selftest"):
        words += ["--out", tmp_path / "out"]
    code, printed = _call(words, received, tmp_path)
    trapped = tmp_path / "trapped"
    assert not trapped.exists(), trapped.read_text()
    assert code == 0, printed


@pytest.mark.skipif(os.name == "nt", reason="the traps are for POSIX")
def test_the_traps_work(received: Path, tmp_path: Path) -> None:
    _call(("-c", "import numpy"), received, tmp_path)
    assert "numpy" in (tmp_path / "trapped").read_text()


def test_python_m_imports_nothing_more_from_the_working_folder(tmp_path: Path) -> None:
    """What Python itself imports for ``-m`` comes before pancseg's first line."""
    code = "import runpy, sys; print(*sys.modules)"
    before = subprocess.run(python_command("-c", code), capture_output=True, text=True).stdout
    third = {"SimpleITK", "numpy", "typer", "yaml", "rich", "pydantic"}
    for name in third | sys.stdlib_module_names - set(before.split()):
        _trap(tmp_path / f"{name}.py", name)
    code, printed = _call(("-m", "pancseg", "check", "--help"), tmp_path, tmp_path)
    assert code == 0, printed
    assert not (tmp_path / "trapped").exists(), (tmp_path / "trapped").read_text()


def test_a_copy_in_the_working_folder_computes_only_if_it_is_the_one_started(
    cohort: Path, tmp_path: Path
) -> None:
    """Workers run the pancseg of their parent, wherever that is."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "pancseg", clone / "pancseg", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copytree(ROOT / "radiomics_cfg", clone / "radiomics_cfg")
    version = clone / "pancseg" / "system" / "version.py"
    version.write_text(version.read_text().replace('__version__ = "', '__version__ = "99.'))
    with (clone / "pancseg" / "running" / "worker.py").open("a") as worker:
        worker.write(_TRAP.replace("NAME", "the clone"))
    words = ["-m", "pancseg", "extract", cohort, "--config", cohort.parent / "quick.yaml"]
    words += ["--workers", "1", "--out", tmp_path / "out"]
    for options, signs in ((["-P"], pancseg.__version__), ([], "99.")):
        code, printed = _call([*options, *words], clone, tmp_path)
        assert code in (0, 1), printed  # patients without a mask
        assert "usable" in printed, printed
        provenance = (tmp_path / "out" / "provenance.json").read_text()
        assert f'"{signs}' in provenance
        assert (tmp_path / "trapped").exists() == (signs == "99.")


def test_a_worker_with_another_pancseg_ends_the_run(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child.py"
    child.write_text(
        "from pancseg.running.executors import child\n"
        "from pancseg.system.processes.build import Build\n"
        f"child.own_build = lambda: Build({pancseg.__version__!r}, 'edited')\n"
        "child.main()\n"
    )
    monkeypatch.setattr(process, "CHILD", (str(child),))
    plan = ProcessingPlan("extract", load_feature_settings(cohort.parent / "quick.yaml"))
    cases = [case for case in read_cohort(cohort) if case.mask][:1]
    with pytest.raises(RunRefused, match=r"^a worker process has other source files of pancseg"):
        run_plan(cases, tmp_path / "out", plan, options=RunOptions(workers=1))


def test_a_build_is_its_sources_wherever_they_are(tmp_path: Path) -> None:
    for name, end in (("one", b"\n"), ("two", b"\r\n"), ("other", b"\n\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_bytes(b"x = 1" + end)
    builds = [build.build_at(tmp_path / name) for name in ("one", "two", "other")]
    assert builds[0] == builds[1] != builds[2]


@pytest.mark.parametrize("entries", ["", ".", "lib", "ABS::", "ABS:."])
def test_children_get_absolute_paths_only(
    entries: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lib = tmp_path / "here" / "lib"
    lib.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    given = entries.replace("ABS", str(tmp_path / "elsewhere")).replace(":", os.pathsep)
    monkeypatch.setenv("PYTHONPATH", given)
    monkeypatch.setenv("PYTHONSTARTUP", "evil.py")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "here"), str(lib), *sys.path])
    if "ABS" in entries:
        sys.path.insert(0, str(tmp_path / "elsewhere"))
    shown = subprocess.run(
        python_command("-c", "import sys; print(*sys.path, sep='\\n')"),
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert str(tmp_path / "here") not in shown
    assert "" not in shown
    assert (str(lib) in shown) == (entries not in ("lib",))
    assert (str(tmp_path / "elsewhere") in shown) == ("ABS" in entries)
    assert "PYTHONSTARTUP" not in child_environment()
