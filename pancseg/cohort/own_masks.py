"""Give scans the masks that lie beside them: those by their names, and DICOM masks.

A DICOM mask in a patient's folder counts if its segments may be the pancreas by their names.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pancseg.cohort.case import Case
from pancseg.cohort.choosing import listed
from pancseg.cohort.patient_folder import holds_dicom
from pancseg.errors import CohortError, UnusableCase
from pancseg.scans.dicom.folder import MOST_FILES, files_in
from pancseg.scans.dicom.mask_object import mask_objects_among
from pancseg.scans.masks import named_segments
from pancseg.scans.reading import suffix_of
from pancseg.scans.segment_names import may_hold_pancreas
from pancseg.system.output_folder import STATE

log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """A patient among the entries of a folder.

    Attributes:
        path: the file or folder.
        name: the patient's id.
        image: the scan in it.
        masks: files that are its masks by their names.
    """

    path: Path
    name: str
    image: Path
    masks: list[Path]


def with_own_masks(
    entries: Sequence[Entry],
    leave_out: Collection[str],
    note: Callable[[str], None],
    *,
    show_ids: bool,
) -> list[Case]:
    """Return the cases of some patients with the masks that lie beside their scans.

    Args:
        entries: the patients.
        leave_out: real paths of folders that hold no masks, such as the output.
        note: called with the number of masks, and with those of the DICOM masks and of the volumes
            beside DICOM series that do not count.
        show_ids: whether a problem may name patients.

    Raises:
        CohortError: a scan has several such masks.
    """
    own, others, unused = [], 0, 0
    for entry in entries:
        files = _files_of(entry.path, leave_out)
        offered, more = _dicom_masks_among(files)
        own.append([*entry.masks, *(mask for mask in offered if mask not in entry.masks)])
        others += more
        unused += len(_unused_volumes(entry, files))
    names = [entry.name for entry, masks in zip(entries, own, strict=True) if len(masks) > 1]
    if names:
        raise _several(names, show_ids)
    if masks := [mask for several in own for mask in several]:
        log.debug("masks by their names: %s", [mask.name for mask in masks])
        note(
            "1 file is a mask by its name, that of the scan beside it; `verbose` names it"
            if len(masks) == 1
            else f"{len(masks)} files are masks by their names, each of the scan beside it; "
            "`verbose` names them"
        )
    if others:
        note(
            "1 DICOM mask beside a scan names no pancreas and was left out"
            if others == 1
            else f"{others} DICOM masks beside scans name no pancreas and were left out"
        )
    if unused:
        note(
            "1 volume file beside a DICOM series is not its mask by its name and was left out; "
            "`verbose` names it"
            if unused == 1
            else f"{unused} volume files beside DICOM series are not their masks by their names "
            "and were left out; `verbose` names them"
        )
    return [
        Case(entry.name, entry.image, mask=masks[0] if masks else None)
        for entry, masks in zip(entries, own, strict=True)
    ]


def _files_of(folder: Path, leave_out: Collection[str]) -> list[Path]:
    """Return the files in a patient's folder at any depth that may be masks; none of a file.

    Hidden files do not count, nor do those in the outputs of runs.
    """
    if not folder.is_dir():
        return []
    outputs: dict[Path, bool] = {}
    return [
        file
        for file in islice(files_in([folder]), MOST_FILES)
        if file
        and not file.name.startswith(".")
        and not _is_output(file.parent, folder, leave_out, outputs)
    ]


def _unused_volumes(entry: Entry, files: Sequence[Path]) -> list[Path]:
    """Return the volume files beside the DICOM series that is a patient's scan."""
    if not entry.image.is_dir():
        return []
    unused = [file for file in files if suffix_of(file) and file not in entry.masks]
    if not unused or not holds_dicom(entry.path):
        return []
    log.debug("volumes beside a DICOM series: %s", [path.name for path in unused])
    return unused


def _several(names: Sequence[str], show_ids: bool) -> CohortError:
    who = f" ({listed(names)})" if show_ids else ""
    scans = "1 scan has" if len(names) == 1 else f"{len(names)} scans have"
    return CohortError(
        [
            f"{scans} several files that are masks by their names{who}; keep one beside each "
            "scan, or write a manifest"
        ]
    )


def _dicom_masks_among(files: Sequence[Path]) -> tuple[list[Path], int]:
    """Return the DICOM masks that may be of the pancreas, and the number of all others.

    Those that cannot be read are others.
    """
    offered: list[Path] = []
    others = 0
    for mask in mask_objects_among(files):
        try:
            fits = may_hold_pancreas(named_segments(mask.file))
        except UnusableCase:
            log.debug("a DICOM mask beside a scan cannot be read", exc_info=True)
            fits = False
        offered += [mask.file] if fits else []
        others += not fits
    return offered, others


def _is_output(
    inside: Path, folder: Path, leave_out: Collection[str], known: dict[Path, bool]
) -> bool:
    """Return whether a folder below another one, or equal to it, lies in the output of a run.

    Args:
        inside: the folder.
        folder: the other one; outputs that hold it do not count.
        leave_out: real paths of folders that count as outputs.
        known: what was found out before; it is added to.
    """
    way: list[Path] = []
    while inside != folder and inside not in known:
        way.append(inside)
        inside = inside.parent
    found = known.get(inside, False)
    for each in reversed(way):
        found = found or os.path.realpath(each) in leave_out or (each / STATE).is_dir()
        known[each] = found
    return found
