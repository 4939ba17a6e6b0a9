"""Owns the manifest: a CSV of cases, read whole or refused with all its problems at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pancseg.cohort.case import DEFAULT_ROI, LONGEST_NAME_BYTES, NO_NAME, Case, is_name, name_key
from pancseg.cohort.roi import parse_roi
from pancseg.errors import CohortError, TableError
from pancseg.system.text_table import read_text_table

COLUMNS = ("patient_id", "image", "mask", "mask_label", "scan_id", "roi", "series_uid")
REQUIRED = ("patient_id", "image")
_LARGEST_BYTES = 1 << 25
_MOST_COLUMNS = 100
_MOST_PROBLEMS = 100
_MOST_LOST = 1000
"""A manifest beyond these is another file, or one that has to be repaired anyway."""


def read_manifest(path: Path, *, show_ids: bool = True) -> list[Case]:
    """Read a manifest separated by commas, semicolons or tabs; its paths are relative to itself.

    An image or a mask that is not there is left to the reader, which says so in the case's row.
    Only if no image is there the manifest is refused: its paths mean another place, or a disk is
    away, and rows would take the place of an earlier table's.

    Args:
        path: the CSV.
        show_ids: whether problems may say what is written in it, or lines and columns only.

    Raises:
        CohortError: with every problem of the header and of all rows, a hundred at most.
    """
    cases: list[Case] = []
    labels: list[str] = []
    problems: list[str] = []
    lost: list[str] = []
    some_there = False
    try:
        table = read_text_table(path, "the manifest", _LARGEST_BYTES)
        problems += _header_problems(table.columns, show_ids)
        for row in table.rows():
            texts = dict(zip(table.columns, row.cells, strict=True))
            case, wrong = _case_of(texts, path.parent, show_ids)
            line = f"line {row.line}"
            who = f"{line} ({_who(case)})" if show_ids else line
            problems += [f"{who}: {one}" for one in (*wrong, *row.problems)]
            away = _unreachable(case.image)
            some_there = some_there or not away
            lost += [f"{who}: the image {away}"] if away else []
            lost += [f"{who}: the mask {away}"] if (away := _unreachable(case.mask)) else []
            cases.append(case)
            labels.append(repr(case.name) if show_ids else f"the case of {line}")
            if len(problems) >= _MOST_PROBLEMS or (not some_there and len(lost) >= _MOST_LOST):
                some = [*problems, *lost][:_MOST_PROBLEMS]
                raise CohortError([*some, "… the lines after it were not read"])
    except TableError as error:
        raise CohortError([*problems, str(error)]) from error
    if not cases and not problems:
        problems.append("the manifest has no rows")
    problems += duplicates(cases, labels) + _scans_of_one_name(cases, labels)
    if problems or not some_there:
        raise CohortError([*problems, *lost[:_MOST_PROBLEMS]])
    return cases


def _who(case: Case) -> str:
    """Return a case's id as one line can show it."""
    name = case.patient_id or "no id"
    return name if name.isprintable() and len(name) <= 40 else repr(name[:40])


def duplicates(cases: Sequence[Case], labels: Sequence[str]) -> list[str]:
    """Name cases that would share a row or a mask file (upper and lower case alike).

    Args:
        cases: the cohort.
        labels: what each of them is called.
    """
    seen: set[str] = set()
    problems = []
    for case, label in zip(cases, labels, strict=True):
        if case.key in seen and case.patient_id:
            problems.append(f"{label} is there twice; every scan needs an id of its own")
        seen.add(case.key)
    return problems


def _scans_of_one_name(cases: Sequence[Case], labels: Sequence[str]) -> list[str]:
    """Name ids that stand for several scans: rows of one scan differ in their region only."""
    first: dict[str, tuple[Case, str]] = {}
    problems = []
    for case, label in zip(cases, labels, strict=True):
        other, its_label = first.setdefault(name_key(case.scan_name), (case, label))
        same = (other.image, other.series_uid) == (case.image, case.series_uid)
        if not same and other.key != case.key and case.patient_id:
            problems.append(
                f"{label} has another image or series_uid than {its_label}; "
                "give each scan of a patient a scan_id of its own"
            )
    return problems


def _header_problems(columns: list[str], show_ids: bool) -> list[str]:
    """Say what is wrong with the first line; where it has no known column, it may be a patient."""
    named = [column for column in columns if column]
    if len(named) > _MOST_COLUMNS:
        raise CohortError(
            [f"the manifest has {len(named)} columns; known are {', '.join(COLUMNS)}"]
        )
    problems = [f"the manifest has no column {c!r}" for c in REQUIRED if c not in named]
    show = show_ids and any(c in COLUMNS for c in named)
    problems += [
        f"the manifest has an unknown column {repr(c[:40]) if show else f'(number {number})'}; "
        f"known are {', '.join(COLUMNS)}"
        for number, c in enumerate(columns, start=1)
        if c and c not in COLUMNS
    ]
    twice = sorted({c for c in named if named.count(c) > 1 and c in COLUMNS})
    return problems + [f"the manifest has column {c!r} twice" for c in twice]


def _case_of(cells: dict[str, str], folder: Path, show_ids: bool) -> tuple[Case, list[str]]:
    """Return a row's case and what is wrong with it."""
    wrong = []
    for column in ("patient_id", "scan_id", "roi"):
        text = cells.get(column, "")
        if text and not is_name(text):
            wrong.append(f"{column} {NO_NAME}")
    wrong += [f"{column} is empty" for column in REQUIRED if cells.get(column) == ""]
    paths: dict[str, Path | None] = {}
    for column in ("image", "mask"):
        text = cells.get(column, "")
        paths[column] = folder / text if text else None
    label = None
    try:
        label = parse_roi(text) if (text := cells.get("mask_label", "")) else None
    except ValueError as error:
        wrong.append(f"mask_label {error}" if show_ids else "mask_label is not an expression")
    case = Case(
        patient_id=cells.get("patient_id", ""),
        image=paths["image"] or folder,
        mask=paths["mask"],
        mask_label=label,
        scan_id=cells.get("scan_id", ""),
        roi=cells.get("roi", "") or DEFAULT_ROI,
        series_uid=cells.get("series_uid", "") or None,
    )
    if len(case.name.encode()) > LONGEST_NAME_BYTES:
        wrong.append(f"its ids are longer than {LONGEST_NAME_BYTES} bytes together")
    return case, wrong


def _unreachable(path: Path | None) -> str:
    """Say why a file or folder cannot be reached, or nothing."""
    if path is None:
        return ""
    try:
        path.stat()
    except FileNotFoundError:
        return "does not exist (paths are relative to the manifest)"
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    return ""
