"""Seconds and peak memory of writing a table whose rows are read one at a time.

    python studies/table_memory.py [PATIENTS] [csv|parquet]

Rows have 1,316 features with 17 digits each. Memory is Linux's own count (VmHWM), and what is told
is how far it rose while the table was written.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pancseg import FeatureSettings, TableFormat, load_feature_settings
from pancseg.features.expected_names import feature_names
from pancseg.tables.fields import Row, fields_of
from pancseg.tables.write import write_table


def main(patients: int = 10_000, kind: str = "csv") -> None:
    """Write such a table into a temporary folder and print what it took."""
    settings = _settings()
    rows = _Rows(patients, feature_names(settings))
    style = TableFormat(kind)
    if kind == "parquet":
        import pandas  # noqa: F401 - as the next
        import pyarrow.parquet  # noqa: F401 - loading it is no part of what is measured
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"features.{kind}"
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before_mb, start = _peak_mb(), time.perf_counter()
        for _ in rows:
            pass
        walk_s = time.perf_counter() - start
        start = time.perf_counter()
        fields = fields_of(rows, [], settings)
        fields_s = time.perf_counter() - start
        write_table(path, fields, rows, style, {})
        total_s = time.perf_counter() - start
        print(
            f"{patients} rows, {len(fields)} columns, {kind}, {path.stat().st_size / 1e6:.0f} MB: "
            f"{total_s:.1f} s ({fields_s:.1f} s for the columns; making the rows takes "
            f"{walk_s:.1f} s of each walk), {_peak_mb() - before_mb:.0f} MB above {before_mb:.0f}"
        )


def _settings() -> FeatureSettings:
    """Return settings with 14 images: the original, 5 LoG, 8 wavelets."""
    preset = load_feature_settings("pyradiomics_default")
    sigma = [1.0, 2.0, 3.0, 4.0, 5.0]
    types = {"Original": {}, "LoG": {"sigma": sigma}, "Wavelet": {}}
    return preset.model_copy(update={"parameters": {**preset.parameters, "imageType": types}})


class _Rows:
    """Rows that are made anew at every walk, as if they were read from a disk."""

    def __init__(self, count: int, features: list[str]) -> None:
        self._count, self._features = count, features

    def __iter__(self) -> Iterator[Row]:
        random = np.random.default_rng(0)
        for number in range(self._count):
            values = random.normal(0, 1000, len(self._features)).tolist()
            ids: dict[str, float | str] = {"patient_id": f"P{number:05}", "qc_status": "pass"}
            yield {**ids, "qc_voxels": number, **dict(zip(self._features, values, strict=True))}


def _peak_mb() -> float:
    """Return the most memory that this process has held since the count was reset, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, str), sys.argv[1:], strict=False)))
