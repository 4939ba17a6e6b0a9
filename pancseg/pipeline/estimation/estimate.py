"""Say before a run how long it will take on this machine, and what it needs."""

from __future__ import annotations

import heapq
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pancseg.cohort.case import Case
from pancseg.features import DEFAULT_PRESET
from pancseg.features.settings import FeatureSettings, as_feature_settings
from pancseg.pipeline.cohort import Cohort, Settings, cases_of, with_regions
from pancseg.pipeline.estimation.trial import Speed, measure_speed, region_voxels
from pancseg.pipeline.estimation.workload import ScanWork, Workload, earlier_rows, workload_of
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.executors.place import expected_engine
from pancseg.running.memory import free_bytes
from pancseg.running.options import DEFAULT as HERE
from pancseg.running.options import RunOptions
from pancseg.segmentation import DEFAULT_ENGINE, DEFAULT_PRECISION, DEFAULT_WEIGHTS
from pancseg.segmentation.along_z import REACH_MM
from pancseg.segmentation.slice_search import Steps

_PICTURES_BYTES = 350_000
"""Of one row (measured on CTs of 512×512)."""
_MASK_BYTES_A_VOXEL = 0.001
_MASK_SHARE = 0.15
"""Cleaning and writing a mask takes this share of the time for reading and judging its scan."""
_PROCESS_BYTES = 300_000_000
"""Of the process that hands out the scans."""


class _Patients(NamedTuple):
    """What headers do not tell; the lower or the upper end of what is usual."""

    pancreas_ml: float
    height_mm: float
    """Of the slices in which the network finds something."""
    slower: float
    """A factor on all times: other work of the machine, scans unlike the made-up ones."""


_LEAST = _Patients(pancreas_ml=45.0, height_mm=70.0, slower=0.8)
_MOST = _Patients(pancreas_ml=100.0, height_mm=160.0, slower=1.6)


@dataclass(frozen=True)
class RunEstimate:
    """How long a run will take on this machine, and what it needs.

    Attributes:
        scans: number of scans to process.
        rows: number of rows to make.
        kept_rows: number of rows that an earlier run into the same folder has made.
        unreadable: number of scans whose header cannot be read; they are not counted.
        workers: number of worker processes.
        engine: what runs the network; empty if nothing is left to do.
        seconds: wall time of the run, the least and the most to expect.
        shares: ``segment``, ``features`` and ``other`` → share of the workers' time, 0–1.
        memory_bytes: memory of all processes together, at most.
        disk_bytes: size of the output folder's new files.
        measured_s: seconds that measuring took.

    Example:
        >>> from pancseg import estimate_run
        >>> estimate = estimate_run("cohort.csv", weights="monet_phantom")
        >>> estimate.rows, estimate.seconds[0] < estimate.seconds[1]
        (1, True)
    """

    scans: int
    rows: int
    kept_rows: int
    unreadable: int
    workers: int
    engine: str
    seconds: tuple[float, float]
    shares: Mapping[str, float]
    memory_bytes: int
    disk_bytes: int
    measured_s: float


def estimate_run(  # noqa: PLR0913  keywords, as for the run
    cohort: Cohort,
    out: str | os.PathLike[str] | None = None,
    *,
    masks: str | os.PathLike[str] | None = None,
    label: int | str | None = None,
    regions: Mapping[str, str] | None = None,
    settings: Settings = DEFAULT_PRESET,
    weights: str | Path = DEFAULT_WEIGHTS,
    engine: str = DEFAULT_ENGINE,
    precision: str = DEFAULT_PRECISION,
    looks: int | None = None,
    allow_code: bool = False,
    options: RunOptions = HERE,
) -> RunEstimate:
    """Estimate how long :func:`pancseg.run_cohort` will take here, and what it needs.

    No voxel of the cohort is read. Its headers tell the sizes; then the run's own workers process
    made-up scans for some seconds.

    Args:
        cohort: a manifest, a folder of scans or one scan, by its path; or cases.
        out: output folder of an earlier run; rows that it has, made with the same settings, are
            taken to be unchanged and are not counted. Nothing is written to it.
        masks: as for the run, like all that follow.
        label: label of the region in given masks.
        regions: name → expression of each region that gets a row.
        settings: a preset's name, a pyradiomics parameter file, or loaded settings.
        weights: a shipped name or a checkpoint file.
        engine: what runs the network.
        precision: precision of the network's arithmetic.
        looks: 1 or 2; by default as many as the weights have networks for.
        allow_code: accept weights of a network outside pancseg, whose code then runs.
        options: workers, threads and memory on this machine.

    Raises:
        CohortError: the cohort has problems.
        RunRefused: the run could not be started with these arguments.
        ValueError: no header of the cohort can be read, or the options name a cluster.

    Example:
        >>> from pancseg import estimate_run
        >>> estimate_run("cohort.csv", weights="monet_phantom").scans
        1
    """
    cases = with_regions(cases_of(cohort, out, masks), label, regions)
    loaded = as_feature_settings(settings)
    plan = ProcessingPlan(
        "run",
        loaded,
        str(weights),
        engine,
        precision,
        looks=looks,
        allow_code=allow_code,
        pictures=True,
    )
    return estimate_cases(cases, Path(out) if out is not None else None, plan, options)


def estimate_cases(
    cases: Sequence[Case], out: Path | None, plan: ProcessingPlan, options: RunOptions
) -> RunEstimate:
    """Estimate a run of a plan with weights and settings; see :func:`estimate_run`."""
    settings = plan.settings
    assert settings is not None
    if options.elsewhere:
        raise ValueError("an estimate is for this machine; omit `scheduler` and `slurm`")
    plan = replace(plan, looks=_looks_of(plan))
    earlier = earlier_rows(out, settings)
    work = workload_of(cases, settings, expected_engine(plan), earlier, plan.looks or 1)
    if work.unreadable and not work.scans:
        raise ValueError("no scan that is left to process has a header that can be read")
    counts = (len(work.scans), work.rows, work.kept_rows, work.unreadable)
    if not work.scans:
        return RunEstimate(*counts, 0, "", (0.0, 0.0), {}, 0, 0, 0.0)
    workers = options.workers_for(len(work.scans))
    slice_mm = statistics.median(scan.slices.slice_mm for scan in work.scans)
    network = any(scan.segmented for scan in work.scans)
    trial = measure_speed(plan, settings, options, workers, slice_mm, network=network)
    return RunEstimate(
        *counts,
        workers,
        trial.engine,
        _seconds(work, trial.speed, settings, workers, options),
        _shares(work, trial.speed, settings),
        _memory_bytes(work, workers, options),
        _disk_bytes(work, trial.speed),
        trial.seconds,
    )


def _looks_of(plan: ProcessingPlan) -> int | None:
    """Return the number of looks; None if the weights cannot be read, which the trial will say."""
    if plan.looks is not None or plan.weights is None:
        return plan.looks
    from pancseg.segmentation.checkpoint import load_checkpoint

    try:
        return load_checkpoint(plan.weights, allow_code=plan.allow_code).looks
    except (OSError, ValueError):
        return None


def _seconds(
    work: Workload, speed: Speed, settings: FeatureSettings, workers: int, options: RunOptions
) -> tuple[float, float]:
    """Return the least and the most wall time to expect."""
    at_once = _at_once(work, workers, options)
    ends = []
    for patients in (_LEAST, _MOST):
        spent = [sum(_scan_seconds(scan, speed, settings, patients)) for scan in work.scans]
        ends.append(speed.start_s + patients.slower * _wall_seconds(spent, at_once))
    return ends[0], ends[1]


def _scan_seconds(
    scan: ScanWork, speed: Speed, settings: FeatureSettings, patients: _Patients
) -> tuple[float, float, float]:
    """Return the seconds that a worker takes for a scan's mask, features, and all else."""
    slices = scan.slices
    seen = slices_to_network(slices.slices, slices.slice_mm, patients.height_mm)
    voxels = region_voxels(patients.pancreas_ml, slices, settings)
    again = slices_again(slices.slices, slices.slice_mm, patients.height_mm, speed.margin_mm)
    segment = speed.a_slice_s * seen + speed.again_s * again if scan.segmented else 0.0
    reading = speed.a_voxel_s * slices.voxels * (1 + _MASK_SHARE * scan.segmented)
    features = speed.features_s * voxels / speed.region_voxels * scan.rows
    return segment, features, speed.a_scan_s + reading + speed.pictures_s * scan.rows


def slices_to_network(count: int, slice_mm: float, height_mm: float) -> float:
    """Return how many of a scan's slices go through the network.

    Every n-th is looked at, and more near what is found (:mod:`pancseg.segmentation.slice_search`).

    Args:
        count: number of slices of the scan.
        slice_mm: their distance.
        height_mm: extent of what is found.

    >>> [round(slices_to_network(*scan, 88.0), 1) for scan in ((100, 5.0), (300, 1.0))]
    [46.7, 64.3]
    """
    steps = Steps.of(slice_mm)
    found = min(count, (height_mm + 2 * REACH_MM) / slice_mm)
    return count / steps.first + found * (1 / steps.then - 1 / steps.first)


def slices_again(count: int, slice_mm: float, height_mm: float, margin_mm: float) -> float:
    """Return how many of a scan's slices a second look sees, each in about one window.

    Args:
        count: number of slices of the scan.
        slice_mm: their distance.
        height_mm: extent of what the first look finds.
        margin_mm: how far above and below it slices are looked at again.

    >>> slices_again(300, 1.0, 100.0, 10.0), slices_again(20, 5.0, 100.0, 10.0)
    (60.0, 20.0)
    """
    return min(float(count), (height_mm + 2 * margin_mm) / slice_mm) / Steps.of(slice_mm).then


def _wall_seconds(scans: Sequence[float], at_once: int) -> float:
    """Return how long workers take for scans, each of which goes to the first worker to be free."""
    free_at = [0.0] * at_once
    for spent in scans:
        heapq.heappush(free_at, heapq.heappop(free_at) + spent)
    return max(free_at)


def _at_once(work: Workload, workers: int, options: RunOptions) -> int:
    """Return the number of scans that are processed at the same time, as memory allows."""
    if not work.scans:
        return 1
    typical = statistics.median(scan.memory_bytes for scan in work.scans)
    fitting = int((options.memory_bytes or free_bytes()) // typical)
    return max(1, min(workers, fitting, len(work.scans)))


def _shares(work: Workload, speed: Speed, settings: FeatureSettings) -> dict[str, float]:
    middle = _Patients(*(statistics.fmean(ends) for ends in zip(_LEAST, _MOST, strict=True)))
    names, total = ("segment", "features", "other"), [0.0, 0.0, 0.0]
    for scan in work.scans:
        for i, spent in enumerate(_scan_seconds(scan, speed, settings, middle)):
            total[i] += spent
    return {name: spent / (sum(total) or 1.0) for name, spent in zip(names, total, strict=True)}


def _memory_bytes(work: Workload, workers: int, options: RunOptions) -> int:
    """Return the memory of the largest scans together, as far as they are started together."""
    largest = sorted((scan.memory_bytes for scan in work.scans), reverse=True)
    together = sum(largest[: max(1, workers)])
    beside = _PROCESS_BYTES if workers else 0
    return beside + min(together, options.memory_bytes or free_bytes())


def _disk_bytes(work: Workload, speed: Speed) -> int:
    if not work.scans:
        return 0
    masks = sum(_MASK_BYTES_A_VOXEL * scan.slices.voxels for scan in work.scans if scan.segmented)
    return round(speed.fixed_bytes + masks + (speed.row_bytes + _PICTURES_BYTES) * work.rows)
