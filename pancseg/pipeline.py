"""Knows the order: scan → mask → row → table. Stages meet on disk, in the output folder.

``OUT/masks/<id>.nii.gz``, ``OUT/features.csv`` with its codebook and description (or
``OUT/masks.csv`` after segmenting alone) and ``OUT/provenance.json``.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import SimpleITK as sitk

import pancseg
from pancseg import export, features, fingerprint, scans
from pancseg.case import DEFAULT_ROI, Case
from pancseg.cohort import Found, Outcome, Value, run_cases
from pancseg.export import Field, Row, TableFormat
from pancseg.features.expected import feature_names
from pancseg.features.regions import region_of
from pancseg.latest import Latest
from pancseg.masks import MaskFolder
from pancseg.settings import FeatureSettings
from pancseg.stages import timed
from pancseg.unusable import UnusableCase

if TYPE_CHECKING:
    from pancseg.segmentation import Segmenter

Report = Callable[[Outcome], None]
_PLAIN = TableFormat()
_PACKAGES = (
    "SimpleITK", "numpy", "pandas", "pyradiomics-bhklab", "PyWavelets", "scipy", "torch",
)  # fmt: skip


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

    def work(case: Case) -> Found:
        if case.roi != DEFAULT_ROI:
            raise _no_mask_for(case)
        scan, mask = stage.run(case)
        values: dict[str, Value] = {
            "qc_mask_source": segmenter.checkpoint.name,
            "qc_volume_ml": volume_ml(mask),
            "image_sha256": fingerprint.of_image(scan),
            "mask_sha256": fingerprint.of_image(mask),
        }
        return Found(values)

    return _run(cases, work, report, _Output(out / "masks.csv", provenance))


def run_cohort(
    cases: Sequence[Case],
    out: Path,
    settings: FeatureSettings,
    report: Report,
    segmenter: Segmenter | None = None,
    style: TableFormat = _PLAIN,
) -> list[Outcome]:
    """Make the feature table: from masks where a case has one, else by segmenting.

    Without a segmenter a case without a mask fails with ``no_mask``. The regions of one scan are
    best given one after the other: then it is read, and segmented, once. ``style`` is how the
    table is written; other arguments and result as for :func:`segment_cohort`.
    """
    provenance = _provenance("run" if segmenter else "extract", segmenter, settings)
    provenance["command"] = " ".join([provenance["command"], *style.words])
    provenance["regions"] = _regions(cases)
    stage = _Segmentation(segmenter, out, provenance) if segmenter else None
    given = Given()

    def work(case: Case) -> Found:
        if case.mask:
            scan, mask = given.scan(case), given.mask(case.mask)
            label, source = case.mask_label or settings.label, "given"
        elif stage:
            if case.roi != DEFAULT_ROI and not case.mask_label:
                raise _no_mask_for(case)
            scan, mask = stage.run(case)
            label, source = case.mask_label, stage.source
        else:
            raise UnusableCase("no_mask", "there is no mask for this scan; segment it first")
        region = region_of(mask, label, scan)
        with timed("features"):
            found = features.measure(scan, region.image, settings)
        values: dict[str, Value] = {
            "qc_mask_source": source,
            "qc_mask_label": region.made_of,
            "qc_volume_ml": volume_ml(region.image),
            "qc_grid_mm": " ".join(f"{side:.4g}" for side in found.spacing_mm),
            "image_sha256": given.scan_hash(case, scan),
            "mask_sha256": fingerprint.of_image(region.image),
            **found.values,
        }
        return Found(values, found.reasons)

    path = out / f"features.{style.kind}"
    return _run(cases, work, report, _Output(path, provenance, settings, style))


def volume_ml(mask: sitk.Image) -> float:
    """Return the volume of a mask's voxels that are not zero, in mL."""
    voxel_ml = float(np.prod(mask.GetSpacing())) / 1000
    return round(int(np.count_nonzero(scans.array(mask))) * voxel_ml, 3)


def table(outcomes: Sequence[Outcome], settings: FeatureSettings | None = None) -> pd.DataFrame:
    """Return one row per outcome; columns: ids, ``qc_*``, hashes, features under safe names.

    An unusable case has its reason and no values. With ``settings`` the features' columns are
    there even when every case is unusable.
    """
    fields, rows = fields_and_rows(outcomes, settings, "safe")
    frame = pd.DataFrame(rows, columns=[field.original_name for field in fields])
    return frame.set_axis([field.name for field in fields], axis=1)


def fields_and_rows(
    outcomes: Sequence[Outcome], settings: FeatureSettings | None, naming: str
) -> tuple[list[Field], list[Row]]:
    """Return the columns of a table and its rows, one per outcome."""
    hashed = {"settings_sha256": fingerprint.of_settings(settings)} if settings else {}
    rows: list[Row] = [{**_ids(outcome), **hashed, **outcome.values} for outcome in outcomes]
    measured = any(outcome.usable for outcome in outcomes)
    expected = [] if measured or settings is None else feature_names(settings)
    return export.fields_of(rows, expected, settings, naming), rows


def _ids(outcome: Outcome) -> dict[str, Value]:
    case = outcome.case
    return {
        "patient_id": case.patient_id,
        "scan_id": case.scan_id,
        "roi": case.roi,
        "qc_status": outcome.status,
        "qc_reasons": outcome.reason,
        "qc_mask_label": str(case.mask_label or ""),
    }


class Given:
    """Scans and masks as they are, each read once for all rows of it that come in turn."""

    def __init__(self) -> None:
        self._scan: Latest[sitk.Image] = Latest()
        self._hash: Latest[str] = Latest()
        self._mask: Latest[sitk.Image] = Latest()

    def scan(self, case: Case) -> sitk.Image:
        """Return the case's scan."""
        read = lambda: scans.read(case.image, series_uid=case.series_uid)  # noqa: E731
        return self._scan.get((case.image, case.series_uid), read)

    def scan_hash(self, case: Case, scan: sitk.Image) -> str:
        """Return the hash of the case's scan."""
        return self._hash.get((case.image, case.series_uid), lambda: fingerprint.of_image(scan))

    def mask(self, path: Path) -> sitk.Image:
        """Return a label map."""
        return self._mask.get(path, lambda: _own_mask(path))


class _Segmentation:
    """The stage that fills ``OUT/masks``, with a note beside the masks of what made them."""

    def __init__(self, segmenter: Segmenter, out: Path, provenance: dict[str, Any]) -> None:
        self.source = segmenter.checkpoint.name
        self._segmenter = segmenter
        self._masks = MaskFolder(out / "masks")
        self._latest: Latest[tuple[sitk.Image, sitk.Image]] = Latest()
        others = ("features", "settings_sha256")
        record = {key: value for key, value in provenance.items() if key not in others}
        content = (json.dumps(record, indent=2) + "\n").encode()
        export.write_whole({out / "masks" / "provenance.json": content})

    def run(self, case: Case) -> tuple[sitk.Image, sitk.Image]:
        """Return the scan and its mask, which is written too: once for all regions of the scan."""
        key = (case.image, case.series_uid, case.scan_name)
        return self._latest.get(key, lambda: self._segment(case))

    def _segment(self, case: Case) -> tuple[sitk.Image, sitk.Image]:
        self._masks.clear(case.scan_name)
        with timed("read the scan"):
            scan = scans.read(case.image, series_uid=case.series_uid)
        mask = self._segmenter.segment(scan)
        with timed("write the mask"):
            self._masks.write(mask, case.scan_name)
        return scan, mask


def _no_mask_for(case: Case) -> UnusableCase:
    fact = f"no mask for {case.roi!r}: the network makes {DEFAULT_ROI!r} only"
    return UnusableCase("no_mask", fact)


def _own_mask(path: Path) -> sitk.Image:
    """Read a mask that somebody gave; what is wrong with it is said of the mask."""
    try:
        return scans.read(path)
    except UnusableCase as unusable:
        raise UnusableCase(unusable.code, f"the mask: {unusable.fact}") from unusable


@dataclass(frozen=True)
class _Output:
    """The table of a run, and what lies beside it.

    Attributes:
        path: of the table.
        provenance: what made it.
        settings: of its features; None for a table without features.
        style: how it is written.
    """

    path: Path
    provenance: dict[str, Any]
    settings: FeatureSettings | None = None
    style: TableFormat = _PLAIN

    @property
    def partial(self) -> Path:
        """Where finished rows are kept when a run is stopped."""
        return self.path.with_suffix(".partial.csv")

    def write_partial(self, outcomes: Sequence[Outcome]) -> None:
        """Write finished rows as plain CSV; without rows, try whether anything can be written."""
        fields, rows = fields_and_rows(outcomes, None, self.style.names)
        content = export.table_bytes(fields, rows, _PLAIN) if outcomes else b""
        export.write_whole({self.partial: content})

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Write all files; time stamps are in the provenance only."""
        fields, rows = fields_and_rows(outcomes, self.settings, self.style.names)
        record = self.provenance | {"created": datetime.now(UTC).isoformat(timespec="seconds")}
        provenance = (json.dumps(record, indent=2) + "\n").encode()
        if self.settings:
            beside = {"provenance.json": provenance}
            export.write_table(self.path, fields, rows, self.style, beside)
        else:
            content = export.table_bytes(fields, rows, self.style)
            beside_it = self.path.with_name("provenance.json")
            export.write_whole({beside_it: provenance, self.path: content})
        self.partial.unlink()


def _run(
    cases: Sequence[Case],
    work: Callable[[Case], Found],
    report: Report,
    output: _Output,
) -> list[Outcome]:
    """Run all cases, then write their table; stopped half-way, write what is finished beside it."""
    output.path.parent.mkdir(parents=True, exist_ok=True)
    output.write_partial([])  # says at once when nothing can be written here
    outcomes: list[Outcome] = []
    try:
        for outcome in run_cases(cases, work):
            outcomes.append(outcome)
            report(outcome)
    except BaseException:
        output.write_partial(outcomes)
        raise
    output.write(outcomes)
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
        record["inference"] = {"engine": segmenter.engine, "precision": segmenter.precision}
        if segmenter.engine == "openvino":
            record["versions"]["openvino"] = version("openvino")
    if settings:
        record["features"] = settings.model_dump(mode="json")
        record["settings_sha256"] = fingerprint.of_settings(settings)
    return record


def _regions(cases: Sequence[Case]) -> dict[str, list[str]]:
    """Return what each region was asked for as; an empty expression is what the mask holds."""
    asked: dict[str, set[str]] = {}
    for case in cases:
        asked.setdefault(case.roi, set()).add(str(case.mask_label or ""))
    return {roi: sorted(expressions) for roi, expressions in asked.items()}


def _command(command: str, segmenter: Segmenter | None, settings: FeatureSettings | None) -> str:
    """Return the command line with placeholders for paths."""
    words = ["pancseg", command, "COHORT", "--out", "OUT"]
    if segmenter:
        words += ["--weights", segmenter.checkpoint.name]
        words += ["--engine", segmenter.engine, "--precision", segmenter.precision]
    if settings:
        words += ["--config", settings.name]
    return " ".join(words)
