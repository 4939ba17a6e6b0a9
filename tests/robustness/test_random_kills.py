"""Every command that writes a folder may be killed at any moment: run again, it gives the same.

The quick tests kill in the middle of all writing, the long ones at random moments.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import call
from faulty_files import FaultyFiles

from pancseg import write_scan
from pancseg.phantom import make_phantom
from pancseg.system.whole_files import is_leftover

DEADLINE_S = 600
TIMED = {"provenance.json", "run.jsonl", "environment.json", "journal.jsonl", "lock", "last.ckpt"}
"""Files that hold a time, or what a run keeps for itself."""

WITHOUT_LOCK = ("evaluate", "model")
"""Commands that cannot know whose half-written files lie in a folder, and leave them there."""

Words = list[str | Path]


def segment(cohort: Path, _: Path) -> Words:
    settings = cohort.parent / "quick.yaml"
    words: Words = ["segment", cohort, "--weights", "monet_phantom", "--config", settings]
    return [*words, "--workers", "1"]


def evaluate(cohort: Path, _: Path) -> Words:
    masks = cohort.parent / "masks"
    masks.mkdir(exist_ok=True)
    for path in (cohort.parent / "scans").glob("*_mask.nii.gz"):
        shutil.copy(path, masks / path.name)
    return ["evaluate", "--prediction", f"A={masks}", "--reference", masks, "--threads", "1"]


def model(_: Path, folder: Path) -> Words:
    rng = np.random.default_rng(7)
    ids = [f"P{i}" for i in range(40)]
    columns = {f"f{i}": rng.normal(size=40) for i in range(3)}
    pd.DataFrame({"id": ids, **columns}).to_csv(folder / "features.csv", index=False)
    grades = {"id": ids, "grade": ["low", "high"] * 20}
    pd.DataFrame(grades).to_csv(folder / "clinical.csv", index=False)
    words: Words = ["model", "subtype", folder / "features.csv", "--label", "grade"]
    words += ["--outcome", folder / "clinical.csv", "--folds", "3", "--inner-folds", "2"]
    return [*words, "--repeats", "1", "--canary", "3", "--workers", "1"]


def train(_: Path, folder: Path) -> Words:
    rows = ["patient_id,image,mask"]
    for seed in range(4):
        phantom = make_phantom(seed, size=(64, 64, 12), spacing_mm=(5.4, 5.4, 15.0))
        write_scan(phantom.image, folder / f"{seed}.nii.gz")
        write_scan(phantom.mask != 0, folder / f"{seed}_mask.nii.gz")
        rows.append(f"{seed},{seed}.nii.gz,{seed}_mask.nii.gz")
    (folder / "cohort.csv").write_text("\n".join(rows) + "\n")
    recipe = {"size": 32, "batch_size": 2, "epochs": 6, "keep": "last"}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    words: Words = ["train", folder / "recipe.yaml", "--data", folder / "cohort.csv"]
    return [*words, "--threads", "1", "--precision", "32-true"]


class Kills:
    """Runs of one command into one folder, killed at random moments after it has made that folder.

    Attributes:
        killed: how many runs were killed.
    """

    def __init__(self, words: Words, folder: Path, seed: int) -> None:
        self._words, self._out, self._dice = words, folder / "out", random.Random(seed)
        self._work_s = 0.0
        assert self._run(folder / "undisturbed") == 0
        self.expected = content_of(folder / "undisturbed")
        self._leftovers = words[0] in WITHOUT_LOCK
        self.killed = 0

    def kill(self, count: int) -> None:
        """Kill so many runs, each followed by another into the same folder."""
        for _ in range(4 * count):
            if self.killed == count:
                break
            code = self._run(self._out, self._dice.uniform(0, self._work_s))
            self.killed += code == -signal.SIGKILL
            assert code in (0, -signal.SIGKILL)
            if code == 0:
                assert content_of(self._out, leftovers=self._leftovers) == self.expected
                shutil.rmtree(self._out)
        assert self.killed == count, "the runs were over too soon"

    def finish(self) -> None:
        """Run to the end and compare."""
        assert self._run(self._out) == 0
        assert content_of(self._out, leftovers=self._leftovers) == self.expected

    def _run(self, out: Path, moment_s: float | None = None) -> int:
        words = [str(word) for word in (*self._words, "--out", out, "--quiet")]
        with subprocess.Popen(
            [sys.executable, "-m", "pancseg", *words],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as run:
            while not out.exists() and run.poll() is None:
                time.sleep(0.002)
            began = time.monotonic()
            try:
                run.wait(DEADLINE_S if moment_s is None else moment_s)
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()
            if moment_s is None:
                self._work_s = time.monotonic() - began
        return run.returncode


def content_of(out: Path, *, leftovers: bool = False) -> dict[str, bytes]:
    """All files but those with a time; nothing half-written is among them, or is left out."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name not in TIMED]
    if leftovers:
        files = [path for path in files if not is_leftover(path.name)]
    assert not [path.name for path in files if path.name.startswith(".partial-")]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


COMMANDS: dict[str, Callable[[Path, Path], Words]] = {
    "segment": segment,
    "evaluate": evaluate,
    "model": model,
    "train": train,
}


def words_of(name: str, cohort: Path, folder: Path) -> Words:
    (folder / "in").mkdir()
    copy = folder / "cohort"
    shutil.copytree(cohort.parent, copy)
    return COMMANDS[name](copy / cohort.name, folder / "in")


@pytest.mark.parametrize("name", ["segment", "evaluate", "model"])  # train: training/test_task07.py
def test_a_command_that_was_killed_gives_the_same_when_it_runs_again(
    name: str, cohort: Path, tmp_path: Path
) -> None:
    words, out = words_of(name, cohort, tmp_path), tmp_path / "out"
    with pytest.MonkeyPatch.context() as patched:
        seen = FaultyFiles().install(patched).seen
        assert call(*words, "--out", tmp_path / "undisturbed", "--quiet")[0] == 0
    script = Path(__file__).with_name("killed_writing.py")
    killed = [sys.executable, script, len(seen) // 2, *words, "--out", out, "--quiet"]
    assert subprocess.run([*map(str, killed)], check=False).returncode == -signal.SIGKILL
    assert out.exists()
    assert call(*words, "--out", out, "--quiet")[0] == 0
    found = content_of(out, leftovers=name in WITHOUT_LOCK)
    assert found == content_of(tmp_path / "undisturbed")


@pytest.mark.soak
@pytest.mark.parametrize("name", COMMANDS)
def test_twenty_kills_of_each_command(name: str, cohort: Path, tmp_path: Path) -> None:
    runs = Kills(words_of(name, cohort, tmp_path), tmp_path, 20)
    runs.kill(20)
    runs.finish()
