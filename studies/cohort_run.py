"""What a run over a cohort costs: throughput, the parent's memory, a worker's memory, the start.

    python studies/cohort_run.py throughput [PATIENTS] [ROUNDS]
    python studies/cohort_run.py parent [SCANS]
    python studies/cohort_run.py memory [ROUNDS] [SLICES …]
    python studies/cohort_run.py start [ROUNDS]

``throughput`` runs the demo's synthetic patients with several numbers of workers, in turn, each in
new processes; ``parent`` runs thousands of tiny scans and tells the largest resident memory of the
process that a person starts; ``memory`` compares what ``pancseg.running.memory`` foretells with
what a worker took; ``start`` tells how long it takes until a worker is ready. Memory is Linux's own
count (VmHWM), 10⁶ bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
import yaml

from pancseg import Case, write_scan
from pancseg.features.settings import preset_folder
from pancseg.phantom import make_phantom
from pancseg.pipeline.demo import make_cohort
from pancseg.running.memory import high_water_bytes, needed_bytes
from pancseg.scans.geometry import orient
from pancseg.segmentation import engines

_POLL_S = 0.02
_WEIGHTS = ("--weights", "monet_phantom")
_SETUPS = {
    "1 worker on one core": ("taskset", "-c", "0", "--workers", "1", "--threads", "1"),
    "1 worker, 2 threads": ("--workers", "1", "--threads", "2"),
    "2 workers, 2 threads": ("--workers", "2", "--threads", "2"),
}
_LIMITS = (
    "imageType: {Original: {}}\n"
    "featureClass: {firstorder: [], shape: []}\n"
    "setting: {binWidth: 25, label: 1}\n"
    "pancseg: {quality: {slice_mm: {warn_above: 10, fail_above: 20}}}\n"
)


class Spent(NamedTuple):
    """What a command took.

    Attributes:
        wall_s: from start to end.
        cpu_s: of all its processes, user and system.
        parent_mb: largest resident memory of the first process alone.
    """

    wall_s: float
    cpu_s: float
    parent_mb: float


def run(words: Sequence[str]) -> Spent:
    """Run a command to its end."""
    before = os.times()
    start, highest = time.perf_counter(), 0.0
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            highest = high_water_bytes(process.pid) / 1e6 or highest
            time.sleep(_POLL_S)
    wall, after = time.perf_counter() - start, os.times()
    if process.returncode:
        raise SystemExit(f"the command ended with {process.returncode}")
    cpu = sum(after[2:4]) - sum(before[2:4])
    return Spent(wall, cpu, highest)


def pancseg(*words: object) -> list[str]:
    """Return a command line."""
    return [sys.executable, "-m", "pancseg", *map(str, words)]


def throughput(patients: int = 8, rounds: int = 3) -> None:
    """Print patients per hour of each set-up, and the ratios round by round."""
    wall: dict[str, list[float]] = {name: [] for name in _SETUPS}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        manifest = make_cohort(folder / "cohort", patients)
        settings = folder / "demo.yaml"
        settings.write_text(_demo_settings())
        for number in range(rounds):
            for name, options in _SETUPS.items():
                prefix = options[: options.index("--workers")]
                out = folder / f"out-{number}"
                words = pancseg("run", manifest, "--out", out, "--config", settings, *_WEIGHTS)
                load = os.getloadavg()[0]
                spent = run([*prefix, *words, *options[len(prefix) :], "--quiet"])
                shutil.rmtree(out)
                wall[name].append(spent.wall_s)
                print(
                    f"{name}: {spent.wall_s:.1f} s, CPU {spent.cpu_s:.1f} s, "
                    f"{3600 * patients / spent.wall_s:.0f} patients/h, load before {load:.1f}",
                    flush=True,
                )
    fastest = "2 workers, 2 threads"
    for name in list(_SETUPS)[:2]:
        ratios = sorted(a / b for a, b in zip(wall[name], wall[fastest], strict=True))
        print(
            f"{fastest} against {name}, {patients} patients, N={rounds}: "
            f"{ratios[0]:.2f} / {statistics.median(ratios):.2f} / {ratios[-1]:.2f} times "
            "(min / median / max)"
        )


def _demo_settings() -> str:
    """Return the shipped settings, with slices 5 mm apart allowed as in the demo."""
    content = yaml.safe_load((preset_folder() / "pancreas_ct.yaml").read_text(encoding="utf-8"))
    limits = {"slice_mm": {"warn_above": 5, "fail_above": 5}}
    content.setdefault("pancseg", {}).setdefault("quality", {}).update(limits)
    return yaml.safe_dump(content)


def parent(count: int = 10_000) -> None:
    """Print the parent's peak of memory over a cohort of tiny scans."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        manifest = _tiny_cohort(folder, count)
        out = folder / "out"
        words = pancseg("extract", manifest, "--out", out, "--config", folder / "quick.yaml")
        for what in ("all anew", "all known"):
            spent = run([*words, "--quiet"])
            rows = sum(1 for _ in (out / "features.csv").open()) - 1
            print(
                f"{count} scans, {what}: {rows} rows, parent {spent.parent_mb:.0f} MB, "
                f"{spent.wall_s:.0f} s ({count / spent.wall_s:.0f} scans/s), "
                f"CPU {spent.cpu_s:.0f} s",
                flush=True,
            )


def _tiny_cohort(folder: Path, count: int, distinct: int = 8) -> Path:
    """Write a few scans of 16×16×8 voxels and a manifest that names them many times."""
    rng = np.random.default_rng(0)
    for number in range(distinct):
        voxels = rng.integers(-100, 200, (8, 16, 16)).astype(np.int16)
        voxels[:, :2] = -1000
        drawn = np.zeros(voxels.shape, np.uint8)
        drawn[2:6, 4:12, 4:12] = 1
        for name, array in (("scan", voxels), ("mask", drawn)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((5.0, 5.0, 5.0))
            write_scan(image, folder / f"{name}{number}.nii.gz")
    rows = (f"P{i:05},scan{i % distinct}.nii.gz,mask{i % distinct}.nii.gz" for i in range(count))
    manifest = folder / "cohort.csv"
    manifest.write_text("\n".join(["patient_id,image,mask", *rows, ""]))
    (folder / "quick.yaml").write_text(_LIMITS)
    return manifest


def memory(rounds: int = 1, *lengths: int) -> None:
    """Print for scans of several lengths what is foretold and what a worker took."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for slices in lengths or (100, 400, 2000):
            image = huge(slices)
            path = folder / f"scan_{slices}.nii.gz"
            write_scan(image, path)
            series = folder / f"series_{slices}"
            write_series(image, series)
            del image
            for scan in (path, series):
                for command in ("run", "segment"):
                    _compare(scan, command, rounds, folder / "out")
            path.unlink()
            shutil.rmtree(series)


def _compare(scan: Path, command: str, rounds: int, out: Path) -> None:
    foretold = needed_bytes([Case("x", scan)], engines.pick()) / 1e6
    for _ in range(rounds):
        words = pancseg(command, scan, "--out", out, "--workers", 1, *_WEIGHTS, "--quiet")
        spent = run(words)
        took = next(
            record["peak_mb"]
            for record in map(json.loads, (out / "run.jsonl").read_text().splitlines())
            if record["event"] == "scan"
        )
        shutil.rmtree(out)
        print(
            f"{command} {scan.name}: foretold {foretold:.0f} MB, took {took} MB "
            f"({foretold / took:.2f}), {spent.wall_s:.0f} s, CPU {spent.cpu_s:.0f} s",
            flush=True,
        )


def huge(slices: int) -> sitk.Image:
    """Return air with a synthetic patient in the middle, 512×512 pixels, slices 1 mm apart."""
    thick = 4 if slices < 200 else 5
    shape = (512, 512, min(40, slices // thick))
    phantom = make_phantom(3, size=shape, spacing_mm=(0.8, 0.8, 5.0), orientation="RAS").image
    voxels = np.full((slices, 512, 512), -1000, np.int16)
    thin = np.repeat(sitk.GetArrayViewFromImage(phantom), thick, axis=0).astype(np.int16)
    first = (slices - len(thin)) // 2
    voxels[first : first + len(thin)] = thin
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.8, 0.8, 5.0 / thick))
    image.SetDirection(phantom.GetDirection())
    return image


def write_series(image: sitk.Image, folder: Path) -> None:
    """Write a DICOM series, one uncompressed slice a file."""
    folder.mkdir()
    image = orient(image, "LPS")
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for index in range(image.GetSize()[2]):
        piece = image[:, :, index]
        x, y, z = image.TransformIndexToPhysicalPoint((0, 0, index))
        for tag, text in {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.1.{index + 1}",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.2",
            "0020|000e": "1.2.826.0.1.3680043.2.1125.3",
            "0020|0013": str(index + 1),
            "0020|0032": f"{x}\\{y}\\{z}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0018|0050": str(image.GetSpacing()[2]),
            "0028|1052": "0",
            "0028|1053": "1",
        }.items():
            piece.SetMetaData(tag, text)
        writer.SetFileName(str(folder / f"{index:05}.dcm"))
        writer.Execute(piece)


def start(rounds: int = 3) -> None:
    """Print how long the first process and a worker take until they can work."""
    code = {
        "python": "pass",
        "the parent's imports": "import pancseg.pipeline.cohort_run",
        "a worker's imports": "import pancseg.running.worker",
        "a worker, ready": (
            "from pancseg.running.executors.supervisor import SupervisedWorker\n"
            "from pancseg.processing.plan import ProcessingPlan\n"
            "from pancseg.features.settings import load_feature_settings\n"
            "work = ProcessingPlan('run', load_feature_settings('pancreas_ct'), 'monet_phantom')\n"
            "child = SupervisedWorker(work, 1)\n"
            "import time; began = time.perf_counter()\n"
            "child.start(); print(time.perf_counter() - began); child.stop()\n"
        ),
    }
    for name, text in code.items():
        seconds = []
        for _ in range(rounds):
            began = time.perf_counter()
            said = subprocess.run(
                [sys.executable, "-c", text], check=True, capture_output=True, text=True
            ).stdout
            seconds.append(float(said) if said else time.perf_counter() - began)
        print(f"{name}: {statistics.median(seconds):.2f} s (min {min(seconds):.2f}, N={rounds})")


_COMMANDS = {"throughput": throughput, "parent": parent, "memory": memory, "start": start}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in _COMMANDS:
        raise SystemExit(__doc__)
    _COMMANDS[sys.argv[1]](*map(int, sys.argv[2:]))
