"""Time whole patients through the command line: wall time stage by stage, and peak memory.

Each measurement is a separate process, so imports count and the memory is the command's alone.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from pancseg.phantom import make_phantom
from pancseg.scans.writing import write_scan

REST = "start, other imports, tables"
WEIGHTS = "monet_phantom"
_STAGE = re.compile(r"^pancseg\.stages: (.+): (\d+\.\d+) s$", re.M)
_POLL_S = 0.02


class BenchmarkJob(NamedTuple):
    """A command on a synthetic scan.

    Attributes:
        command: ``segment`` or ``run``.
        slices: number of slices of the scan, 512×512 pixels of 0.75 mm each.
        slice_mm: distance between the slices.
        options: further options of the command.
    """

    command: str
    slices: int
    slice_mm: float
    options: tuple[str, ...] = ()


SEGMENT = BenchmarkJob("segment", 150, 2.0)
WHOLE_PATIENT = BenchmarkJob("run", 280, 1.5, ("--config", "pyradiomics_default"))


class TimedRun(NamedTuple):
    """The measurements of one process.

    Attributes:
        seconds: wall time from start to end.
        peak_mb: peak of the sampled resident memory of the process and its workers, 10⁶ bytes.
        stages: wall seconds per stage; their sum is ``seconds``.
    """

    seconds: float
    peak_mb: float
    stages: dict[str, float]

    @property
    def beside_the_network(self) -> float:
        """Share of the wall time that is not spent in the network."""
        return 1 - self.stages.get("network", 0.0) / self.seconds


def make_scan(job: BenchmarkJob, folder: Path) -> Path:
    """Write the job's scan, a synthetic patient; this takes half a minute."""
    path = folder / f"scan_{job.slices}.nii.gz"
    size = (512, 512, job.slices)
    write_scan(make_phantom(3, size=size, spacing_mm=(0.75, 0.75, job.slice_mm)).image, path)
    return path


def run_job(job: BenchmarkJob, scan: Path, options: Sequence[str] = ()) -> TimedRun:
    """Run a job's command in a new process.

    Raises:
        RuntimeError: the command failed.
    """
    with tempfile.TemporaryDirectory() as out:
        words = ["-m", "pancseg", job.command, str(scan), "--out", out, "--weights", WEIGHTS]
        return run_python([*words, *job.options, *options, "--verbose"])


def memory_of_torch_mb() -> float:
    """Return the peak memory of a process that imports torch and nothing else, 10⁶ bytes."""
    return run_python(["-c", "import torch"]).peak_mb


def run_python(arguments: Sequence[str]) -> TimedRun:
    """Run this Python with arguments, and read the stages off its log.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        start = time.perf_counter()
        process = psutil.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=log)
        highest_mb = float("nan")
        while process.poll() is None:
            highest_mb = np.nanmax([highest_mb, used_mb(process) or np.nan])
            time.sleep(_POLL_S)
        seconds = time.perf_counter() - start
        log.seek(0)
        logged = log.read()
    if process.returncode:
        raise RuntimeError(f"the command ended with {process.returncode}: {logged.strip()[-300:]}")
    stages: dict[str, float] = {}
    for stage, spent in _STAGE.findall(logged):
        stages[stage] = stages.get(stage, 0.0) + float(spent)
    stages[REST] = seconds - sum(stages.values())
    return TimedRun(seconds, highest_mb, stages)


def used_mb(process: psutil.Process) -> float:
    """Return the resident memory of a process and its workers, or 0 when they have ended."""
    used = 0
    for each in (process, *_workers_of(process)):
        with suppress(psutil.Error):
            used += each.memory_info().rss
    return used / 1e6


def _workers_of(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def middle(runs: Sequence[TimedRun]) -> TimedRun:
    """Return the run with the median wall time (of an even number, the faster one)."""
    return sorted(runs)[(len(runs) - 1) // 2]


def time_patient(
    job: BenchmarkJob, repeats: int, options: Sequence[str], tell: Callable[[str], None]
) -> list[TimedRun]:
    """Make the job's scan, then run its command several times.

    Args:
        job: what to run.
        repeats: number of runs.
        options: further options of the command line.
        tell: called with one line per run.
    """
    with tempfile.TemporaryDirectory() as folder:
        tell(f"making a scan of 512×512×{job.slices}")
        scan = make_scan(job, Path(folder))
        runs = []
        for _ in range(repeats):
            runs.append(run_job(job, scan, options))
            tell(f"pancseg {job.command}: {runs[-1].seconds:.1f} s, {runs[-1].peak_mb:.0f} MB")
    return runs


def report(job: BenchmarkJob, runs: Sequence[TimedRun], torch_mb: float) -> str:
    """Return the stages of the median run as Markdown, with the network's share and peak memory."""
    shown = middle(runs)
    lines = [
        f"`pancseg {' '.join((job.command, *job.options))}`, 512×512×{job.slices}: median "
        f"{statistics.median(r.seconds for r in runs):.1f} s of {len(runs)}",
        "",
        "| stage | seconds | share, % |",
        "|---|--:|--:|",
    ]
    lines += [
        f"| {stage} | {spent:.2f} | {100 * spent / shown.seconds:.0f} |"
        for stage, spent in shown.stages.items()
    ]
    lines += [
        f"| all | {shown.seconds:.2f} | 100 |",
        "",
        f"All but the network: {100 * shown.beside_the_network:.0f} %. Peak memory: "
        f"{shown.peak_mb:.0f} MB, {shown.peak_mb - torch_mb:.0f} MB above importing torch.",
    ]
    return "\n".join(lines) + "\n"
