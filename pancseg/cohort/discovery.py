"""Find the cases of a cohort: in a manifest, in a folder of scans, or in a single scan."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pancseg.cohort.case import Case, name_key, name_problem, stem_of
from pancseg.cohort.manifest import duplicates, is_manifest, read_manifest
from pancseg.cohort.mask_names import is_mask_in, masks_beside
from pancseg.cohort.masks import _with_masks
from pancseg.cohort.own_masks import Entry, with_own_masks
from pancseg.cohort.patient_folder import LIKE_A_SCAN, is_image, is_system, scan_in
from pancseg.errors import CohortError
from pancseg.scans.dicom.detect import (
    DICOM_SUFFIXES,
    is_dicom,
    is_of_series,
    mask_kind,
    may_hold_image,
)
from pancseg.scans.reading import READERS, suffix_of
from pancseg.system.output_folder import STATE

log = logging.getLogger(__name__)

STATE_FOLDER = STATE
"""Subfolder of every output folder; holds the results that the next run reuses."""
_OF_A_DISC = ("dicom", "images", "image", "dcm")
"""Names, in lower case, of the one folder of a patient's disc."""

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
    their rows say what is wrong. A folder that holds DICOM images itself is a single scan, and one
    whose subfolders hold series of one study is one patient. A file that is a mask by its name
    (``P1_mask.nii.gz`` beside ``P1.nii.gz``, ``mask.nii.gz`` in a patient's folder) is the mask of
    its scan unless ``masks`` is given, and no patient.

    Args:
        path: the manifest, folder or scan.
        masks: a folder of masks for the cases that name none, or one mask file for a single scan.
            Masks are named after the cases (``<id>.nii.gz``, also ``<id>.seg.nrrd``,
            ``<id>_mask.nii.gz`` and so on: :func:`pancseg.cohort.mask_names.masks_by_key`). Regions
            with a label share ``<id>.nii.gz`` unless ``<id>_<roi>.nii.gz`` exists.
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
    if masks is not None and path.is_dir() and any(case.mask for case in cases):
        cases = [replace(case, mask=None) for case in cases]
        note("masks beside the scans were left out, as `masks` is given")
    problems = duplicates(cases, _labels(cases, show_ids=pseudonymise is None))
    if masks is not None:
        aliases = pseudonymise(cases) if pseudonymise else cases
        cases, wrong = _with_masks(cases, masks, aliases, show_names=pseudonymise is None)
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
        if path.exists():
            raise CohortError(["it is a pipe, a socket or a device, not a file; save it as a file"])
        raise CohortError(["no such file or folder; check the path"])
    if is_manifest(path):
        return read_manifest(path, show_ids=show_ids, note=note)
    if suffix_of(path) or may_hold_image(path):
        stem = path.stem if path.suffix.lower() in DICOM_SUFFIXES else stem_of(path)
        return _named([Case(stem, path)], show_ids)
    kinds = ", ".join(READERS)
    problem, remedy = (
        f"neither a table nor a volume ({kinds})",
        "save a table as .xlsx or CSV UTF-8",
    )
    if is_dicom(path):
        problem, remedy = "a DICOM file without an image of a CT", "give the folder of the CT"
    raise CohortError([f"the file is {problem}; {remedy}"])


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
    entries = [p for p in entries if os.path.realpath(p) not in leave_out and not is_system(p)]
    entries = _without_outputs(entries, leave_out, note)
    scans_: list[Path] = []
    loose: list[Path] = []
    for entry in entries:
        (scans_ if entry.is_dir() or suffix_of(entry) else loose).append(entry)
    name = Path(os.path.realpath(folder)).name
    own_key = {name_key(name)}
    own = [p for p in scans_ if p.is_file() and is_mask_in(name_key(stem_of(p)), own_key)]
    patient = Entry(folder, name, folder, own)
    others = [p for p in scans_ if p not in own]
    if any(map(may_hold_image, loose)):
        if any(suffix_of(p) for p in others):
            problem = "the folder holds both DICOM files and volume files"
            raise CohortError([f"{problem}; write a manifest"])
        if any(map(_holds_scans, others)):
            problem = "the folder holds both DICOM files and subfolders with scans"
            raise CohortError([f"{problem}; move the DICOM files into a subfolder"])
        return _named(with_own_masks([patient], leave_out, note, show_ids=show_ids), show_ids)
    if _is_patients(folder, others, loose):
        _note_left_out({p for p in loose if not _is_mask(p)}, set(), note)
        return _named(with_own_masks([patient], leave_out, note, show_ids=show_ids), show_ids)
    names = {name_key(stem_of(p)) for p in scans_}
    broken = [p for p in loose if _is_broken_link(p) or LIKE_A_SCAN.search(p.name)]
    broken = [p for p in broken if name_key(_stem_of(p)) not in names]
    if not scans_ and not broken:
        if not loose:
            raise CohortError(["the folder is empty"])
        return _named(with_own_masks([patient], leave_out, note, show_ids=show_ids), show_ids)
    drawn = [p for p in loose if _is_mask(p)]
    beside = masks_beside(scans_, [*(p for p in scans_ if p.is_file()), *drawn], own_key)
    masks = {mask for several in beside.values() for mask in several}
    left = set(loose) - set(broken) - masks
    _note_left_out(left, names | {name_key(_stem_of(p)) for p in broken}, note)
    found = [(p, *scan_in(p)) for p in sorted([*scans_, *broken]) if p not in masks]
    patients = [Entry(p, _stem_of(p), image, own + beside.get(p, [])) for p, image, own in found]
    return _named(with_own_masks(patients, leave_out, note, show_ids=show_ids), show_ids)


def _is_mask(path: Path) -> bool:
    """Return whether a file is a DICOM mask; one that cannot be opened is none."""
    try:
        return mask_kind(path) is not None
    except OSError:
        return False


def _is_patients(folder: Path, scans_: list[Path], loose: list[Path]) -> bool:
    """Return whether a folder is one patient's: its subfolders hold series of one study.

    A cohort of one patient is none, unless its one folder has a name that discs give it.
    """
    if not scans_ or any(suffix_of(p) or not p.is_dir() for p in scans_):
        return False
    if any(_is_broken_link(p) or LIKE_A_SCAN.search(p.name) for p in loose):
        return False
    from pancseg.scans.dicom.study import holds_one_study  # imports pydicom

    if len(scans_) == 1 and scans_[0].name.lower() not in _OF_A_DISC:
        return False
    if not holds_one_study(folder, named=len(scans_) > 1):
        return False
    return not any(_is_volume(scan_in(p)[0], folder) for p in scans_ if p.name.lower() != "masks")


def _is_volume(path: Path, patient: Path) -> bool:
    """Return whether a path is a volume file, another patient's scan, and no mask by its name."""
    key = name_key(Path(os.path.realpath(patient)).name)
    return bool(suffix_of(path)) and not is_mask_in(name_key(stem_of(path)), {key})


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
        if any(is_image(Path(parent, name)) for name in names):
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
    like = None if path.is_dir() or stem != path.name else LIKE_A_SCAN.search(stem)
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
