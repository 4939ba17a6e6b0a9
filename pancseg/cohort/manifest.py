"""Read a manifest, a CSV of cases, or refuse it with all its problems at once."""

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
_MOST_MISSING = 1000
"""A file beyond these limits is not a manifest, or is so broken that reading on helps nobody."""


def read_manifest(path: Path, *, show_ids: bool = True) -> list[Case]:
    """Read a manifest separated by commas, semicolons or tabs; its paths are relative to itself.

    A missing image or mask is no problem of the manifest: the case's row says so later. The
    manifest is refused only if every image is missing. Then its paths are relative to another
    folder, or a disk is not mounted, and a run would replace an earlier table by rows of failures.

    Args:
        path: the CSV.
        show_ids: whether problems may quote the manifest; if not, they name lines and columns only.

    Raises:
        CohortError: lists the problems of the header and of all rows, a hundred at most.
    """
    cases: list[Case] = []
    labels: list[str] = []
    problems: list[str] = []
    missing: list[str] = []
    some_found = False
    try:
        table = read_text_table(path, "the manifest", _LARGEST_BYTES)
        problems += _header_problems(table.columns, show_ids)
        for row in table.rows():
            texts = dict(zip(table.columns, row.cells, strict=True))
            case, wrong = _case_of(texts, path.parent, show_ids)
            line = f"line {row.line}"
            where = f"{line} ({_short_id(case)})" if show_ids else line
            problems += [f"{where}: {one}" for one in (*wrong, *row.problems)]
            no_image, no_mask = _unreachable(case.image), _unreachable(case.mask)
            some_found = some_found or not no_image
            missing += [f"{where}: the image {no_image}"] if no_image else []
            missing += [f"{where}: the mask {no_mask}"] if no_mask else []
            cases.append(case)
            labels.append(repr(case.name) if show_ids else f"the case in {line}")
            all_missing = not some_found and len(missing) >= _MOST_MISSING
            if all_missing or len(problems) >= _MOST_PROBLEMS:
                some = [*problems, *missing][:_MOST_PROBLEMS]
                raise CohortError([*some, "… the rest of the manifest was not read"])
    except TableError as error:
        raise CohortError([*problems, str(error)]) from error
    if not cases and not problems:
        problems.append("the manifest has no rows; write one row per case")
    problems += duplicates(cases, labels) + _scans_of_one_name(cases, labels)
    if problems or not some_found:
        raise CohortError([*problems, *missing[:_MOST_PROBLEMS]])
    return cases


def _short_id(case: Case) -> str:
    """Return a case's patient id, shortened and escaped to fit into a message."""
    name = case.patient_id or "no id"
    return name if name.isprintable() and len(name) <= 40 else repr(name[:40])


def duplicates(cases: Sequence[Case], labels: Sequence[str]) -> list[str]:
    """Return a problem for each case that would share its row or mask file with an earlier one.

    Names that differ only in upper and lower case count as the same.

    Args:
        cases: the cohort.
        labels: the text by which a problem names each case.
    """
    seen: set[str] = set()
    problems = []
    for case, label in zip(cases, labels, strict=True):
        if case.key in seen and case.patient_id:
            problems.append(f"{label} occurs twice; give every scan a different id")
        seen.add(case.key)
    return problems


def _scans_of_one_name(cases: Sequence[Case], labels: Sequence[str]) -> list[str]:
    """Return a problem for each id that means several scans.

    Rows with the same patient and scan id must differ only in their region.
    """
    first: dict[str, tuple[Case, str]] = {}
    problems = []
    for case, label in zip(cases, labels, strict=True):
        other, its_label = first.setdefault(name_key(case.scan_name), (case, label))
        same = (other.image, other.series_uid) == (case.image, case.series_uid)
        if not same and other.key != case.key and case.patient_id:
            problems.append(
                f"{label} has another image or series_uid than {its_label}, but the same ids; "
                "give each scan of a patient a different scan_id"
            )
    return problems


def _header_problems(columns: list[str], show_ids: bool) -> list[str]:
    """Return the problems of the header.

    Without any known column it may be a patient's row, so its cells are not shown.
    """
    named = [column for column in columns if column]
    if len(named) > _MOST_COLUMNS:
        raise CohortError(
            [f"the manifest has {len(named)} columns; allowed are {', '.join(COLUMNS)}"]
        )
    problems = [f"the manifest has no column {c!r}" for c in REQUIRED if c not in named]
    show = show_ids and any(c in COLUMNS for c in named)
    problems += [
        f"the manifest has an unknown column {repr(c[:40]) if show else f'(number {number})'}; "
        f"allowed are {', '.join(COLUMNS)}"
        for number, c in enumerate(columns, start=1)
        if c and c not in COLUMNS
    ]
    twice = sorted({c for c in named if named.count(c) > 1 and c in COLUMNS})
    return problems + [f"the manifest has column {c!r} twice; remove one" for c in twice]


def _case_of(cells: dict[str, str], folder: Path, show_ids: bool) -> tuple[Case, list[str]]:
    """Return a row's case and its problems."""
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
        wrong.append(
            f"its ids have {len(case.name.encode())} bytes together "
            f"(at most {LONGEST_NAME_BYTES}); shorten them"
        )
    return case, wrong


def _unreachable(path: Path | None) -> str:
    """Return why a file or folder cannot be reached; empty if it can, or if there is no path."""
    if path is None:
        return ""
    try:
        path.stat()
    except FileNotFoundError:
        return "does not exist (paths are relative to the manifest)"
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    return ""
