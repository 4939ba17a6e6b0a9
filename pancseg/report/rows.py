"""Turn the rows of a table into what the page shows of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.pictures.row_pictures import CONTOUR, MEASURED, PICTURE, THUMBNAIL
from pancseg.processing.picture_names import PICTURES_FOLDER, mark_of, picture_stem, shows
from pancseg.reasons import EXCEPTION, REASONS, Reason
from pancseg.report.checks import CHECKS
from pancseg.report.output_folder import OutputFolder
from pancseg.review.look import to_look_at
from pancseg.review.standing import Standing, by_row, standing

STATUSES = ("pass", "warn", "fail", "error")
USABLE = ("pass", "warn")

_FEWEST_FOR_PERCENTILES = 5
_DIGITS = 6
_KEY_FEATURES = (
    "original_shape_MeshVolume",
    "original_shape_SurfaceVolumeRatio",
    "original_shape_Sphericity",
    "original_shape_Maximum3DDiameter",
    "original_firstorder_Mean",
    "original_firstorder_Median",
    "original_firstorder_Variance",
    "original_firstorder_Skewness",
    "original_firstorder_Entropy",
    "original_glcm_Contrast",
    "original_glcm_Correlation",
    "original_glcm_JointEntropy",
    "original_ngtdm_Coarseness",
)
_MOST_KEY_FEATURES = 13


@dataclass(frozen=True)
class ReportRow:
    """One row of the table, as the page shows it.

    Attributes:
        patient_id, scan_id, roi: its ids.
        status: ``pass``, ``warn``, ``fail`` or ``error``.
        reasons: reason codes, in the order of the checks.
        message: what was found, with numbers; empty in tables without it.
        source: what made the mask.
        label, grid_mm: labels of the mask, and voxel size of the features.
        checks: one measured value per check; None where nothing was measured.
        features: one value per key feature.
        percentiles: where each is among the usable rows of the region, 0–100.
        acquisition: what the DICOM series says, in words.
        phase: contrast phase that the DICOM series names.
        decisions: the last verdict of a person and the comments after it.
        pictures: kind of picture → its URL from the page; empty if there are none of this row.
        scan_was_read: whether the run could read the scan, so that there can be pictures.
    """

    patient_id: str
    scan_id: str
    roi: str
    status: str
    reasons: tuple[str, ...]
    message: str
    source: str
    label: str
    grid_mm: str
    checks: tuple[float | None, ...]
    features: tuple[float | None, ...] = ()
    percentiles: tuple[int | None, ...] = ()
    acquisition: tuple[tuple[str, str], ...] = ()
    phase: str = ""
    decisions: tuple[Standing, ...] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)
    scan_was_read: bool = True

    @property
    def usable(self) -> bool:
        """Whether the row can be used in an analysis."""
        return self.status in USABLE

    @property
    def to_look_at(self) -> bool:
        """Whether the row is usable but asks for a look (:mod:`pancseg.review.look`)."""
        return to_look_at(self.status, self.source, self.phase, accepted=self.accepted)

    @property
    def accepted(self) -> bool:
        """Whether a person accepted the mask that the row has now."""
        return any(each.holds and each.decision == "accept" for each in self.decisions)

    @property
    def scan_name(self) -> str:
        """Patient and scan, as in :attr:`pancseg.Case.scan_name`."""
        return _scan_name(self.patient_id, self.scan_id)

    @property
    def thumbnail(self) -> str:
        """URL of the row's small picture; empty without one."""
        return self.pictures.get("thumbnail", "")

    def check(self, column: str) -> float | None:
        """Return the measured value of a column that is checked."""
        return self.checks[[check.column for check in CHECKS].index(column)]


def meaning(code: str) -> Reason:
    """Return what a code in ``qc_reasons`` means; any other is the name of an exception."""
    return REASONS.get(code, EXCEPTION)  # type: ignore[call-overload, no-any-return]


def key_features(output: OutputFolder) -> list[str]:
    """Return the columns of a few features that say something to a reader."""
    originals = output.original_names
    found = [name for name in output.features if originals.get(name) in _KEY_FEATURES]
    return (found or output.features)[:_MOST_KEY_FEATURES]


def rows_of(output: OutputFolder) -> list[ReportRow]:
    """Return the rows of a table, in its order."""
    table = output.table
    acquired = _acquisition(output)
    decided = by_row(output.reviews)
    names = key_features(output)
    values = {name: _numbers(table, name) for name in names}
    percentiles = _percentiles(output, values)
    checked = [_numbers(table, check.column) for check in CHECKS]
    rows = []
    for n, record in enumerate(table[_described(output)].to_dict("records")):
        text = {str(key): _text(value) for key, value in record.items()}
        ids = text["patient_id"], text.get("scan_id", ""), text.get("roi", "") or DEFAULT_ROI
        rows.append(
            ReportRow(
                *ids,
                status=text["qc_status"] if text["qc_status"] in STATUSES else "error",
                reasons=tuple(code for code in text["qc_reasons"].split(";") if code),
                message=text.get("qc_message", ""),
                source=text.get("qc_mask_source", ""),
                label=text.get("qc_mask_label", ""),
                grid_mm=text.get("qc_grid_mm", ""),
                checks=tuple(_number(column[n]) for column in checked),
                features=tuple(_number(values[name][n]) for name in names),
                percentiles=tuple(percentiles[name][n] for name in names),
                acquisition=acquired.get(ids[:2], ()),
                phase=text.get("qc_phase_hint", ""),
                decisions=standing(decided.get(_key(ids), ()), text.get("mask_sha256", "")),
                pictures=_pictures(output.folder, ids, text),
                scan_was_read=bool(text.get("image_sha256", "-")),
            )
        )
    return rows


def _scan_name(patient_id: str, scan_id: str) -> str:
    return Case(patient_id, Path(), scan_id=scan_id).scan_name


def _key(ids: tuple[str, str, str]) -> str:
    return Case(ids[0], Path(), scan_id=ids[1], roi=ids[2]).key


def _described(output: OutputFolder) -> list[str]:
    """Return the columns that are no features."""
    features = set(output.features)
    return [name for name in output.table.columns if name not in features]


def _pictures(folder: Path, ids: tuple[str, str, str], text: Mapping[str, str]) -> dict[str, str]:
    """Return the URLs of a row's pictures; none if they show an earlier scan or mask."""
    stem = picture_stem(_scan_name(*ids[:2]), ids[2])
    if not stem or not shows(folder / PICTURES_FOLDER / f"{stem}{PICTURE}", mark_of(text)):
        return {}
    kinds = {"slices": PICTURE, "contour": CONTOUR, "measured": MEASURED, "thumbnail": THUMBNAIL}
    return {
        kind: quote(f"{PICTURES_FOLDER.name}/{stem}{suffix}")
        for kind, suffix in kinds.items()
        if (folder / PICTURES_FOLDER / f"{stem}{suffix}").is_file()
    }


def _acquisition(output: OutputFolder) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    if output.acquisition is None or "patient_id" not in output.acquisition:
        return {}
    found: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
    for record in output.acquisition.to_dict("records"):
        ids = str(record.pop("patient_id")), str(record.pop("scan_id", ""))
        told = tuple((words_of(str(name)), str(value)) for name, value in record.items() if value)
        found[ids] = told
    return found


def words_of(column: str) -> str:
    """Return a column's name as words.

    >>> words_of("convolution_kernel"), words_of("slice_thickness_mm")
    ('convolution kernel', 'slice thickness (mm)')
    """
    words = column.split("_")
    units = {"mm": "mm", "ma": "mA", "mas": "mAs", "kvp": "kV"}
    if words[-1] in units:
        named = " ".join(words[:-1]) or "tube voltage"
        return f"{named} ({units[words[-1]]})"
    return " ".join(words)


def _percentiles(
    output: OutputFolder, values: Mapping[str, Sequence[float]]
) -> dict[str, list[int | None]]:
    """Return the percentile of each value among the usable rows of the same region."""
    table = output.table
    regions = np.asarray(table["roi"] if "roi" in table else [DEFAULT_ROI] * len(table))
    usable = np.asarray(table["qc_status"].isin(USABLE))
    found: dict[str, list[int | None]] = {name: [None] * len(table) for name in values}
    for region in dict.fromkeys(regions.tolist()):
        of_region = np.flatnonzero(usable & (regions == region))
        for name, column in values.items():
            numbers = np.asarray(column)[of_region]
            known = np.sort(numbers[np.isfinite(numbers)])
            if known.size < _FEWEST_FOR_PERCENTILES:
                continue
            below = np.searchsorted(known, numbers, "left")
            up_to = np.searchsorted(known, numbers, "right")
            for n, number, rank in zip(of_region, numbers, below + up_to, strict=True):
                if math.isfinite(number):
                    found[name][n] = round(100 * float(rank) / 2 / known.size)
    return found


def _numbers(table: Any, name: str) -> list[float]:
    import pandas as pd

    if name not in table:
        return [math.nan] * len(table)
    numbers: list[float] = pd.to_numeric(table[name], errors="coerce").astype(float).tolist()
    return numbers


def _number(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
