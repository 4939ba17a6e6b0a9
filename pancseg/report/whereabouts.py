"""Find the scan and the given mask of each row: as the run noted them, or in the cohort again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pancseg.cohort.case import DEFAULT_ROI, Case, name_key
from pancseg.cohort.pseudonyms import MARK
from pancseg.cohort.roi import Roi, as_roi
from pancseg.report.rows import ReportRow
from pancseg.system.json_file import read_json
from pancseg.system.output_folder import STATE

SCANS = "scans.json"
_LARGEST_BYTES = 1 << 27


@dataclass(frozen=True)
class Whereabouts:
    """Where the scans and the given masks of an output folder's rows are.

    Attributes:
        cases: key of a row → its case.
        advice: one line about what is missing and what to give; empty if nothing is.
    """

    cases: Mapping[str, Case]
    advice: str = ""

    def of(self, row: ReportRow) -> Case | None:
        """Return the case of a row; None if it is not known where its scan is."""
        return self.cases.get(key_of(row))


def key_of(row: ReportRow) -> str:
    """Return the key of a row, as that of its case."""
    return Case(row.patient_id, Path(), scan_id=row.scan_id, roi=row.roi).key


def noted(folder: Path, rows: Sequence[ReportRow]) -> Whereabouts:
    """Return where a run has noted that the scans are.

    Args:
        folder: the output folder.
        rows: of its table.
    """
    try:
        content = read_json(folder / STATE / SCANS, _LARGEST_BYTES)
        cases = [_case(record) for record in content.values()]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        hidden = (folder / MARK).exists()
        why = "its ids are pseudonyms" if hidden else "an earlier version wrote it"
        give = "`scans` and `pseudonymise`" if hidden else "`scans`"
        return Whereabouts(
            {},
            f"the output folder does not say where the scans are, as {why}; to see slices and "
            f"correct masks, give {give}",
        )
    found = {case.key: case for case in cases}
    wanted = [found.get(key_of(row)) for row in rows]
    gone = {case.scan_name for case in wanted if case and not os.path.exists(case.image)}
    unknown = sum(case is None for case in wanted)
    if not (gone or unknown):
        return Whereabouts(found)
    count, of = len(gone) + unknown, len({case.scan_name for case in wanted if case}) + unknown
    what = f"{count} of {of} scans" if of > 1 else "the scan"
    says = "{} {} not where the run looked for {}; to see {} slices, give `scans`"
    if count == 1:
        return Whereabouts(found, says.format(what, "is", "it", "its"))
    return Whereabouts(found, says.format(what, "are", "them", "their"))


def in_cohort(
    cases: Sequence[Case], rows: Sequence[ReportRow], provenance: Mapping[str, Any]
) -> Whereabouts:
    """Return where a cohort has the scans of the rows.

    Args:
        cases: the cohort that the table was made of.
        rows: of the table.
        provenance: of the table; it names the labels of the regions.

    Raises:
        ValueError: no row is of a scan in the cohort.
    """
    own = {case.key: case for case in cases}
    by_scan = {name_key(case.scan_name): case for case in cases}
    found: dict[str, Case] = {}
    for row in rows:
        key = key_of(row)
        if case := own.get(key):
            found[key] = _with_label(case, row, provenance)
        elif case := by_scan.get(name_key(row.scan_name)):
            found[key] = _with_label(replace(case, roi=row.roi, mask_label=None), row, provenance)
    if rows and not found:
        raise ValueError(
            f"none of the table's {len(rows)} rows is of a scan in this cohort; give the cohort "
            "that the table was made of"
        )
    lacking = len(rows) - len(found)
    advice = f"{lacking} of {len(rows)} rows are of scans that are not in this cohort"
    return Whereabouts(found, advice if lacking else "")


def _with_label(case: Case, row: ReportRow, provenance: Mapping[str, Any]) -> Case:
    """Return a case with the region that the run was asked for, if the cohort does not name it."""
    if case.mask_label is not None:
        return case
    return replace(case, mask_label=_label_of(row, provenance))


def _label_of(row: ReportRow, provenance: Mapping[str, Any]) -> Roi | None:
    regions = provenance.get("regions")
    given = regions.get(row.roi) if isinstance(regions, Mapping) else None
    texts = given if isinstance(given, list) and len(given) == 1 else [row.label]
    if texts == [""] or (row.roi == DEFAULT_ROI and row.label in ("1+2", "")):
        return None
    return _parsed(str(texts[0]))


def _parsed(text: str) -> Roi | None:
    try:
        return as_roi(text)
    except ValueError:
        return None


def _case(record: Mapping[str, Any]) -> Case:
    label = record["mask_label"]
    return Case(
        str(record["patient_id"]),
        Path(record["image"]),
        Path(record["mask"]) if record["mask"] else None,
        as_roi(str(label)) if label else None,
        scan_id=str(record["scan_id"]),
        roi=str(record["roi"]),
        series_uid=record["series_uid"],
    )
