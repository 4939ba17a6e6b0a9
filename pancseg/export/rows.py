"""Choose the rows of a table that are exported, and what of each is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pancseg.cohort.case import name_key
from pancseg.features.codebook import NOT_IBSI
from pancseg.report.output_folder import OutputFolder
from pancseg.report.rows import ReportRow, rows_of


class MeasuredFeature(NamedTuple):
    """One value of a row.

    Attributes:
        name: pyradiomics's name, such as ``original_glcm_Idm``.
        value: a finite number.
        unit: as in the codebook.
        ibsi_code: IBSI's code; empty where the value is not what IBSI defines.
        ibsi_name: IBSI's name; empty likewise.
    """

    name: str
    value: float
    unit: str
    ibsi_code: str
    ibsi_name: str


class ExportRow(NamedTuple):
    """A usable row of the table.

    Attributes:
        row: its ids, and what was found.
        image_sha256, mask_sha256: hashes of the scan and of the region that were measured.
        features: its values, in the table's order.
    """

    row: ReportRow
    image_sha256: str
    mask_sha256: str
    features: tuple[MeasuredFeature, ...]


class Chosen(NamedTuple):
    """What of a table is exported.

    Attributes:
        scans: usable rows, by scan.
        left_out: number of rows that are not usable.
        names: keys of the names of all scans, with usable rows or not.
    """

    scans: tuple[tuple[ExportRow, ...], ...]
    left_out: int
    names: frozenset[str]


def choose_rows(output: OutputFolder) -> Chosen:
    """Return the usable rows of an output folder.

    Raises:
        ValueError: the table has no hashes to compare scans and masks with.
    """
    table = output.table
    for column in ("image_sha256", "mask_sha256"):
        if column not in table:
            raise ValueError(f"the table has no column {column}; run again with this version")
    meanings = _meanings(output)
    values = table[output.features].to_dict("records")
    hashes = zip(table["image_sha256"], table["mask_sha256"], strict=True)
    scans: dict[str, list[ExportRow]] = {}
    left_out, names = 0, set()
    for row, (image, mask), features in zip(rows_of(output), hashes, values, strict=True):
        names.add(scan := name_key(row.scan_name))
        if not row.usable or not mask:
            left_out += 1
            continue
        made = ExportRow(row, image, mask, tuple(_measured(features, meanings)))
        scans.setdefault(scan, []).append(made)
    return Chosen(tuple(map(tuple, scans.values())), left_out, frozenset(names))


def _meanings(output: OutputFolder) -> Mapping[str, Mapping[Any, Any]]:
    if "name" not in output.codebook:
        return {}
    return {str(each["name"]): each for each in output.codebook.to_dict("records")}


def _measured(
    features: Mapping[Any, Any], meanings: Mapping[str, Mapping[Any, Any]]
) -> Iterable[MeasuredFeature]:
    for column, value in features.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            continue
        about = meanings[str(column)]
        as_defined = about.get("ibsi_status", NOT_IBSI) != NOT_IBSI
        yield MeasuredFeature(
            str(about.get("original_name") or column),
            float(value),
            str(about.get("unit", "")),
            str(about.get("ibsi_code", "")) if as_defined else "",
            str(about.get("ibsi_name", "")) if as_defined else "",
        )
