"""List the DICOM series below a folder as a manifest, with the one to measure preselected."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from itertools import count, groupby
from pathlib import Path
from typing import NamedTuple

from pancseg.cohort.case import name_key, name_problem
from pancseg.cohort.formulas import is_formula
from pancseg.cohort.manifest_header import DESCRIBING
from pancseg.scans.dicom.candidates import choose
from pancseg.scans.dicom.located import inventory
from pancseg.scans.dicom.parts import PART, split_uid
from pancseg.scans.dicom.series_facts import SeriesFacts
from pancseg.scans.dicom.study import series_below
from pancseg.system.whole_files import write_whole
from pancseg.tables.fields import Value
from pancseg.tables.format import TableFormat
from pancseg.tables.rows_to_file import write_csv

_COLUMNS = ("use", "patient_id", "scan_id", "image", "series_uid", *DESCRIBING)
_SHORTEST_UID, _FEWEST_DOTS = 8, 3
"""A spreadsheet program takes a text with fewer dots for a number or a date, and changes it."""


class ListedSeries(NamedTuple):
    """One line of the list.

    Attributes:
        patient_id: name of the patient's folder, or a number where it cannot be an id.
        study, series: numbers within the patient, and within the study.
        facts: what is known about the series.
        against: why it is not preselected; empty if it is.
        chosen: whether it is the only one of its study that fits, and is preselected.
    """

    patient_id: str
    study: int
    series: int
    facts: SeriesFacts
    against: str
    chosen: bool


def list_series(folder: Path) -> list[ListedSeries]:
    """Return all DICOM series below a folder, patient by patient and study by study.

    A patient is a subfolder, or the folder itself if all of it is one study or lies in it directly,
    as for :func:`pancseg.read_cohort`. Series of several patients in one such folder are told apart
    by their PatientID, which is not shown; series without one are a patient of their own, unless
    they are of a study of which others have one.

    Args:
        folder: the folder; DICOM files may lie at any depth in it, with or without a DICOMDIR.

    Raises:
        ValueError: there is no folder, or no series of a CT; the message lists what there is.
        OSError: the folder cannot be reached.

    Example:
        >>> lines = list_series(Path("export"))  # doctest: +SKIP
        >>> [line.facts.phase for line in lines if line.chosen]  # doctest: +SKIP
        ['portal_venous']
    """
    if not folder.is_dir():
        raise ValueError("there is no such folder; give the folder of DICOM files")
    series = series_below(folder)
    if not any(each.first.modality == "CT" for each in series):
        holds = inventory(series) or "no DICOM series at all"
        raise ValueError(f"no CT series below the folder (it holds {holds}); give that of the CT")
    return [line for name, found in _patients(folder, series) for line in _lines(name, found)]


def write_series(path: Path, lines: Iterable[ListedSeries]) -> None:
    """Write a list of series as a manifest that runs as it is.

    Args:
        path: path of the CSV, which must not exist; images are named relative to its folder if they
            are below it.
        lines: what :func:`list_series` returned.

    Raises:
        ValueError: as :func:`check_new_manifest`.
        OSError: it cannot be written.
    """
    check_new_manifest(path)
    lines = list(lines)
    uids = [line.facts.uid for line in lines]
    content = io.BytesIO()
    cells = ([row.get(name) for name in _COLUMNS] for row in (_row(x, path, uids) for x in lines))
    write_csv(content, _COLUMNS, cells, TableFormat())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole({path: content.getvalue()})


def check_new_manifest(path: Path) -> None:
    """Refuse a path under which :func:`write_series` cannot write a manifest.

    Raises:
        ValueError: its name does not end in ``.csv``, or the file exists.
    """
    if path.suffix.lower() != ".csv":
        raise ValueError("`out` is written as CSV; choose a name that ends in .csv")
    if path.exists():
        raise ValueError("`out` exists, and somebody may have edited it; choose another name")


def _patients(folder: Path, series: Sequence[SeriesFacts]) -> list[tuple[str, list[SeriesFacts]]]:
    """Return the series of each patient, by a name that can be an id."""
    known = {each.first.patient for each in series if each.first.patient}
    studies = {each.first.study_uid for each in series if each.first.modality == "CT"}
    one = len(known) < 2 and len(studies) == 1 and studies != {""}
    places: dict[str, list[SeriesFacts]] = {}
    for each in series:
        inside = each.first.file.parent.relative_to(folder).parts
        name = Path(os.path.realpath(folder)).name if one or not inside else inside[0]
        places.setdefault(name, []).append(each)
    taken = {name_key(place) for place in places}
    found: list[tuple[str, list[SeriesFacts]]] = []
    for place, inside_ in sorted(places.items()):
        groups = _groups(inside_)
        for its in groups:
            name = place if len(groups) == 1 else _free(f"{place}_p", taken)
            found.append((_free("patient", taken) if name_problem(name) else name, its))
    return found


def _groups(series: Sequence[SeriesFacts]) -> list[list[SeriesFacts]]:
    """Return the series of each PatientID; last, those that have none.

    A series without one is of the patient whose study it is in.
    """
    owner = {s.first.study_uid: s.first.patient for s in series if s.first.patient}
    owner.pop("", None)
    groups: dict[str, list[SeriesFacts]] = {}
    for each in series:
        patient = each.first.patient or owner.get(each.first.study_uid, "")
        groups.setdefault(patient, []).append(each)
    return [groups[patient] for patient in sorted(groups, key=lambda name: (not name, name))]


def _free(beginning: str, taken: set[str]) -> str:
    """Return a beginning with the first number, from 1, that makes a name which is not taken."""
    name = next(n for i in count(1) if name_key(n := f"{beginning}{i}") not in taken)
    taken.add(name_key(name))
    return name


def _lines(patient_id: str, series: Sequence[SeriesFacts]) -> list[ListedSeries]:
    lines: list[ListedSeries] = []
    for study, (_, grouped) in enumerate(groupby(series, lambda s: s.first.study_uid), start=1):
        inside = list(grouped)
        choice = choose(inside)
        only = choice.candidates[0] if len(choice.candidates) == 1 else None
        for number, (each, reason) in enumerate(zip(inside, choice.against, strict=True), start=1):
            against = reason
            if not reason and each is not only:
                against = f"{len(choice.candidates)} series fit equally well"
            if each.folder is None:
                against = "its slices lie in several folders"
            chosen = each is only and not against
            lines.append(ListedSeries(patient_id, study, number, each, against, chosen))
    return lines


def _row(line: ListedSeries, path: Path, uids: Sequence[str]) -> dict[str, Value]:
    facts, first = line.facts, line.facts.first
    image = (facts.folder or first.file.parent).absolute()
    base = path.absolute().parent
    shown = str(image.relative_to(base)) if image.is_relative_to(base) else str(image)
    is_ct = first.modality == "CT"
    return {
        "use": "yes" if line.chosen else "no",
        "patient_id": line.patient_id,
        "scan_id": f"st{line.study}se{line.series}",
        "image": f".{os.sep}{shown}" if is_formula(shown) else shown,
        "series_uid": _ending(facts.uid, uids),
        "study": line.study,
        "series": line.series if facts.number is None else facts.number,
        "kind": "localizer" if first.localizer else first.modality,
        "volume": "yes" if facts.is_volume else "no",
        "phase": facts.phase,
        "slices": facts.slices if is_ct else "",
        "columns": facts.size[0] if is_ct else "",
        "rows": facts.size[1] if is_ct else "",
        "distance_mm": round(facts.distance_mm, 3) or "",
        "thickness_mm": round(first.thickness_mm, 3) or "",
        "kernel": first.kernel,
        "contrast": first.contrast,
        "not_used_because": line.against,
    }


def _ending(uid: str, uids: Sequence[str]) -> str:
    """Return an end of a UID that no other series has, with the number of a part."""
    whole, part = split_uid(uid)
    others = {other for each in uids if (other := split_uid(each)[0]) != whole}
    for length in range(_SHORTEST_UID, len(whole)):
        end = whole[-length:]
        if end.count(".") >= _FEWEST_DOTS and not any(
            map(str.endswith, others, [end] * len(others))
        ):
            whole = end
            break
    return f"{whole}{PART}{part}" if part else whole
