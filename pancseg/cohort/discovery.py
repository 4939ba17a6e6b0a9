"""Owns the cohort: which cases there are, and one outcome for each of them whatever happens.

Knows how cases are found and what becomes of one; nothing about networks or features.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pancseg.cohort.case import Case, name_key, name_problem, stem_of
from pancseg.cohort.manifest import duplicates, read_manifest
from pancseg.cohort.masks import _with_masks
from pancseg.errors import CohortError
from pancseg.scans.dicom.detect import is_ct_slice, is_dicom, is_of_series, may_hold_image
from pancseg.scans.reading import READERS, suffix_of

log = logging.getLogger(__name__)

STATE_FOLDER = ".pancseg"
"""In every output folder: what the next run need not do again."""
_SYSTEM_FOLDERS = {"@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found"}
_NO_SLICES = (".csv", ".json", ".png", ".jpg", ".txt", ".pdf", ".xlsx", ".xml", ".html", ".md")
_DEEPEST = 32
"""Folders inside each other, with nothing else in them, that are still gone into."""

_LIKE_A_SCAN = re.compile(
    r"(\.(nii|hdr|img|nrrd|mha|mhd|dcm|mgh|mnc|tar))\.(gz|bz2|xz|zst|lz4|z|zip|7z)$"
    r"|\.(hdr|mgh|mgz|mnc|zip|7z|rar|tar|tgz|tbz2?|txz)$",
    re.IGNORECASE,
)
"""Ends of names of images and archives that are not read: somebody took them for a patient."""

_BESIDE = (".img", ".raw", ".zraw")
"""What lies beside a header and belongs to it."""


def read_cohort(
    path: str | os.PathLike[str],
    masks: str | os.PathLike[str] | None = None,
    *,
    leave_out: Iterable[Path] = (),
    pseudonymise: Callable[[Sequence[Case]], list[Case]] | None = None,
    note: Callable[[str], None] = log.debug,
) -> list[Case]:
    """Read a manifest CSV, a folder of scans, or a single scan.

    In a folder each volume file and each subfolder (a DICOM series) is a patient, named after it;
    so are links that lead nowhere, archives and images of other formats, whose rows will say so. A
    folder that holds DICOM images itself is a single scan.

    Args:
        path: the manifest, folder or scan.
        masks: a folder with masks named after the cases (``<id>.nii.gz``; for regions that have
            a label, ``<id>.nii.gz`` holds all of them unless there is ``<id>_<roi>.nii.gz``), or
            one mask file for a single scan; for cases without a mask of their own.
        leave_out: files and folders inside ``path`` that are no scans, such as the output.
        pseudonymise: what the cases will be called later. Then problems name no id, and masks may
            be named after either: a run under pseudonyms names its masks so.
        note: called with a line about what in a folder was left out, if anything was.

    Raises:
        CohortError: with all problems at once.

    Example:
        >>> from pancseg import read_cohort
        >>> [case.patient_id for case in read_cohort("cohort.csv")]
        ['P1']
    """
    path, masks = Path(path), Path(masks) if masks is not None else None
    try:
        left_out = (*leave_out, *([masks] if masks else []))
        omitted = {os.path.realpath(p) for p in left_out}
        omitted |= {os.path.join(p, "masks") for p in omitted}  # of an output among the scans
        cases = _read(path, omitted, note, show_ids=pseudonymise is None)
    except OSError as error:
        raise CohortError([f"it cannot be reached: {error.strerror}"]) from error
    problems = duplicates(cases, _labels(cases, show_ids=pseudonymise is None))
    if masks is not None:
        cases, wrong = _with_masks(cases, masks, pseudonymise(cases) if pseudonymise else cases)
        problems += wrong
    if problems:
        raise CohortError(problems)
    return cases


def _labels(cases: list[Case], *, show_ids: bool) -> list[str]:
    """Return what problems call the cases."""
    return [repr(c.name) if show_ids else f"scan {n}" for n, c in enumerate(cases, start=1)]


def _read(
    path: Path, leave_out: set[str], note: Callable[[str], None], *, show_ids: bool
) -> list[Case]:
    if path.is_dir():
        return _from_folder(path, leave_out, note, show_ids)
    if not path.is_file():
        raise CohortError(["there is no such file or folder"])
    if path.suffix.lower() == ".csv":
        return read_manifest(path, show_ids=show_ids)
    if suffix_of(path):
        return _named([Case(stem_of(path), path)], show_ids)
    remedy = "give the folder of its series" if is_dicom(path) else "save a table as CSV UTF-8"
    raise CohortError([f"neither a CSV nor a volume file ({', '.join(READERS)}); {remedy}"])


def _named(cases: list[Case], show_ids: bool) -> list[Case]:
    """Return cases that are named after files or folders, if they can be."""
    found = []
    for number, case in enumerate(cases, start=1):
        if problem := name_problem(
            case.patient_id, "" if show_ids else f"the name of scan {number}"
        ):
            log.debug("%s", name_problem(case.patient_id))
            found.append(problem)
    if found:
        raise CohortError(found)
    return cases


def _from_folder(
    folder: Path, leave_out: set[str], note: Callable[[str], None], show_ids: bool
) -> list[Case]:
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    entries = [p for p in entries if os.path.realpath(p) not in leave_out and not _is_system(p)]
    entries = _without_outputs(entries, leave_out, note)
    scans_: list[Path] = []
    loose: list[Path] = []
    for entry in entries:
        (scans_ if entry.is_dir() or suffix_of(entry) else loose).append(entry)
    if any(map(may_hold_image, loose)):
        if any(suffix_of(p) for p in scans_):
            raise CohortError(["DICOM files and volume files lie side by side; write a manifest"])
        if any(map(_holds_scans, scans_)):
            problem = "DICOM files lie beside folders that hold scans"
            raise CohortError([f"{problem}; move them into a folder of their own"])
        return _named([Case(Path(os.path.realpath(folder)).name, folder)], show_ids)
    names = {name_key(stem_of(p)) for p in scans_}
    broken = [p for p in loose if _leads_nowhere(p) or _LIKE_A_SCAN.search(p.name)]
    broken = [p for p in broken if name_key(_stem_of(p)) not in names]
    if not scans_ and not broken:
        if not loose:
            raise CohortError(["the folder is empty"])
        return _named([Case(Path(os.path.realpath(folder)).name, folder)], show_ids)
    _tell_left_out(set(loose) - set(broken), names | {name_key(_stem_of(p)) for p in broken}, note)
    found = sorted([*scans_, *broken])
    return _named([Case(_stem_of(p), _scan_in(p)) for p in found], show_ids)


def _without_outputs(
    entries: list[Path], leave_out: set[str], note: Callable[[str], None]
) -> list[Path]:
    """Leave out what pancseg has written: folders with a run's state, but no scan, in them."""
    outputs = [p for p in entries if _is_output(p) or _holds_outputs_only(p, leave_out)]
    if outputs:
        log.debug("outputs of earlier runs: %s", [p.name for p in outputs])
        what = (
            "folder is an earlier run's output and was"
            if len(outputs) == 1
            else "folders are earlier runs' outputs and were"
        )
        note(f"{len(outputs)} {what} left out; `verbose` names what")
    if outputs and len(outputs) == len(entries):
        raise CohortError(["the folder holds nothing but outputs of earlier runs"])
    return [p for p in entries if p not in outputs]


def _is_system(path: Path) -> bool:
    """Whether a folder is one that systems and shares put beside everything."""
    return path.name.lower() in _SYSTEM_FOLDERS and path.is_dir()


def _is_output(folder: Path) -> bool:
    """Whether a run's output lies in a folder, or in each folder of one that holds nothing else."""
    if _holds_run(folder):
        return True
    try:
        inside = [p for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError:  # not a folder, or not to be looked into
        return False
    return bool(inside) and all(map(_holds_run, inside))


def _holds_run(folder: Path) -> bool:
    """Whether a run's state lies in a folder, and no scan."""
    return os.path.isdir(folder / STATE_FOLDER) and not _holds_scan(folder)


def _holds_outputs_only(entry: Path, leave_out: set[str]) -> bool:
    """Whether there is something to leave out somewhere in a folder, and no scan beside it."""
    root = os.path.realpath(entry) + os.sep
    if not any(out.startswith(root) for out in leave_out):
        return False
    failed: list[OSError] = []
    for place, folders, names in os.walk(entry, onerror=failed.append):
        for name in list(folders):
            inside = os.path.join(place, name)
            if os.path.realpath(inside) in leave_out or _is_output(Path(inside)):
                folders.remove(name)
            elif os.path.islink(inside):  # not gone into
                return False
        if any(suffix_of(Path(name)) for name in names):
            return False
        if any(_is_image(Path(place, name)) for name in names):
            return False
    return not failed


def _holds_scan(folder: Path) -> bool:
    """Whether a scan lies in a folder itself, or nobody can say."""
    try:
        return any(suffix_of(p) or is_of_series(p) for p in folder.iterdir())
    except OSError:
        return True


def _tell_left_out(files: set[Path], names: set[str], note: Callable[[str], None]) -> None:
    """Say how many files of a folder are no patients; a header's data are part of one."""
    others = [p for p in files if p.suffix.lower() not in _BESIDE or name_key(p.stem) not in names]
    if others:
        log.debug("left out: %s", sorted(p.name for p in others))
        what = (
            "file in the folder is no scan and was"
            if len(others) == 1
            else ("files in the folder are no scans and were")
        )
        note(f"{len(others)} {what} left out; `verbose` names what")


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _stem_of(path: Path) -> str:
    """Return a name without what tells the format, also of formats that are not read."""
    stem = stem_of(path)
    like = None if path.is_dir() or stem != path.name else _LIKE_A_SCAN.search(stem)
    return stem[: like.start()] if like else stem


def _holds_scans(folder: Path) -> bool:
    """Whether somewhere in a folder lies what could be a patient's scan."""
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                if suffix_of(Path(name)) or may_hold_image(Path(place, name)):
                    return True
            except OSError:  # nobody can say
                log.debug("not looked into", exc_info=True)
    return False


def _scan_in(entry: Path) -> Path:
    """Return what to read for a patient: the entry, or the only volume or folder inside it.

    Notes, tables, a header's data and folders without slices may lie beside the volume, other
    images may not.

    A folder that cannot be looked into, or leads back to itself, is left to the reader, which
    says so in the patient's row.
    """
    seen: set[str] = set()
    while entry.is_dir() and len(seen) < _DEEPEST:
        if (place := os.path.realpath(entry)) in seen:
            break
        seen.add(place)
        try:
            inside = [p for p in entry.iterdir() if not (p.name.startswith(".") or _is_system(p))]
        except OSError:
            break
        volumes = [p for p in inside if p.is_file() and suffix_of(p)]
        folders = [p for p in inside if p.is_dir() and p.name.lower() != "masks"]
        files = [p for p in inside if p.is_file()]
        if len(volumes) == 1 and not any(_is_image(p) for p in files if p not in volumes):
            return entry if any(map(_holds_dicom, folders)) else volumes[0]
        if len(folders) != 1 or volumes or any(map(_is_image, files)):
            break
        entry = folders[0]
    return entry


def _is_image(file: Path) -> bool:
    """Whether a file is an image, read or not, that is no volume file."""
    try:
        return is_of_series(file) or bool(_LIKE_A_SCAN.search(file.name))
    except OSError:
        return True


def _holds_dicom(folder: Path) -> bool:
    """Whether somewhere in a folder lies a slice of a CT."""
    for place, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not (f.startswith(".") or _is_system(Path(place, f)))]
        for name in names:
            if (
                name.startswith(".")
                or Path(name).suffix.lower() in _NO_SLICES
                or suffix_of(Path(name))
            ):
                continue
            try:
                if is_ct_slice(Path(place, name)):
                    return True
            except OSError:
                log.debug("not looked into", exc_info=True)
    return False
