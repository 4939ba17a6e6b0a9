"""Owns the cohort: which patients there are, and one outcome for each of them whatever happens.

Knows what a case is and how a list of cases is read; knows nothing about networks or features.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pancseg import scans
from pancseg.scans import UnusableCase

log = logging.getLogger(__name__)

COLUMNS = ("patient_id", "image", "mask", "mask_label", "scan_id", "roi", "series_uid")
REQUIRED = ("patient_id", "image")
DEFAULT_ROI = "pancreas"
_NAME = re.compile(r"[^\x00-\x1f/\\:*?\"<>|]{1,120}")

Value = float | str
Status = Literal["pass", "fail", "error"]


class CohortError(ValueError):
    """The cohort cannot be run as it is written.

    Attributes:
        problems: every problem found, one line each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Case:
    """One region of one scan of one patient: one row of the table.

    Attributes:
        patient_id: as in the manifest, or the file's or folder's name.
        image: volume file or DICOM folder.
        mask: the user's own mask, if there is one.
        mask_label: which label of it; None takes the settings' label, or all that is not zero.
        scan_id: tells scans of one patient apart.
        roi: name of the region.
        series_uid: which series of a DICOM folder (a unique ending is enough).
    """

    patient_id: str
    image: Path
    mask: Path | None = None
    mask_label: int | None = None
    scan_id: str = ""
    roi: str = DEFAULT_ROI
    series_uid: str | None = None

    @property
    def name(self) -> str:
        """File-name stem of this case's mask: patient, scan and (unless default) region."""
        region = "" if self.roi == DEFAULT_ROI else self.roi
        return "_".join(part for part in (self.patient_id, self.scan_id, region) if part)


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        case: the case.
        status: pass; fail (unusable, with its reason); error (a bug, with its exception).
        reason: code for ``qc_reasons``, empty when the case passed.
        fact: one line on what is wrong, with numbers and the remedy.
        values: columns for the table.
    """

    case: Case
    status: Status
    reason: str = ""
    fact: str = ""
    values: dict[str, Value] = field(default_factory=dict)


def run_cases(cases: Iterable[Case], work: Callable[[Case], dict[str, Value]]) -> Iterator[Outcome]:
    """Apply ``work`` to each case in order; a case that cannot be used costs only itself.

    ``UnusableCase`` becomes an outcome with status fail. Any other exception is a bug and becomes
    status error, its traceback logged at debug level (tracebacks can name files). A full disk or
    missing permission on the output stops the run, because no later case could be kept either.
    """
    for case in cases:
        try:
            yield Outcome(case, "pass", values=work(case))
        except UnusableCase as unusable:
            log.debug("%s: image %s, mask %s", case.name, case.image, case.mask)
            yield Outcome(case, "fail", unusable.code, unusable.fact)
        except OSError:
            raise
        except Exception as bug:  # reported as this case's error row
            log.debug("%s: %s", case.name, type(bug).__name__, exc_info=True)
            fact = f"unexpected {type(bug).__name__}; run with --verbose for the traceback"
            yield Outcome(case, "error", type(bug).__name__, fact)


def read_cohort(path: Path, masks: Path | None = None) -> list[Case]:
    """Read a manifest CSV, a folder of scans, or a single scan.

    In a folder each volume file and each subfolder (a DICOM series) is a patient, named after it;
    a folder that holds DICOM files itself is a single scan.

    Args:
        path: the manifest, folder or scan.
        masks: a folder with masks named after the cases (``<id>.nii.gz``), or one mask file for a
            single scan; for cases without a mask of their own.

    Raises:
        CohortError: with all problems at once.
    """
    if path.is_file() and path.suffix.lower() == ".csv":
        cases = _from_manifest(path)
    elif path.is_dir():
        cases = _from_folder(path)
    elif path.is_file():
        cases = [Case(_stem(path), path)]
    else:
        raise CohortError(["there is no such file or folder"])
    if masks is not None:
        cases = _with_masks(cases, masks)
    if problems := _duplicates(cases):
        raise CohortError(problems)
    return cases


def _from_folder(folder: Path) -> list[Case]:
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    found = [p for p in entries if p.is_dir() or scans.suffix_of(p)]
    if not found and entries:
        return [Case(folder.resolve().name, folder)]  # loose files: one DICOM series
    if not found:
        raise CohortError(["the folder is empty"])
    return [Case(_stem(p), p) for p in found]


def _from_manifest(path: Path) -> list[Case]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CohortError(["the manifest is not UTF-8 text; save it as 'CSV UTF-8'"]) from error
    header = text.partition("\n")[0]
    separator = ";" if header.count(";") > header.count(",") else ","
    reader = csv.DictReader(text.splitlines(), delimiter=separator)
    columns = [c.strip() for c in reader.fieldnames or []]
    reader.fieldnames = columns
    problems = [f"the manifest has no column {c!r}" for c in REQUIRED if c not in columns]
    problems += [
        f"the manifest has an unknown column {c!r}; known are {', '.join(COLUMNS)}"
        for c in columns
        if c not in COLUMNS
    ]
    problems += [f"column {c!r} is there twice" for c in set(columns) if columns.count(c) > 1]
    if problems:
        raise CohortError(problems)
    cases = []
    for number, row in enumerate(reader, start=2):
        cells = {k: (v or "").strip() for k, v in row.items() if k is not None}
        if not any(cells.values()):
            continue
        if None in row:
            problems.append(f"row {number}: more cells than the header has columns")
            continue
        case, wrong = _case_of(cells, path.parent)
        problems += [f"row {number} ({cells['patient_id'] or 'no id'}): {w}" for w in wrong]
        cases.append(case)
    if not cases and not problems:
        problems.append("the manifest has no rows")
    problems += _duplicates(cases)
    if problems:
        raise CohortError(problems)
    return cases


def _case_of(cells: dict[str, str], folder: Path) -> tuple[Case, list[str]]:
    """Return a row's case and what is wrong with it."""
    wrong = []
    for column in ("patient_id", "scan_id", "roi"):
        text = cells.get(column, "")
        if text and (not _NAME.fullmatch(text) or text.startswith(".")):
            wrong.append(f'{column} cannot be a file name (no / \\ : * ? " < > | or leading dot)')
    paths: dict[str, Path | None] = {}
    for column in ("image", "mask"):
        text = cells.get(column, "")
        paths[column] = folder / text if text else None
        if text and not (folder / text).exists():
            wrong.append(f"the {column} does not exist (paths are relative to the manifest)")
    wrong += [f"{column} is empty" for column in REQUIRED if not cells[column]]
    label = cells.get("mask_label", "")
    if label and not (label.isdecimal() and int(label) > 0):
        wrong.append(f"mask_label {label!r} is not a whole number above 0")
        label = ""
    return (
        Case(
            patient_id=cells["patient_id"],
            image=paths["image"] or folder,
            mask=paths["mask"],
            mask_label=int(label) if label else None,
            scan_id=cells.get("scan_id", ""),
            roi=cells.get("roi", "") or DEFAULT_ROI,
            series_uid=cells.get("series_uid", "") or None,
        ),
        wrong,
    )


def _with_masks(cases: list[Case], masks: Path) -> list[Case]:
    """Give each case without a mask the one of its name, if it is there."""
    if masks.is_file():
        if len(cases) != 1:
            raise CohortError([f"one mask file for {len(cases)} scans; give a folder of masks"])
        return [_replace_mask(cases[0], masks)]
    if not masks.is_dir():
        raise CohortError(["there is no such mask file or folder"])
    by_name = {_stem(p): p for p in sorted(masks.iterdir()) if scans.suffix_of(p)}
    with_masks = [_replace_mask(c, by_name.get(c.name)) for c in cases]
    if not any(c.mask for c in with_masks):
        raise CohortError(
            [f"none of the {len(by_name)} masks is named after a case, as '{cases[0].name}.nii.gz'"]
        )
    return with_masks


def _replace_mask(case: Case, mask: Path | None) -> Case:
    if case.mask or mask is None:
        return case
    return Case(**{**case.__dict__, "mask": mask})


def _duplicates(cases: list[Case]) -> list[str]:
    """Name ids that would share a row, or a mask file (also where case does not count)."""
    seen: dict[str, Case] = {}
    problems = []
    for case in cases:
        key = case.name.casefold()
        if key in seen:
            problems.append(
                f"{case.name!r} is there twice; tell scans of one patient apart by scan_id"
            )
        seen[key] = case
    return problems


def _stem(path: Path) -> str:
    return path.name[: len(path.name) - len(scans.suffix_of(path))]
