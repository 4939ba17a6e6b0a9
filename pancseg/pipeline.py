"""Knows the order: scan → mask → row → table. Stages meet on disk, in the output folder.

``OUT/masks/<id>.nii.gz``, ``OUT/features.csv`` (or ``OUT/masks.csv`` after segmenting alone) and
``OUT/provenance.json``.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import SimpleITK as sitk

import pancseg
from pancseg import features, scans
from pancseg.case import DEFAULT_ROI, Case
from pancseg.cohort import Outcome, Value, run_cases
from pancseg.features.extract import region_of
from pancseg.features.names import safe_names
from pancseg.masks import MaskFolder
from pancseg.settings import FeatureSettings
from pancseg.stages import timed
from pancseg.unusable import UnusableCase

if TYPE_CHECKING:
    from pancseg.segmentation import Segmenter

Report = Callable[[Outcome], None]
_FIRST_COLUMNS = (
    "patient_id",
    "scan_id",
    "roi",
    "qc_status",
    "qc_reasons",
    "qc_mask_source",
    "qc_mask_label",
    "qc_volume_ml",
    "qc_grid_mm",
)
_PACKAGES = ("SimpleITK", "numpy", "pandas", "pyradiomics-bhklab", "torch")


def segment_cohort(
    cases: Sequence[Case], out: Path, segmenter: Segmenter, report: Report
) -> list[Outcome]:
    """Segment every case; write masks, ``masks.csv`` and ``provenance.json``.

    Args:
        cases: the cohort.
        out: output folder, made if need be.
        segmenter: a loaded segmenter.
        report: called with each outcome as soon as it is there.

    Returns:
        One outcome per case, in the order of the cases.
    """
    provenance = _provenance("segment", segmenter, None)
    stage = _Segmentation(segmenter, out, provenance)

    def work(case: Case) -> dict[str, Value]:
        _, mask = stage.run(case)
        return {"qc_mask_source": segmenter.checkpoint.name, "qc_volume_ml": volume_ml(mask)}

    return _run(cases, work, out / "masks.csv", report, provenance)


def run_cohort(
    cases: Sequence[Case],
    out: Path,
    settings: FeatureSettings,
    report: Report,
    segmenter: Segmenter | None = None,
) -> list[Outcome]:
    """Make the feature table: from masks where a case has one, else by segmenting.

    Without a segmenter a case without a mask fails with ``no_mask``. Arguments and result as for
    :func:`segment_cohort`.
    """
    provenance = _provenance("run" if segmenter else "extract", segmenter, settings)
    stage = _Segmentation(segmenter, out, provenance) if segmenter else None

    def work(case: Case) -> dict[str, Value]:
        if case.mask:
            scan = scans.read(case.image, series_uid=case.series_uid)
            label = case.mask_label if case.mask_label is not None else settings.label
            (mask, labels), source = region_of(_own_mask(case.mask), label), "given"
        elif stage:
            scan, mask = stage.run(case)
            labels, source = (1,), stage.source
        else:
            raise UnusableCase("no_mask", "there is no mask for this scan; segment it first")
        with timed("features"):
            found = features.measure(scan, mask, settings)
        return {
            "qc_mask_source": source,
            "qc_mask_label": "+".join(map(str, labels)),
            "qc_volume_ml": volume_ml(mask),
            "qc_grid_mm": _grid_mm(scan, settings),
            **found,
        }

    return _run(cases, work, out / "features.csv", report, provenance)


def volume_ml(mask: sitk.Image) -> float:
    """Return the volume of a mask's voxels that are not zero, in mL."""
    voxel_ml = float(np.prod(mask.GetSpacing())) / 1000
    return round(int(np.count_nonzero(scans.array(mask))) * voxel_ml, 3)


def table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return one row per outcome; columns: ids, ``qc_*``, features under safe names.

    An unusable case has its reason and no values.
    """
    rows: list[dict[str, Value]] = []
    for outcome in outcomes:
        case = outcome.case
        ids: list[Value] = [case.patient_id, case.scan_id, case.roi]
        ids += [outcome.status, outcome.reason]
        rows.append({**dict(zip(_FIRST_COLUMNS, ids, strict=False)), **outcome.values})
    names = dict.fromkeys([*_FIRST_COLUMNS, *(name for row in rows for name in row)])
    frame = pd.DataFrame(rows, columns=list(names))
    return frame.rename(columns=safe_names(frame.columns))


class _Segmentation:
    """The stage that fills ``OUT/masks``, with a note beside the masks of what made them."""

    def __init__(self, segmenter: Segmenter, out: Path, provenance: dict[str, Any]) -> None:
        self.source = segmenter.checkpoint.name
        self._segmenter = segmenter
        self._masks = MaskFolder(out / "masks")
        record = {key: value for key, value in provenance.items() if key != "features"}
        _write_whole(out / "masks" / "provenance.json", json.dumps(record, indent=2) + "\n")

    def run(self, case: Case) -> tuple[sitk.Image, sitk.Image]:
        """Return the scan and its mask, which is written too."""
        if case.roi != DEFAULT_ROI:
            raise UnusableCase(
                "no_mask", f"no mask for {case.roi!r}: the network makes {DEFAULT_ROI!r} only"
            )
        self._masks.clear(case.name)
        with timed("read the scan"):
            scan = scans.read(case.image, series_uid=case.series_uid)
        mask = self._segmenter.segment(scan)
        with timed("write the mask"):
            self._masks.write(mask, case.name)
        return scan, mask


def _own_mask(path: Path) -> sitk.Image:
    try:
        return scans.read(path)
    except UnusableCase as unusable:
        raise UnusableCase(unusable.code, f"the mask: {unusable.fact}") from unusable


def _grid_mm(scan: sitk.Image, settings: FeatureSettings) -> str:
    """Return the voxel size (x y z) that features are computed on, in mm."""
    own = scan.GetSpacing()
    wanted = settings.resampled_mm(scans.slice_spacing_mm(scan)) or own
    return " ".join(f"{w or o:.4g}" for w, o in zip(wanted, own, strict=True))  # 0 keeps its own


def _run(
    cases: Sequence[Case],
    work: Callable[[Case], dict[str, Value]],
    path: Path,
    report: Report,
    provenance: dict[str, Any],
) -> list[Outcome]:
    """Run all cases, then write their table; stopped half-way, write what is finished beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.csv")
    _write_whole(partial, "")  # says at once when nothing can be written here
    outcomes: list[Outcome] = []
    try:
        for outcome in run_cases(cases, work):
            outcomes.append(outcome)
            report(outcome)
    except BaseException:
        _write_whole(partial, _csv(outcomes))
        raise
    _write_whole(path, _csv(outcomes))
    _write_whole(path.parent / "provenance.json", json.dumps(provenance, indent=2) + "\n")
    partial.unlink()
    return outcomes


def _csv(outcomes: Sequence[Outcome]) -> str:
    text: str = table(outcomes).to_csv(index=False, lineterminator="\n")
    return text


def _provenance(
    command: str, segmenter: Segmenter | None, settings: FeatureSettings | None
) -> dict[str, Any]:
    """Return what made a table, without any path or name of a file."""
    record: dict[str, Any] = {
        "command": _command(command, segmenter, settings),
        "versions": {
            "pancseg": pancseg.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    }
    if segmenter:
        checkpoint = segmenter.checkpoint
        record["weights"] = {
            "name": checkpoint.name,
            "network": checkpoint.network,
            "sha256": checkpoint.sha256,
            "preprocessing": checkpoint.preprocessing.model_dump(mode="json"),
            **checkpoint.provenance,
        }
        record["inference"] = {"engine": segmenter.engine, "precision": segmenter.precision}
        if segmenter.engine == "openvino":
            record["versions"]["openvino"] = version("openvino")
    if settings:
        record["features"] = settings.model_dump(mode="json")
    return record


def _command(command: str, segmenter: Segmenter | None, settings: FeatureSettings | None) -> str:
    """Return the command line with placeholders for paths."""
    words = ["pancseg", command, "COHORT", "--out", "OUT"]
    if segmenter:
        words += ["--weights", segmenter.checkpoint.name]
        words += ["--engine", segmenter.engine, "--precision", segmenter.precision]
    if settings:
        words += ["--config", settings.name]
    return " ".join(words)


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
