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
from pancseg.cohort import Case, Outcome, Value, run_cases
from pancseg.features.extract import parameters_for, region_of
from pancseg.features.names import safe_names
from pancseg.scans import UnusableCase
from pancseg.settings import FeatureSettings

if TYPE_CHECKING:
    from pancseg.segmentation import Segmenter

Report = Callable[[Outcome], None]
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

    def work(case: Case) -> dict[str, Value]:
        scan = scans.read(case.image, series_uid=case.series_uid)
        mask = _segmented(case, scan, segmenter, out)
        return {"qc_mask_source": segmenter.checkpoint.name, "qc_volume_ml": volume_ml(mask)}

    return _run(cases, work, out / "masks.csv", report, _provenance("segment", segmenter, None))


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

    def work(case: Case) -> dict[str, Value]:
        scan = scans.read(case.image, series_uid=case.series_uid)
        if case.mask:
            mask, label, source = _own_mask(case.mask), case.mask_label, "given"
        elif segmenter:
            mask, label = _segmented(case, scan, segmenter, out), 1
            source = segmenter.checkpoint.name
        else:
            raise UnusableCase("no_mask", "there is no mask for this scan; segment it first")
        region = region_of(mask, label if label is not None else settings.label)
        found = features.extract(scan, region, settings, label=1)
        return {
            "qc_mask_source": source,
            "qc_volume_ml": volume_ml(region),
            "qc_grid_mm": _grid_mm(scan, settings),
            **found,
        }

    command = "run" if segmenter else "extract"
    return _run(
        cases, work, out / "features.csv", report, _provenance(command, segmenter, settings)
    )


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
        rows.append(
            {
                "patient_id": case.patient_id,
                "scan_id": case.scan_id,
                "roi": case.roi,
                "qc_status": outcome.status,
                "qc_reasons": outcome.reason,
                **outcome.values,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.rename(columns=safe_names(frame.columns))


def _segmented(case: Case, scan: sitk.Image, segmenter: Segmenter, out: Path) -> sitk.Image:
    mask = segmenter.segment(scan)
    folder = out / "masks"
    folder.mkdir(parents=True, exist_ok=True)
    scans.write(mask, folder / f"{case.name}.nii.gz")
    return mask


def _own_mask(path: Path) -> sitk.Image:
    try:
        return scans.read(path)
    except UnusableCase as unusable:
        raise UnusableCase(unusable.code, f"the mask: {unusable.fact}") from unusable


def _grid_mm(scan: sitk.Image, settings: FeatureSettings) -> str:
    """Return the voxel size (x y z) that features are computed on, in mm."""
    setting = parameters_for(scan, settings).get("setting") or {}
    spacing = setting.get("resampledPixelSpacing") or scan.GetSpacing()
    return " ".join(f"{s:.4g}" for s in spacing)


def _run(
    cases: Sequence[Case],
    work: Callable[[Case], dict[str, Value]],
    path: Path,
    report: Report,
    provenance: dict[str, Any],
) -> list[Outcome]:
    path.parent.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for outcome in run_cases(cases, work):
        outcomes.append(outcome)
        report(outcome)
    text = table(outcomes).to_csv(index=False, lineterminator="\n", float_format="%.17g")
    _write_whole(path, text)
    _write_whole(path.parent / "provenance.json", json.dumps(provenance, indent=2) + "\n")
    return outcomes


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
    if settings:
        record["features"] = settings.model_dump(mode="json")
    return record


def _command(command: str, segmenter: Segmenter | None, settings: FeatureSettings | None) -> str:
    """Return the command line with placeholders for paths."""
    words = ["pancseg", command, "COHORT", "--out", "OUT"]
    if segmenter:
        words += ["--weights", segmenter.checkpoint.name]
    if settings:
        words += ["--config", settings.name]
    return " ".join(words)


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
