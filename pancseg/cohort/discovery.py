"""Find the cases of a cohort: in a manifest, in a folder of scans, or in a single scan."""

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
"""Subfolder of every output folder; holds the results that the next run reuses."""
_SYSTEM_FOLDERS = {"@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found"}
_NO_SLICES = (".csv", ".json", ".png", ".jpg", ".txt", ".pdf", ".xlsx", ".xml", ".html", ".md")
_DEEPEST = 32
"""The most nested folders, each the only content of the one above, that are opened for a scan."""

_LIKE_A_SCAN = re.compile(
    r"(\.(nii|hdr|img|nrrd|mha|mhd|dcm|mgh|mnc|tar))\.(gz|bz2|xz|zst|lz4|z|zip|7z)$"
    r"|\.(hdr|mgh|mgz|mnc|zip|7z|rar|tar|tgz|tbz2?|txz)$",
    re.IGNORECASE,
)
"""Name endings of images and archives that are not read. Each is likely a patient, so it gets a row
that says so."""

_DATA_SUFFIXES = (".img", ".raw", ".zraw")
"""Suffixes of voxel data that belong to a header file beside them."""


def read_cohort(
    path: str | os.PathLike[str],
    masks: str | os.PathLike[str] | None = None,
    *,
    leave_out: Iterable[Path] = (),
    pseudonymise: Callable[[Sequence[Case]], list[Case]] | None = None,
    note: Callable[[str], None] = log.debug,
) -> list[Case]:
    """Read a manifest CSV, a folder of scans, or a single scan.

    In a folder, each volume file and each subfolder (a DICOM series) is a patient and gives the
    patient its name. Broken links, archives and images of other formats count as patients too, and
    their rows say what is wrong. A folder that holds DICOM images itself is a single scan.

    Args:
        path: the manifest, folder or scan.
        masks: a folder of masks for the cases that name none, or one mask file for a single scan.
            Masks are named after the cases (``<id>.nii.gz``). Regions with a label share
            ``<id>.nii.gz`` unless ``<id>_<roi>.nii.gz`` exists.
        leave_out: files and folders inside ``path`` that are not scans, such as the output.
        pseudonymise: returns the cases under pseudonyms. If given, problems name no id, and masks
            may be named after ids or pseudonyms, since a run under pseudonyms writes the latter.
        note: called with one line for each kind of entry of a folder that was left out.

    Raises:
        CohortError: lists all problems at once.

    Example:
        >>> from pancseg import read_cohort
        >>> [case.patient_id for case in read_cohort("cohort.csv")]
        ['P1']
    """
    path, masks = Path(path), Path(masks) if masks is not None else None
    try:
        left_out = (*leave_out, *([masks] if masks else []))
        omitted = {os.path.realpath(p) for p in left_out}
        omitted |= {os.path.join(p, "masks") for p in omitted}  # if an output is among the scans
        cases = _read(path, omitted, note, show_ids=pseudonymise is None)
    except OSError as error:
        raise CohortError([f"the cohort cannot be read: {error.strerror}"]) from error
    problems = duplicates(cases, _labels(cases, show_ids=pseudonymise is None))
    if masks is not None:
        cases, wrong = _with_masks(cases, masks, pseudonymise(cases) if pseudonymise else cases)
        problems += wrong
    if problems:
        raise CohortError(problems)
    return cases


def _labels(cases: list[Case], *, show_ids: bool) -> list[str]:
    """Return the text by which a problem names each case."""
    return [repr(c.name) if show_ids else f"scan {n}" for n, c in enumerate(cases, start=1)]


def _read(
    path: Path, leave_out: set[str], note: Callable[[str], None], *, show_ids: bool
) -> list[Case]:
    if path.is_dir():
        return _from_folder(path, leave_out, note, show_ids)
    if not path.is_file():
        raise CohortError(["no such file or folder; check the path"])
    if path.suffix.lower() == ".csv":
        return read_manifest(path, show_ids=show_ids)
    if suffix_of(path):
        return _named([Case(stem_of(path), path)], show_ids)
    remedy = "give the folder of its series" if is_dicom(path) else "save a table as CSV UTF-8"
    kinds = ", ".join(READERS)
    raise CohortError([f"the file is neither a CSV nor a volume ({kinds}); {remedy}"])


def _named(cases: list[Case], show_ids: bool) -> list[Case]:
    """Return the cases, whose ids are names of files or folders; refuse names that cannot be ids.

    Raises:
        CohortError: lists every such name.
    """
    problems = []
    for number, case in enumerate(cases, start=1):
        if problem := name_problem(
            case.patient_id, "" if show_ids else f"the name of scan {number}"
        ):
            log.debug("%s", name_problem(case.patient_id))
            problems.append(problem)
    if problems:
        raise CohortError(problems)
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
            problem = "the folder holds both DICOM files and volume files"
            raise CohortError([f"{problem}; write a manifest"])
        if any(map(_holds_scans, scans_)):
            problem = "the folder holds both DICOM files and subfolders with scans"
            raise CohortError([f"{problem}; move the DICOM files into a subfolder"])
        return _named([Case(Path(os.path.realpath(folder)).name, folder)], show_ids)
    names = {name_key(stem_of(p)) for p in scans_}
    broken = [p for p in loose if _is_broken_link(p) or _LIKE_A_SCAN.search(p.name)]
    broken = [p for p in broken if name_key(_stem_of(p)) not in names]
    if not scans_ and not broken:
        if not loose:
            raise CohortError(["the folder is empty"])
        return _named([Case(Path(os.path.realpath(folder)).name, folder)], show_ids)
    _note_left_out(set(loose) - set(broken), names | {name_key(_stem_of(p)) for p in broken}, note)
    found = sorted([*scans_, *broken])
    return _named([Case(_stem_of(p), _scan_in(p)) for p in found], show_ids)


def _without_outputs(
    entries: list[Path], leave_out: set[str], note: Callable[[str], None]
) -> list[Path]:
    """Return the entries without pancseg's outputs: folders that hold a run's state and no scan."""
    outputs = [p for p in entries if _is_output(p) or _holds_outputs_only(p, leave_out)]
    if outputs:
        log.debug("outputs of earlier runs: %s", [p.name for p in outputs])
        what = (
            "1 folder is an earlier run's output and was left out; `verbose` names it"
            if len(outputs) == 1
            else f"{len(outputs)} folders are earlier runs' outputs and were left out; "
            "`verbose` names them"
        )
        note(what)
    if outputs and len(outputs) == len(entries):
        problem = "the folder holds nothing but outputs of earlier runs"
        raise CohortError([f"{problem}; give the folder of the scans"])
    return [p for p in entries if p not in outputs]


def _is_system(path: Path) -> bool:
    """Return whether a folder is one that operating systems and file servers create."""
    return path.name.lower() in _SYSTEM_FOLDERS and path.is_dir()


def _is_output(folder: Path) -> bool:
    """Return whether a folder is a run's output, or holds nothing but such folders."""
    if _holds_run(folder):
        return True
    try:
        inside = [p for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError:  # not a folder, or one that cannot be opened
        return False
    return bool(inside) and all(map(_holds_run, inside))


def _holds_run(folder: Path) -> bool:
    """Return whether a folder holds a run's state, and no scan."""
    return os.path.isdir(folder / STATE_FOLDER) and not _holds_scan(folder)


def _holds_outputs_only(entry: Path, leave_out: set[str]) -> bool:
    """Return whether a folder holds, at any depth, something to leave out, and no scan."""
    root = os.path.realpath(entry) + os.sep
    if not any(out.startswith(root) for out in leave_out):
        return False
    failed: list[OSError] = []
    for parent, folders, names in os.walk(entry, onerror=failed.append):
        for name in list(folders):
            inside = os.path.join(parent, name)
            if os.path.realpath(inside) in leave_out or _is_output(Path(inside)):
                folders.remove(name)
            elif os.path.islink(inside):  # os.walk does not follow it, so it may hold a scan
                return False
        if any(suffix_of(Path(name)) for name in names):
            return False
        if any(_is_image(Path(parent, name)) for name in names):
            return False
    return not failed


def _holds_scan(folder: Path) -> bool:
    """Return whether a scan is directly in a folder; True also where the folder cannot be read."""
    try:
        return any(suffix_of(p) or is_of_series(p) for p in folder.iterdir())
    except OSError:
        return True


def _note_left_out(files: set[Path], names: set[str], note: Callable[[str], None]) -> None:
    """Note the number of files that are left out; a header's voxel data belong to a scan."""
    others = [
        p for p in files if p.suffix.lower() not in _DATA_SUFFIXES or name_key(p.stem) not in names
    ]
    if others:
        log.debug("left out: %s", sorted(p.name for p in others))
        what = (
            "1 file in the folder is not a scan and was left out; `verbose` names it"
            if len(others) == 1
            else f"{len(others)} files in the folder are not scans and were left out; "
            "`verbose` names them"
        )
        note(what)


def _is_broken_link(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _stem_of(path: Path) -> str:
    """Return a name without the suffixes of its format, including formats that are not read."""
    stem = stem_of(path)
    like = None if path.is_dir() or stem != path.name else _LIKE_A_SCAN.search(stem)
    return stem[: like.start()] if like else stem


def _holds_scans(folder: Path) -> bool:
    """Return whether a folder holds, at any depth, a file that may be a patient's scan."""
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                if suffix_of(Path(name)) or may_hold_image(Path(parent, name)):
                    return True
            except OSError:
                log.debug("not readable", exc_info=True)
    return False


def _scan_in(entry: Path) -> Path:
    """Return the path to read for a patient: the entry, or the only volume or folder inside it.

    The volume may share its folder with notes, tables, a header's voxel data and folders without
    slices, but not with other images.

    A folder that cannot be opened, or links back to itself, is returned unchanged. The reader then
    says what is wrong in the patient's row.
    """
    seen: set[str] = set()
    while entry.is_dir() and len(seen) < _DEEPEST:
        if (real_path := os.path.realpath(entry)) in seen:
            break
        seen.add(real_path)
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
    """Return whether a file is an image other than a volume file, whether or not it is readable."""
    try:
        return is_of_series(file) or bool(_LIKE_A_SCAN.search(file.name))
    except OSError:
        return True


def _holds_dicom(folder: Path) -> bool:
    """Return whether a folder holds, at any depth, a slice of a CT."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not (f.startswith(".") or _is_system(Path(parent, f)))]
        for name in names:
            if (
                name.startswith(".")
                or Path(name).suffix.lower() in _NO_SLICES
                or suffix_of(Path(name))
            ):
                continue
            try:
                if is_ct_slice(Path(parent, name)):
                    return True
            except OSError:
                log.debug("not readable", exc_info=True)
    return False
