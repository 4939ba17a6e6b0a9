"""Time whole patients through the command line: wall time stage by stage, and peak memory.

Each measurement is a separate process, so imports count and the memory is the command's alone.
Memory is measured in a run of its own: it is asked for 50 times a second, which takes time from the
network, whose threads wait for each other.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psutil

from pancseg.phantom import make_phantom
from pancseg.scans.writing import write_scan
from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.system import timing
from pancseg.system.processes.python_child import child_environment, python_command
from pancseg.tables.markdown_table import markdown_table

REST = "start, other imports, tables"
WEIGHTS = "monet_phantom"
_PIXEL_MM = (1.2, 1.6)
"""Of the second look: the phantom's network was trained on pixels of 1.5 mm, mostly."""
SHOWING = ("pictures", "page")
"""Stages that make the page: the pictures of each scan, and the page once a run."""
_STAGE = re.compile(rf"^{re.escape(timing.__name__)}: (.+): (\d+\.\d+) s$", re.M)
_POLL_S = 0.02


class BenchmarkJob(NamedTuple):
    """A command on a synthetic scan.

    Attributes:
        command: ``segment`` or ``run``.
        slices: number of slices of the scan, 512×512 pixels of 0.75 mm each.
        slice_mm: distance between the slices.
        settings: of the features, a preset's name; None: none are measured.
    """

    command: str
    slices: int
    slice_mm: float
    settings: str | None = None


SEGMENT = BenchmarkJob("segment", 150, 2.0)
WHOLE_PATIENT = BenchmarkJob("run", 280, 1.5, "pyradiomics_default")


class TimedRun(NamedTuple):
    """The measurements of one process.

    Attributes:
        seconds: wall time from start to end.
        stages: wall seconds per stage; their sum is ``seconds``.
    """

    seconds: float
    stages: dict[str, float]

    @property
    def beside_the_network(self) -> float:
        """Share of the wall time that is not spent in the network."""
        return 1 - self.stages.get("network", 0.0) / self.seconds

    @property
    def showing(self) -> float:
        """Share of the wall time that pictures and page take."""
        return sum(self.stages.get(stage, 0.0) for stage in SHOWING) / self.seconds


def phantom_weights(like: str | Path, folder: Path) -> tuple[int, str]:
    """Return weights that find a phantom's pancreas and look as often as others do.

    A second look has the others' windows, so it costs as much, but pixels of the size that the
    phantom's network was trained on.

    Args:
        like: the other weights.
        folder: to write weights of two looks to.

    Returns:
        Number of looks, and the name or the file of the weights.
    """
    second = load_checkpoint(like).second
    if second is None or second.windows is None:
        return 1, WEIGHTS
    first = load_checkpoint(WEIGHTS)
    windows = second.windows.model_copy(update={"pixel_mm": _PIXEL_MM})
    fine = replace(first, windows=windows, places=None)
    path = folder / "two_looks.safetensors"
    replace(first, second=fine, joined=(first.sha256, first.sha256)).save(path)
    return 2, str(path)


def make_scan(job: BenchmarkJob, folder: Path) -> Path:
    """Write the job's scan, a synthetic patient; this takes half a minute."""
    path = folder / f"scan_{job.slices}.nii.gz"
    size = (512, 512, job.slices)
    write_scan(make_phantom(3, size=size, spacing_mm=(0.75, 0.75, job.slice_mm)).image, path)
    return path


PythonArguments = Callable[[BenchmarkJob, Path, Path], Sequence[str]]
"""From a job, its scan and an output folder to what Python is started with; it logs its stages."""


def run_job(job: BenchmarkJob, scan: Path, arguments: PythonArguments) -> TimedRun:
    """Run a job's command in a new process, and read the stages off its log.

    Raises:
        RuntimeError: the command failed.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        logged = _log_of(arguments(job, scan, Path(out)), psutil.Popen.wait)
        seconds = time.perf_counter() - start
    stages: dict[str, float] = {}
    for stage, spent in _STAGE.findall(logged):
        stages[stage] = stages.get(stage, 0.0) + float(spent)
    stages[REST] = seconds - sum(stages.values())
    return TimedRun(seconds, stages)


def memory_of_job_mb(job: BenchmarkJob, scan: Path, arguments: PythonArguments) -> float:
    """Return the peak memory of a job's command and its workers, 10⁶ bytes.

    Raises:
        RuntimeError: the command failed.
    """
    with tempfile.TemporaryDirectory() as out:
        return _peak_mb(arguments(job, scan, Path(out)))


def memory_of_torch_mb() -> float:
    """Return the peak memory of a process that imports torch alone, 10⁶ bytes; 0 without torch."""
    return _peak_mb(["-c", "import torch"]) if find_spec("torch") else 0.0


def _peak_mb(arguments: Sequence[str]) -> float:
    """Return the peak of the sampled resident memory of this Python with arguments, 10⁶ bytes."""
    found = [0.0]

    def watch(process: psutil.Popen) -> None:
        while process.poll() is None:
            found.append(used_mb(process))
            time.sleep(_POLL_S)

    _log_of(arguments, watch)
    return max(found)


def _log_of(arguments: Sequence[str], wait: Callable[[psutil.Popen], object]) -> str:
    """Run this Python with arguments until its end, and return what it logged.

    Args:
        arguments: of Python.
        wait: called with the process; returns when it has ended.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = psutil.Popen(
            python_command(*arguments),
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=child_environment(),
        )
        wait(process)
        log.seek(0)
        logged = log.read()
    if process.returncode:
        raise RuntimeError(f"the command ended with {process.returncode}: {logged.strip()[-300:]}")
    return logged


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
    job: BenchmarkJob, repeats: int, arguments: PythonArguments, tell: Callable[[str], None]
) -> tuple[list[TimedRun], float]:
    """Make the job's scan, then run its command several times, and once more for its memory.

    Args:
        job: what to run.
        repeats: number of runs.
        arguments: what Python is started with.
        tell: called with one line per run.

    Returns:
        The timed runs, and the peak memory, 10⁶ bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        tell(f"making a scan of 512×512×{job.slices}")
        scan = make_scan(job, Path(folder))
        runs = []
        for _ in range(repeats):
            runs.append(run_job(job, scan, arguments))
            tell(f"pancseg {job.command}: {runs[-1].seconds:.1f} s")
        peak_mb = memory_of_job_mb(job, scan, arguments)
        tell(f"pancseg {job.command}: {peak_mb:.0f} MB")
    return runs, peak_mb


def report(job: BenchmarkJob, runs: Sequence[TimedRun], peak_mb: float, torch_mb: float) -> str:
    """Return the stages of the median run as Markdown, with the network's share and peak memory."""
    shown = middle(runs)
    rows = [(name, spent, 100 * spent / shown.seconds) for name, spent in shown.stages.items()]
    rows.append(("all", shown.seconds, 100))
    cells = [(name, f"{spent:.2f}", f"{share:.0f}") for name, spent, share in rows]
    settings = f" with {job.settings}" if job.settings else ""
    lines = [
        f"`pancseg {job.command}`{settings}, 512×512×{job.slices}: median "
        f"{statistics.median(r.seconds for r in runs):.1f} s of {len(runs)}",
        "",
        markdown_table(["stage", "seconds", "share, %"], cells, left=1),
        f"All but the network: {100 * shown.beside_the_network:.0f} %. Peak memory: "
        f"{peak_mb:.0f} MB"
        + (f", {peak_mb - torch_mb:.0f} MB above importing torch." if torch_mb else "."),
    ]
    if shown.showing:
        pictures = 100 * shown.stages.get("pictures", 0.0) / shown.seconds
        lines.append(
            f"Pictures: {pictures:.1f} % of the wall time; with the page, made once a run: "
            f"{100 * shown.showing:.1f} %."
        )
    return "\n".join(lines) + "\n"
