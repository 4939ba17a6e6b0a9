"""Owns the manifest: a CSV of cases, read whole or refused with all its problems at once."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from pancseg.case import DEFAULT_ROI, Case, CohortError

COLUMNS = ("patient_id", "image", "mask", "mask_label", "scan_id", "roi", "series_uid")
REQUIRED = ("patient_id", "image")
_NAME = re.compile(r"[^.\x00-\x1f/\\:*?\"<>|][^\x00-\x1f/\\:*?\"<>|]*")
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
    problems += duplicates(cases)
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
        if text and not _NAME.fullmatch(text):
            wrong.append(f'{column} cannot be a file name (no / \\ : * ? " < > | or leading dot)')
    wrong += [f"{column} is empty" for column in REQUIRED if cells.get(column) == ""]
    paths: dict[str, Path | None] = {}
    for column in ("image", "mask"):
        text = cells.get(column, "")
        paths[column] = folder / text if text else None
        if text and (problem := _unreachable(folder / text)):
            wrong.append(f"the {column} {problem}")
    label = cells.get("mask_label", "")
    if label and not (label.isdecimal() and int(label) > 0):
        wrong.append(f"mask_label {label!r} is not a whole number above 0")
        label = ""
    case = Case(
        patient_id=cells.get("patient_id", ""),
        image=paths["image"] or folder,
        mask=paths["mask"],
        mask_label=int(label) if label else None,
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
