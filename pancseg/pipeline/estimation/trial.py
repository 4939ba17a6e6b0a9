"""Measure how fast this machine is, by a short run on made-up scans with the run's own workers."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pancseg.cohort.case import Case
from pancseg.features.settings import FeatureSettings
from pancseg.pipeline.cohort_run import run_plan
from pancseg.pipeline.estimation.made_up import NETWORK_SLICES, MadeUp, make_up
from pancseg.pipeline.estimation.second_look import SecondLookCost, cost_of_second_look
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.options import RunOptions
from pancseg.scans.slice_preview import SlicePreview, preview_slices
from pancseg.segmentation import MOST_LOOKS
from pancseg.system.threads import available_cores

_OF_A_SLICE = ("prepare slices", "network", "smooth along z")
_OF_A_VOXEL = ("read the scan", "judge")


class Speed(NamedTuple):
    """How fast a worker is while all others are busy too.

    Attributes:
        start_s: seconds until the workers are ready.
        a_scan_s: seconds for a scan of any size.
        a_voxel_s: reading and judging: seconds for each voxel of a scan.
        a_slice_s: seconds for each slice that goes through the network.
        features_s: seconds for the features of one region.
        pictures_s: seconds for the pictures of one row.
        region_voxels: number of voxels of that region, on the features' grid.
        row_bytes: bytes of one row in the output folder, without pictures.
        fixed_bytes: bytes of the files that describe the table.
        again_s: seconds for each slice that is looked at again; 0 with one look.
        margin_mm: how far above and below the organ slices are looked at again.
    """

    start_s: float
    a_scan_s: float
    a_voxel_s: float
    a_slice_s: float
    features_s: float
    pictures_s: float
    region_voxels: float
    row_bytes: float
    fixed_bytes: float
    again_s: float = 0.0
    margin_mm: float = 0.0


class Trial(NamedTuple):
    """A measurement.

    Attributes:
        speed: of a worker.
        engine: that runs the network.
        seconds: that the measurement took.
    """

    speed: Speed
    engine: str
    seconds: float


def measure_speed(
    plan: ProcessingPlan,
    settings: FeatureSettings,
    options: RunOptions,
    workers: int,
    slice_mm: float,
    *,
    network: bool,
) -> Trial:
    """Measure the speed of the workers of a run.

    Every worker gets a few slices for the network and, in another scan, one region of 78 mL. How
    much longer a slice of the second look takes than one of the first is measured in this process,
    after the workers have ended.

    Args:
        plan: of the run; it has weights, the number of their looks, and settings.
        settings: of the features.
        options: of the run.
        workers: number of worker processes; 0: this process.
        slice_mm: typical distance of slices, for settings that keep a scan's own grid.
        network: measure the network too; otherwise a slice is taken to need no time.

    Raises:
        RunRefused: the plan cannot be carried out.
        OSError: the system's temporary folder cannot be written.
    """
    started: list[tuple[float, str]] = []

    def note_start(network_info: Mapping[str, Any]) -> None:
        engine = str(network_info["inference"]["engine"])
        started.append((time.perf_counter() - began, engine))

    with tempfile.TemporaryDirectory(prefix="pancseg-estimate-") as folder:
        made = make_up(Path(folder), slice_mm)
        out, numbers = Path(folder) / "out", range(max(1, workers))
        cases = [Case(f"warm_up{n}", made.warm_up) for n in numbers if network]
        cases += [Case(f"slices{n}", made.slices) for n in numbers if network]
        cases += [Case(f"region{n}", made.scan, mask=made.mask) for n in numbers]
        began = time.perf_counter()
        run_plan(
            cases,
            out,
            replace(plan, keep_failed=True, pictures=True),
            options=replace(options, workers=workers, strict=False),
            started=note_start,
        )
        ((start_s, engine),) = started
        again = SecondLookCost(0.0, 0.0)
        if network and plan.looks == MOST_LOOKS:
            threads = max(1, (options.threads or available_cores()) // max(1, workers))
            again = cost_of_second_look(plan, made, engine, threads)
        spent = time.perf_counter() - began
        return Trial(_speed(out, made, settings, start_s, again), engine, spent)


def _speed(
    out: Path, made: MadeUp, settings: FeatureSettings, start_s: float, again: SecondLookCost
) -> Speed:
    scans = _logged_scans(out / "run.jsonl")
    by_network = [scan for name, scan in scans.items() if name.startswith("slices")]
    regions = [scan for name, scan in scans.items() if name.startswith("region")]
    slices = preview_slices(made.scan)
    journal = (out / ".pancseg" / "journal.jsonl").stat().st_size
    table = (out / "features.csv").stat().st_size
    beside = ("codebook.csv", "datapackage.json", "provenance.json")
    a_slice_s = 0.0
    if by_network:
        a_slice_s = _median(by_network, lambda scan: _seconds(scan, _OF_A_SLICE)) / NETWORK_SLICES
    return Speed(
        start_s=start_s,
        a_scan_s=_median(regions, _outside_stages),
        a_voxel_s=_median(regions, lambda scan: _seconds(scan, _OF_A_VOXEL)) / slices.voxels,
        a_slice_s=a_slice_s,
        features_s=_median(regions, lambda scan: _seconds(scan, ("features",))),
        pictures_s=_median(regions, lambda scan: _seconds(scan, ("pictures",))),
        region_voxels=region_voxels(made.region_ml, slices, settings),
        row_bytes=(journal + table) / len(regions),
        fixed_bytes=sum((out / name).stat().st_size for name in beside),
        again_s=again.slices * a_slice_s,
        margin_mm=again.margin_mm,
    )


def region_voxels(volume_ml: float, scan: SlicePreview, settings: FeatureSettings) -> float:
    """Return the number of voxels of a region on the grid that its features are computed on.

    Args:
        volume_ml: of the region.
        scan: the scan's slices.
        settings: of the features.
    """
    own = (scan.pixel_mm, scan.pixel_mm, scan.slice_mm)
    grid = settings.resampled_mm(scan.slice_mm) or (0.0, 0.0, 0.0)
    a_voxel_mm3 = 1.0
    for side, its_own in zip(grid, own, strict=True):
        a_voxel_mm3 *= side or its_own
    return 1000 * volume_ml / a_voxel_mm3


def _logged_scans(log: Path) -> dict[str, Any]:
    lines = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    return {line["case"]: line for line in lines if line["event"] == "scan"}


def _seconds(scan: Mapping[str, Any], stages: tuple[str, ...]) -> float:
    return float(sum(scan["stages"].get(stage, 0.0) for stage in stages))


def _outside_stages(scan: Mapping[str, Any]) -> float:
    return float(scan["seconds"]) - _seconds(scan, tuple(scan["stages"]))


def _median(scans: Iterable[Mapping[str, Any]], of: Callable[[Mapping[str, Any]], float]) -> float:
    return statistics.median(map(of, scans))
