"""Find the one series that a path stands for: a folder of slices, a patient's folder, or a file."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.candidates import Choice, choose
from pancseg.scans.dicom.detect import is_ct_slice
from pancseg.scans.dicom.folder import MOST_FILES, series_of, slices_in
from pancseg.scans.dicom.parts import File, parts_of, split_uid
from pancseg.scans.dicom.series_facts import SeriesFacts
from pancseg.scans.dicom.study import facts_of, series_below

log = logging.getLogger(__name__)

_MOST_LISTED = 8
LISTS = "`pancseg series` lists them for a manifest"


class Located(NamedTuple):
    """Where a series is.

    Attributes:
        place: the folder of its slices, or its one file.
        series_uid: UID of the series in the folder, or the end of it; None for the only one.
        choice: how it was chosen from several series; empty if there was no choice.
    """

    place: Path
    series_uid: str | None
    choice: str = ""


def located(path: Path, series_uid: str | None = None, *, apart: bool = False) -> Located:
    """Return where the series is that a path stands for.

    A folder with slices of one series stands for that series. Otherwise all series in it, or at any
    depth if no slice lies in the folder itself, are looked through, and the rules of
    :mod:`pancseg.scans.dicom.candidates` choose.

    Args:
        path: a folder, or a DICOM file.
        series_uid: the end of the UID of the series to find.
        apart: look through the folder, or the file, although its slices are of one series, in
            which several volumes share their places.

    Raises:
        UnusableCase: ``unreadable``, ``several_series``, ``no_series`` or ``uneven_slices``.
        OSError: the path cannot be reached.
    """
    if not path.is_dir():
        only = _only_file(path)
        if not apart or series_uid:
            return only._replace(series_uid=series_uid)
        return _chosen(series_below(path.parent, [path]), path)._replace(place=path)
    slices = slices_in(path)
    uids = {series_of(file) for file in slices}
    wanted, _ = split_uid(series_uid or "")
    if series_uid and any(uid.endswith(wanted) for uid in uids):
        return Located(path, series_uid)
    here = any(map(_is_ct, slices))
    if here and len(uids) < 2 and not series_uid and not apart:
        return Located(path, None)
    series = series_below(path, slices if here and not series_uid else None, MOST_FILES)
    if series_uid:
        return _named(series, series_uid)
    if not series or (slices and not any(each.first.modality == "CT" for each in series)):
        return Located(path, None)  # reading says what there is
    return _chosen(series, path)


def of_one_volume(place: Located, files: Sequence[File]) -> tuple[Located, list[File]]:
    """Return those files of a series that are read, and where: of several volumes, the one to read.

    Args:
        place: what :func:`located` returned.
        files: the files of this series.

    Raises:
        UnusableCase: ``no_series``, for a volume that the series does not hold, or as
            :func:`located`.
        OSError: the folder cannot be reached.
    """
    parts = parts_of(files)
    part = split_uid(place.series_uid or "")[1]
    if len(parts) > 1 and not part:
        place = located(place.place, apart=True)
        part = split_uid(place.series_uid or "")[1]
    if part > len(parts):
        holds = f"{len(parts)} volumes" if len(parts) > 1 else "one volume"
        raise UnusableCase(
            "no_series",
            f"series_uid asks for volume {part} of a series that holds {holds}; {LISTS}",
        )
    return place, parts[part - 1] if part else list(files)


def _is_ct(file: Path) -> bool:
    try:
        return is_ct_slice(file)
    except OSError:  # reading says that it cannot be opened
        return True


def _only_file(file: Path) -> Located:
    facts = facts_of(file)
    if facts is None:  # reading says what is wrong with it
        return Located(file, None)
    if facts.modality != "CT":
        what = "a DICOM file of another kind" if facts.modality == "other" else facts.modality
        raise UnusableCase("unreadable", f"the file is {what}, not a CT; give the CT's folder")
    beside = [other for other in slices_in(file.parent) if other != file]
    same = sum(series_of(other) == facts.series_uid for other in beside)
    if same and facts.series_uid:
        raise UnusableCase(
            "uneven_slices",
            f"the file is one of {same + 1} of its series in the folder; give the folder",
        )
    return Located(file, None)


def _named(series: Sequence[SeriesFacts], series_uid: str) -> Located:
    uid, part = split_uid(series_uid)
    found = [s for s in series if s.first.series_uid.endswith(uid) and part in (s.part, 0)]
    if len(found) != 1:
        several = f"{len(found)} series fit" if found else "none fits"
        raise UnusableCase(
            "several_series" if found else "no_series",
            f"{_count(series)} in the folder; {several} series_uid; {LISTS}",
        )
    return Located(_folder(found[0]), series_uid)


def _chosen(series: Sequence[SeriesFacts], path: Path) -> Located:
    choice = choose(series)
    for each, reason in zip(series, choice.against, strict=True):
        log.debug("%s: %s, UID %s", described(each), reason or "fits", each.uid)
    patients = {each.first.patient for each in series if each.is_volume and each.first.patient}
    if len(patients) > 1:
        raise UnusableCase(
            "several_series",
            f"{_count(series)} of {len(patients)} patients are in the folder; give each patient a "
            f"folder, or a line of a manifest: {LISTS}",
        )
    if len(choice.candidates) == 1:
        one = choice.candidates[0]
        studies = {each.first.study_uid for each in series if each.is_volume}
        if len(studies) > 1:
            raise UnusableCase(
                "several_series",
                f"{_count(series)} of {len(studies)} studies are in the folder, and the rules "
                f"choose one in a single study ({described(one)}); give each study a line of a "
                f"manifest: {LISTS}",
            )
        volumes = sum(each.is_volume for each in series)
        how = "the only volume" if volumes == 1 else described(one)
        return Located(_folder(one), one.uid or None, f"{how}, of {len(series)} series")
    if any(each.is_volume for each in series):
        raise UnusableCase("several_series", _undecided(series, choice))
    raise UnusableCase(
        "unreadable",
        f"no CT series in the folder (it holds {inventory(series)}); give the folder of the CT",
    )


def _undecided(series: Sequence[SeriesFacts], choice: Choice) -> str:
    """Return the line that lists the candidates, or, without one, the volumes."""
    if choice.candidates:
        shown, what = list(choice.candidates), "fit equally well"
    else:
        shown, what = [each for each in series if each.is_volume], "none fits"
        others = dict(zip(map(id, series), choice.against, strict=True))
        listed = [f"{described(each)} ({others[id(each)]})" for each in shown]
        return f"{_count(series)} in the folder, {what}: {_listed(listed)}; {LISTS}"
    count = len(shown)
    listed = [described(each) for each in shown]
    return f"{_count(series)} in the folder, {count} {what}: {_listed(listed)}; {LISTS}"


def described(series: SeriesFacts) -> str:
    """Return phase, slices and kernel of a series in words that identify nobody.

    For example ``portal_venous, 5 mm, Br40d/3, 512×512×97``.
    """
    columns, rows = series.size
    words = [
        series.phase or "no phase",
        f"{series.slice_mm:.3g} mm",
        series.first.kernel or "no kernel",
        f"{columns}×{rows}×{series.slices}",
    ]
    return ", ".join(words)


def inventory(series: Sequence[SeriesFacts]) -> str:
    """Return what kinds of series there are: ``2 SEG, 1 localizer``; empty for none."""
    kinds = Counter("localizer" if s.first.localizer else s.first.modality for s in series)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _folder(series: SeriesFacts) -> Path:
    if (folder := series.folder) is None:
        places = {facts.file.parent for facts in series.files}
        raise UnusableCase(
            "uneven_slices",
            f"the {series.slices} slices of the series lie in {len(places)} folders; put them "
            "into one",
        )
    return folder


def _count(series: Sequence[SeriesFacts]) -> str:
    return "one DICOM series" if len(series) == 1 else f"{len(series)} DICOM series"


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _MOST_LISTED
    return "; ".join(texts[:_MOST_LISTED]) + (f"; and {more} more" if more > 0 else "")
