"""A run that is killed at any moment loses nothing: the next ones end in the same bytes."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FILES = ("features.csv", "codebook.csv", "datapackage.json")


def command(kind: str, cohort: Path, out: Path, *options: str) -> list[str]:
    settings = cohort.parent / "quick.yaml"
    weights = ["--weights", "monet_phantom"] if kind == "run" else []
    return [
        *(sys.executable, "-m", "pancseg", kind, str(cohort), "--out", str(out), "--quiet"),
        *("--config", str(settings), *weights, *options),
    ]


def left_in(out: Path) -> dict[str, bytes]:
    """Everything that must not depend on what happened on the way."""
    masks = {f"masks/{path.name}": path.read_bytes() for path in sorted(out.glob("masks/*.nii.gz"))}
    return {name: (out / name).read_bytes() for name in FILES} | masks


def kill_at(moment_s: float, kind: str, cohort: Path, out: Path) -> bool:
    """Run, kill after a while, and say whether the run had ended by itself before."""
    with subprocess.Popen(
        command(kind, cohort, out, "--workers", "2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as run:
        try:
            _, said = run.communicate(timeout=moment_s)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            return False
        assert run.returncode == (kind == "extract"), said  # two patients have no mask
        return True


def kills(kind: str, cohort: Path, out: Path, count: int, seed: int) -> int:
    """Kill runs into one folder at random moments; begin anew whenever one has ended."""
    random.seed(seed)
    ended, longest = 0, 2.0
    for _ in range(count):
        start = time.monotonic()
        if kill_at(random.uniform(0.05, longest), kind, cohort, out):
            ended += 1
            longest = max(2.0, time.monotonic() - start)
            shutil.rmtree(out)  # everything once more
        else:
            longest = min(longest * 1.25, 12.0)
    return ended


def undisturbed(kind: str, cohort: Path, out: Path) -> dict[str, bytes]:
    subprocess.run(command(kind, cohort, out), check=False, stderr=subprocess.DEVNULL)
    return left_in(out)


@pytest.mark.parametrize(("kind", "count"), [("extract", 14), ("run", 6)])
def test_twenty_kills_and_a_whole_run_give_the_bytes_of_an_undisturbed_one(
    kind: str, count: int, cohort: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    kills(kind, cohort, out, count, seed=5)
    assert undisturbed(kind, cohort, out) == undisturbed(kind, cohort, tmp_path / "other")
    hidden = [p.name for p in out.rglob(".*") if p.name != ".pancseg"]
    assert hidden == []  # nothing half-written is left


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["extract", "run"])
def test_two_hundred_kills(kind: str, cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert kills(kind, cohort, out, 100, seed=6) > 0
    assert undisturbed(kind, cohort, out) == undisturbed(kind, cohort, tmp_path / "other")
