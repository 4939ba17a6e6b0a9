"""Owns the manifest: a CSV of cases, read whole or refused with all its problems at once."""

from __future__ import annotations

import csv
from pathlib import Path

from pancseg.case import DEFAULT_ROI, Case, CohortError, is_name, name_key
from pancseg.roi import parse_roi

COLUMNS = ("patient_id", "image", "mask", "mask_label", "scan_id", "roi", "series_uid")
REQUIRED = ("patient_id", "image")
_LONGEST_NAME_BYTES = 200


def read_manifest(path: Path) -> list[Case]:
    """Read a comma- or semicolon-separated manifest; its paths are relative to itself.

    Raises:
        CohortError: with every problem of the header and of all rows.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CohortError(["the manifest is not UTF-8 text; save it as 'CSV UTF-8'"]) from error
    except OSError as error:
        raise CohortError([f"the manifest cannot be read: {error.strerror}"]) from error
    header = text.partition("\n")[0]
    separator = ";" if header.count(";") > header.count(",") else ","
    rows = csv.reader(text.splitlines(), delimiter=separator)
    columns = [cell.strip() for cell in next(rows, [])]
    problems = _header_problems(columns)
    cases = []
    for cells in rows:
        texts = dict(zip(columns, (c.strip() for c in cells), strict=False))
        if not any(cell.strip() for cell in cells):
            continue
        case, wrong = _case_of(texts, path.parent)
        if any(cell.strip() for cell in cells[len(columns) :]):
            wrong.append("more cells than the header has columns")
        who = case.patient_id or "no id"
        problems += [f"line {rows.line_num} ({who}): {w}" for w in wrong]
        cases.append(case)
    if not cases and not problems:
        problems.append("the manifest has no rows")
    problems += duplicates(cases) + _scans_of_one_name(cases)
    if problems:
        raise CohortError(problems)
    return cases


def duplicates(cases: list[Case]) -> list[str]:
    """Name ids that would share a row or a mask file (upper and lower case alike)."""
    seen: set[str] = set()
    problems = []
    for case in cases:
        if case.key in seen and case.patient_id:
            problems.append(f"{case.name!r} is there twice; every scan needs an id of its own")
        seen.add(case.key)
    return problems


def _scans_of_one_name(cases: list[Case]) -> list[str]:
    """Name ids that stand for several scans: rows of one scan differ in their region only."""
    first: dict[str, Case] = {}
    problems = []
    for case in cases:
        other = first.setdefault(name_key(case.scan_name), case)
        same = (other.image, other.series_uid) == (case.image, case.series_uid)
        if not same and other.key != case.key and case.patient_id:
            problems.append(
                f"{case.name!r} has another image or series_uid than {other.name!r}; "
                "give each scan of a patient a scan_id of its own"
            )
    return problems


def _header_problems(columns: list[str]) -> list[str]:
    named = [column for column in columns if column]
    problems = [f"the manifest has no column {c!r}" for c in REQUIRED if c not in named]
    problems += [
        f"the manifest has an unknown column {c!r}; known are {', '.join(COLUMNS)}"
        for c in named
        if c not in COLUMNS
    ]
    twice = sorted({c for c in named if named.count(c) > 1})
    return problems + [f"the manifest has column {c!r} twice" for c in twice]


def _case_of(cells: dict[str, str], folder: Path) -> tuple[Case, list[str]]:
    """Return a row's case and what is wrong with it."""
    wrong = []
    for column in ("patient_id", "scan_id", "roi"):
        text = cells.get(column, "")
        if text and not is_name(text):
            wrong.append(f'{column} cannot be a file name (no / \\ : * ? " < > | or leading dot)')
    wrong += [f"{column} is empty" for column in REQUIRED if cells.get(column) == ""]
    paths: dict[str, Path | None] = {}
    for column in ("image", "mask"):
        text = cells.get(column, "")
        paths[column] = folder / text if text else None
        if text and (problem := _unreachable(folder / text)):
            wrong.append(f"the {column} {problem}")
    label = None
    try:
        label = parse_roi(text) if (text := cells.get("mask_label", "")) else None
    except ValueError as error:
        wrong.append(f"mask_label {error}")
    case = Case(
        patient_id=cells.get("patient_id", ""),
        image=paths["image"] or folder,
        mask=paths["mask"],
        mask_label=label,
        scan_id=cells.get("scan_id", ""),
        roi=cells.get("roi", "") or DEFAULT_ROI,
        series_uid=cells.get("series_uid", "") or None,
    )
    if len(case.name.encode()) > _LONGEST_NAME_BYTES:
        wrong.append(f"its ids are longer than {_LONGEST_NAME_BYTES} bytes together")
    return case, wrong


def _unreachable(path: Path) -> str:
    """Say why a file or folder cannot be reached, or nothing."""
    try:
        path.stat()
    except FileNotFoundError:
        return "does not exist (paths are relative to the manifest)"
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    return ""
