"""Read a manifest, a table of cases, or refuse it with all its problems at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pancseg.cohort.case import Case, name_key
from pancseg.cohort.choosing import listed
from pancseg.cohort.manifest_header import Header, names_images, read_header
from pancseg.cohort.manifest_row import case_of, ids_of_images, is_used, unreachable
from pancseg.errors import CohortError, TableError
from pancseg.system.text_table import TextRow, TextTable, read_text_table
from pancseg.system.workbook import WorkbookTable, read_workbook

log = logging.getLogger(__name__)

WORKBOOKS = (".xlsx", ".xlsm")
SUFFIXES = (".csv", ".tsv", *WORKBOOKS)
"""Name endings of files that are read as manifests."""
_LARGEST_BYTES = 1 << 25
_MOST_PROBLEMS = 100
_MOST_MISSING = 1000
"""A file beyond these limits is not a manifest, or is so broken that reading on helps nobody."""


def is_manifest(path: Path) -> bool:
    """Return whether a path is that of a manifest, by its name."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def read_manifest(
    path: Path, *, show_ids: bool = True, note: Callable[[str], None] = log.debug
) -> list[Case]:
    """Read a manifest, text or a workbook; its paths are relative to itself.

    With a column ``use``, only the rows in which it says yes are cases.

    A missing image or mask is no problem of the manifest: the case's row says so later. The
    manifest is refused only if every image is missing. Then its paths are relative to another
    folder, or a disk is not mounted, and a run would replace an earlier table by rows of failures.

    Args:
        path: the table.
        show_ids: whether problems may quote the manifest; if not, they name lines and columns only.
        note: called with one line on ids that are names of images, and one on further columns.

    Raises:
        CohortError: lists the problems of the header and of all rows, a hundred at most.
    """
    cases: list[Case] = []
    labels: list[str] = []
    problems: list[str] = []
    missing: list[str] = []
    some_found, unused = False, 0
    try:
        table = _opened(path)
        header = read_header(table.columns, show_ids=show_ids)
        problems += header.problems
        for row, texts in _rows(table, header):
            if not is_used(texts):
                unused += 1
                continue
            case, wrong = case_of(texts, header.more(row.cells), path.parent, show_ids=show_ids)
            line = f"line {row.line}"
            where = f"{line} ({_short_id(case)})" if show_ids else line
            problems += [f"{where}: {one}" for one in (*wrong, *row.problems)]
            no_image, no_mask = unreachable(case.image), unreachable(case.mask)
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
        no_rows = "the manifest has no rows; write one row per case"
        no_use = f"none of the {unused} rows has yes in the column use; write it into one"
        problems.append(no_use if unused else no_rows)
    problems += duplicates(cases, labels) + scans_of_one_name(cases, labels)
    if problems or not some_found:
        raise CohortError([*problems, *missing[:_MOST_PROBLEMS]])
    if "patient_id" not in header.known:
        note("the manifest has no column patient_id: the names of the images are the ids")
    if header.carried and show_ids:
        note(f"columns of the manifest go into the table as they are: {listed(header.carried)}")
    elif header.extra:
        note(
            "columns of the manifest that are not known are left out of the table, as they may "
            f"name patients: {len(header.extra)}; join them with the id map"
        )
    return cases


def _opened(path: Path) -> TextTable | WorkbookTable:
    """Open the table by its name; of a workbook's sheets, the one that names images."""
    if path.suffix.lower() in WORKBOOKS:
        return read_workbook(path, "the manifest", _LARGEST_BYTES, names_images)
    return read_text_table(path, "the manifest", _LARGEST_BYTES)


def _rows(
    table: TextTable | WorkbookTable, header: Header
) -> Iterator[tuple[TextRow, dict[str, str]]]:
    """Yield the rows with the cells of their known columns; ids may come from all images."""
    if "image" not in header.known:
        return
    if "patient_id" in header.known:
        yield from ((row, header.cells(row.cells)) for row in table.rows())
        return
    rows = [(row, header.cells(row.cells)) for row in table.rows()]
    ids = ids_of_images([texts["image"] for _, texts in rows])
    for (row, texts), own in zip(rows, ids, strict=True):
        yield row, texts | {"patient_id": own}


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


def scans_of_one_name(cases: Sequence[Case], labels: Sequence[str]) -> list[str]:
    """Return a problem for each id that means several scans.

    Rows with the same patient and scan id must differ only in their region.

    Args:
        cases: the cohort.
        labels: the text by which a problem names each case.
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
