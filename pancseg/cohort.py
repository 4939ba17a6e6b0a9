"""Owns the cohort: which cases there are, and one outcome for each of them whatever happens.

Knows how cases are found and run one after the other; nothing about networks or features.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from pancseg import scans
from pancseg.case import DEFAULT_ROI, Case, CohortError, name_key, stem_of
from pancseg.dicom import is_dicom
from pancseg.manifest import duplicates, read_manifest
from pancseg.unusable import UnusableCase

log = logging.getLogger(__name__)

Value = float | str
Status = Literal["pass", "warn", "fail", "error"]


class Found(NamedTuple):
    """What was found in one case.

    Attributes:
        values: columns for the table; NaN where one has no value.
        reasons: reason code → fact, for what is wrong or missing.
        status: what the reasons amount to.
    """

    values: dict[str, Value]
    reasons: Mapping[str, str] = MappingProxyType({})
    status: Literal["pass", "warn", "fail"] = "pass"


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        case: the case.
        status: pass; warn (usable, look at the reason); fail (unusable); error (a bug).
        reason: code for ``qc_reasons``, empty when the case passed.
        fact: one line on what is wrong, with numbers and the remedy.
        values: columns for the table.
    """

    case: Case
    status: Status
    reason: str = ""
    fact: str = ""
    values: dict[str, Value] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether the row has values."""
        return self.status in ("pass", "warn")


def run_cases(cases: Iterable[Case], work: Callable[[Case], Found]) -> Iterator[Outcome]:
    """Apply ``work`` to each case in order; a case that cannot be used costs only itself.

    ``UnusableCase`` becomes an outcome with status fail, values that are not numbers status warn.
    Any other exception is a bug and becomes status error, its traceback logged at debug level
    (tracebacks can name files). A full disk or missing permission on the output stops the run,
    because no later case could be kept either.
    """
    for case in cases:
        try:
            yield _judged(case, work(case))
        except UnusableCase as unusable:
            log.debug("%s: image %s, mask %s", case.name, case.image, case.mask)
            yield Outcome(case, "fail", unusable.code, unusable.fact)
        except OSError:
            raise
        except Exception as bug:  # reported as this case's error row
            log.debug("%s: %s", case.name, type(bug).__name__, exc_info=True)
            fact = f"unexpected {type(bug).__name__}; run with --verbose for the traceback"
            yield Outcome(case, "error", type(bug).__name__, fact)


def _judged(case: Case, found: Found) -> Outcome:
    values, reasons, status = found.values, dict(found.reasons), found.status
    missing = [k for k, v in values.items() if isinstance(v, float) and not math.isfinite(v)]
    if missing:
        values = {k: math.nan if k in missing else v for k, v in values.items()}
        status = "warn" if status == "pass" else status
        if not reasons:
            listed = ", ".join(missing[:3]) + ", …" * (len(missing) > 3)
            reasons = {"missing_values": f"{len(missing)} values could not be computed: {listed}"}
    return Outcome(case, status, ";".join(reasons), "; ".join(reasons.values()), values)


def read_cohort(
    path: Path, masks: Path | None = None, *, leave_out: Iterable[Path] = ()
) -> list[Case]:
    """Read a manifest CSV, a folder of scans, or a single scan.

    In a folder each volume file and each subfolder (a DICOM series) is a patient, named after it;
    a folder that holds DICOM files itself is a single scan.

    Args:
        path: the manifest, folder or scan.
        masks: a folder with masks named after the cases (``<id>.nii.gz``; for regions that have
            a label, ``<id>.nii.gz`` holds all of them unless there is ``<id>_<roi>.nii.gz``), or
            one mask file for a single scan; for cases without a mask of their own.
        leave_out: folders inside ``path`` that hold no scans, such as the output.

    Raises:
        CohortError: with all problems at once.
    """
    try:
        cases = _read(path, {p.resolve() for p in (*leave_out, *([masks] if masks else []))})
    except OSError as error:
        raise CohortError([f"it cannot be reached: {error.strerror}"]) from error
    problems = duplicates(cases)
    if masks is not None:
        cases, wrong = _with_masks(cases, masks)
        problems += wrong
    if problems:
        raise CohortError(problems)
    return cases


def _read(path: Path, leave_out: set[Path]) -> list[Case]:
    if path.is_dir():
        return _from_folder(path, leave_out)
    if not path.is_file():
        raise CohortError(["there is no such file or folder"])
    if path.suffix.lower() == ".csv":
        return read_manifest(path)
    if scans.suffix_of(path):
        return [Case(stem_of(path), path)]
    remedy = "give the folder of its series" if is_dicom(path) else "save a table as CSV UTF-8"
    raise CohortError([f"neither a CSV nor a volume file ({', '.join(scans.READERS)}); {remedy}"])


def _from_folder(folder: Path, leave_out: set[Path]) -> list[Case]:
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    entries = [p for p in entries if p.resolve() not in leave_out]
    found = [p for p in entries if p.is_dir() or scans.suffix_of(p)]
    loose = [p for p in entries if p not in found]
    has_dicom = any(is_dicom(p) for p in loose)
    if any(scans.suffix_of(p) for p in found) and has_dicom:
        raise CohortError(["DICOM files and volume files lie side by side; write a manifest"])
    if has_dicom or (loose and not found):
        return [Case(folder.resolve().name, folder)]
    if not found:
        raise CohortError(["the folder is empty"])
    return [Case(stem_of(p), _scan_in(p)) for p in found]


def _scan_in(entry: Path) -> Path:
    """Return what to read for a patient: the entry, or the only volume or folder inside it."""
    while entry.is_dir():
        inside = [p for p in entry.iterdir() if not p.name.startswith(".")]
        volumes = [p for p in inside if p.is_file() and scans.suffix_of(p)]
        folders = [p for p in inside if p.is_dir()]
        files = [p for p in inside if p.is_file()]
        if len(volumes) == 1 and len(files) == 1:
            return volumes[0]
        if files or len(folders) != 1:
            break
        entry = folders[0]
    return entry


def _with_masks(cases: list[Case], masks: Path) -> tuple[list[Case], list[str]]:
    """Give each case without a mask the one of its name; say which masks fit no case."""
    if masks.is_file():
        if (count := len({name_key(case.scan_name) for case in cases})) != 1:
            return cases, [f"one mask file for {count} scans; give a folder of masks"]
        named = [c.roi == DEFAULT_ROI or c.mask_label or len(cases) == 1 for c in cases]
        return [
            replace(case, mask=masks) if fits and not case.mask else case
            for case, fits in zip(cases, named, strict=True)
        ], []
    if not masks.is_dir():
        return cases, ["there is no such mask file or folder"]
    by_key: dict[str, Path] = {}
    problems = []
    for path in sorted(masks.iterdir()):
        if scans.suffix_of(path) and not path.name.startswith("."):
            key = name_key(stem_of(path))
            if key in by_key:
                problems.append(f"the folder has two masks for {stem_of(path)!r}")
            by_key[key] = path
    keys = [_mask_key(case, by_key) for case in cases]
    unused = sorted(stem_of(p) for k, p in by_key.items() if k not in keys)
    if unused:
        shown = ", ".join(repr(name) for name in unused[:3]) + ", …" * (len(unused) > 3)
        problems.append(
            f"{len(unused)} of {len(by_key)} masks fit no case ({shown}); "
            f"a mask is named after its case, as '{cases[0].name}.nii.gz'"
        )
    if not by_key:
        problems.append("the folder of masks holds no mask")
    return [
        case if case.mask else replace(case, mask=by_key.get(key))
        for case, key in zip(cases, keys, strict=True)
    ], problems


def _mask_key(case: Case, masks: dict[str, Path]) -> str:
    """Return the key of a case's mask: its own, or its scan's where the case names a label."""
    whole = case.mask_label and case.key not in masks
    return name_key(case.scan_name) if whole else case.key
