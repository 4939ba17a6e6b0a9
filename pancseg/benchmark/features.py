"""Time both feature modes of pancseg and pyradiomics's own extractor on a synthetic patient.

Each measurement runs in a separate process on one core, which reports its processor time and its
peak memory. The three contenders take turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk

from pancseg.phantom import make_phantom
from pancseg.running.memory import high_water_bytes
from pancseg.scans.arrays import voxel_array
from pancseg.scans.reading import read_scan
from pancseg.scans.writing import write_scan
from pancseg.system.processes.python_child import child_environment, python_command
from pancseg.tables.markdown_table import markdown_table

SIZE, SPACING_MM = (512, 512, 100), (0.8, 0.8, 2.5)
BASELINE = "radiomics.featureextractor"
CONTENDERS = (BASELINE, "pyradiomics", "ibsi")
"""pyradiomics's own extractor, then pancseg's modes."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_CLASSES = ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
RESAMPLED: dict[str, Any] = {
    "setting": {"resampledPixelSpacing": [1, 1, 1], "binWidth": 25},
    "imageType": {
        "Original": {},
        "LoG": {"sigma": [1.0, 2.0, 3.0, 4.0, 5.0]},
        "Wavelet": {"wavelet": "coif1"},
    },
    "featureClass": dict.fromkeys(_CLASSES),
}
"""pyradiomics parameters that resample the scan to voxels of 1 mm."""
AS_IT_IS: dict[str, Any] = {**RESAMPLED, "setting": {"binWidth": 25}}
"""The same parameters without resampling."""
SETTINGS = {"1 mm voxels": RESAMPLED, "the scan's own voxels": AS_IT_IS}
"""Title in the report → pyradiomics parameters."""


class TimedExtraction(NamedTuple):
    """The measurements of one process.

    Attributes:
        seconds: processor time of the feature computation, without imports and reading.
        peak_mb: peak memory of the computation, beyond scan and imports, in MB (10⁶ bytes).
        values: feature values by pyradiomics's feature names.
    """

    seconds: float
    peak_mb: float
    values: dict[str, float]


def make_case(
    folder: Path,
    size: tuple[int, int, int] = SIZE,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
) -> float:
    """Write a synthetic patient's ``scan.nrrd`` and ``mask.nrrd``; return the pancreas's mL."""
    phantom = make_phantom(3, size=size, spacing_mm=spacing_mm)
    mask = sitk.Cast(phantom.mask > 0, sitk.sitkUInt8)
    write_scan(phantom.image, folder / "scan.nrrd")
    write_scan(mask, folder / "mask.nrrd")
    return float(np.count_nonzero(voxel_array(mask)) * np.prod(spacing_mm) / 1000)


def time_features(
    folder: Path, which: str, repeats: int, tell: Callable[[str], None]
) -> dict[str, list[TimedExtraction]]:
    """Measure all contenders in turn on one case, and repeat.

    Args:
        folder: folder of :func:`make_case`.
        which: key of ``SETTINGS``.
        repeats: number of measurements of each contender.
        tell: called with a line after each measurement.

    Returns:
        Contender → its measurements, one per repeat.

    Raises:
        RuntimeError: a contender failed.
    """
    found: dict[str, list[TimedExtraction]] = {name: [] for name in CONTENDERS}
    for _ in range(repeats):
        for name in CONTENDERS:
            found[name].append(_in_new_process(folder, name, which))
            last = found[name][-1]
            tell(f"{which}, {name}: {last.seconds:.2f} s, {last.peak_mb:.0f} MB")
    return found


def report(which: str, found: dict[str, list[TimedExtraction]]) -> str:
    """Return a Markdown table that compares every contender with pyradiomics's extractor.

    Args:
        which: key of ``SETTINGS``, the table's title.
        found: what :func:`time_features` returned.
    """
    base = found[BASELINE]
    titles = ["", "seconds", "times as fast", "memory above the scan, MB"]
    titles.append("largest relative difference")
    rows = []
    for name, runs in found.items():
        ratio = median(b.seconds / r.seconds for b, r in zip(base, runs, strict=True))
        difference = (
            "" if name == "ibsi" else f"{largest_difference(base[0].values, runs[0].values):.0e}"
        )
        seconds, peak_mb = median(r.seconds for r in runs), median(r.peak_mb for r in runs)
        title = name if name == BASELINE else f"mode {name}"
        rows.append((title, f"{seconds:.2f}", f"{ratio:.1f}", f"{peak_mb:.0f}", difference))
    table = markdown_table(titles, rows, left=1)
    return f"{which}: {len(base[0].values)} features, N={len(base)}\n\n{table}"


def largest_difference(expected: dict[str, float], found: dict[str, float]) -> float:
    """Return the largest relative difference; infinity if names or order of the features differ."""
    if list(expected) != list(found):
        return float("inf")
    pairs = np.array([(expected[name], found[name]) for name in expected])
    return float((np.abs(np.diff(pairs)[:, 0]) / np.maximum(np.abs(pairs[:, 0]), 1e-12)).max())


def _in_new_process(folder: Path, name: str, which: str) -> TimedExtraction:
    """Measure one contender in a new process, which runs :func:`_main`."""
    with tempfile.TemporaryDirectory() as out:
        result = Path(out) / "result.json"
        one_core = dict.fromkeys(_THREADS, "1")
        done = subprocess.run(
            python_command("-m", "pancseg.benchmark.features"),
            input=json.dumps([str(folder), name, which, str(result)]),
            env={**child_environment(), **one_core},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(
                f"{name} exited with code {done.returncode}: {done.stderr.strip()[-300:]}"
            )
        return TimedExtraction(*json.loads(result.read_text(encoding="utf-8")))


def _main(job: Sequence[str]) -> None:
    """Measure one contender and write its :class:`TimedExtraction` as a JSON list.

    Args:
        job: folder of the case, name of the contender, key of ``SETTINGS``, path of the JSON file.
    """
    import time

    folder, name, which, result = Path(job[0]), *job[1:3], Path(job[3])
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    scan, mask = read_scan(folder / "scan.nrrd"), read_scan(folder / "mask.nrrd")
    compute = _contender(name, SETTINGS[which])
    if (clear_refs := Path("/proc/self/clear_refs")).exists():  # Linux; elsewhere memory is 0
        clear_refs.write_text("5")  # reset the peak
    before = high_water_bytes() / 1e6
    start = time.process_time()
    values = compute(scan, mask)
    seconds = time.process_time() - start
    peak_mb = high_water_bytes() / 1e6 - before
    found = {k: float(v) for k, v in values.items()}
    result.write_text(json.dumps([seconds, peak_mb, found]), encoding="utf-8")


def _contender(name: str, parameters: dict[str, Any]) -> Callable[[sitk.Image, sitk.Image], Any]:
    """Return a contender's function: (scan, mask) → feature values by name."""
    if name == BASELINE:
        import radiomics
        from radiomics.featureextractor import RadiomicsFeatureExtractor

        radiomics.logger.setLevel("ERROR")
        extractor = RadiomicsFeatureExtractor(parameters)

        def compute(scan: sitk.Image, mask: sitk.Image) -> dict[str, float]:
            found = extractor.execute(scan, mask, label=1)
            return {k: v for k, v in found.items() if not k.startswith("diagnostics_")}

        return compute
    from pancseg.features.extract import compute_features
    from pancseg.features.settings import FeatureSettings

    settings = FeatureSettings(name="custom", mode=name, parameters=parameters)
    return lambda scan, mask: compute_features(scan, mask, settings).values


if __name__ == "__main__":
    _main(json.load(sys.stdin))
