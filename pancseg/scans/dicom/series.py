"""Read one DICOM series from a folder; refuse it if incomplete, tilted or unevenly spaced."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import new_image, writable
from pancseg.scans.dicom.copies import without_copies
from pancseg.scans.dicom.detect import CHOICE, COPIES, PHASE_HINT, THICKNESS_MM, may_hold_image
from pancseg.scans.dicom.elements import DamagedDicom
from pancseg.scans.dicom.folder import check_complete, passed_over, series_of, slices_in
from pancseg.scans.dicom.frames import DicomSlice
from pancseg.scans.dicom.header import DicomHeader, read_header
from pancseg.scans.dicom.identity import identity_of_slices, mark_identity
from pancseg.scans.dicom.located import LISTS, located, of_one_volume
from pancseg.scans.dicom.parts import split_uid
from pancseg.scans.dicom.pixels import stored_pixels
from pancseg.scans.dicom.stack import SliceInFile, stack_of
from pancseg.scans.dicom.values import UnusableHeader
from pancseg.scans.voxel_stream import OVERHEAD_BYTES, not_finite
from pancseg.system.memory_file import scratch_file

log = logging.getLogger(__name__)

_MOST_REASONS = 3


class SeriesSize(NamedTuple):
    """Upper limits of a series' size.

    Attributes:
        size: number of columns, rows, slices.
        stored_bytes: number of bytes of a stored pixel.
        read_bytes: memory that reading the series takes.
    """

    size: tuple[int, int, int]
    stored_bytes: int
    read_bytes: int


class FoundSeries(NamedTuple):
    """The files of one series.

    Attributes:
        slices: in any order, without copies.
        headers: of all files, with copies.
        copies: number of files that are exact copies of others.
        choice: how the series was chosen from several; empty if there was no choice.
    """

    slices: list[SliceInFile]
    headers: list[DicomHeader]
    copies: int
    choice: str


def size_of_series(folder: Path, series_uid: str | None) -> SeriesSize:
    """Return the largest size that a series can have, by its first slice and the number of files.

    Files of other kinds count as slices, and so do other series unless one is named. Every header
    of a named series is read. Otherwise all slices are taken to be scaled as the first one is;
    where one has a fractional scale, they take twice the memory.

    Raises:
        UnusableCase, OSError: as :func:`read_series`.
    """
    folder, series_uid, _ = located(folder, series_uid)
    uid = split_uid(series_uid)[0] if series_uid else None
    files = _files_in(folder)
    matching: Iterator[DicomHeader] = (
        header for file in files if (header := _header_or_none(file, uid))
    )
    first = next(matching, None) or _headers_of(folder, slices_in(folder), uid)[0]
    headers, count = [first], len(files)
    if uid or len(first.slices) > 1:
        headers += matching
        count = sum(len(header.slices) for header in headers)
    _check_pixels(first)
    voxels = first.columns * first.rows * count
    kept = _kind([(header, part) for header in headers for part in header.slices]).itemsize
    return SeriesSize(
        (first.columns, first.rows, count),
        first.stored.itemsize,
        kept * voxels + OVERHEAD_BYTES + 16 * kept * first.columns * first.rows,
    )


def read_series(folder: Path, series_uid: str | None) -> sitk.Image:
    """Read the one series that a folder or file stands for, or the one whose UID is named.

    Of all text in the files, only the contrast phase is kept with the image (``PHASE_HINT``). Exact
    copies of slices are left out, and their number is kept (``COPIES``); how a series was chosen
    from several is kept too (``CHOICE``).

    Raises:
        UnusableCase: ``unreadable``, ``several_series``, ``no_series``, ``tilted``,
            ``uneven_slices``, ``geometry``, ``not_hu``, ``not_scalar`` or ``one_slice``. Messages
            show nothing of a UID, which may contain a date of birth; the debug log does.
        OSError: the folder cannot be reached.
    """
    found = find_series(folder, series_uid)
    for header in found.headers:
        _check_pixels(header)
    image = _read(found.slices)
    if found.copies:
        log.debug("%d files are exact copies of others and were left out", found.copies)
        image.SetMetaData(COPIES, str(found.copies))
    if found.choice:
        image.SetMetaData(CHOICE, found.choice)
    mark_identity(image, identity_of_slices(found.headers))
    return image


def find_series(folder: Path, series_uid: str | None) -> FoundSeries:
    """Return the slices of the one series that :func:`read_series` reads; no pixel is read.

    Raises:
        UnusableCase, OSError: as :func:`read_series`, except for what is wrong with pixels.
    """
    place = located(folder, series_uid)
    files = slices_in(place.place) if place.place.is_dir() else [place.place]
    uid = split_uid(place.series_uid or "")[0]
    place, headers = of_one_volume(place, _headers_of(place.place, files, uid or None))
    unique = without_copies(headers)
    if place.place.is_dir():
        instances = [header.instance_uid for header in unique]
        check_complete(place.place, files, headers[0].series_uid, instances)
    slices = [SliceInFile(header, part) for header in unique for part in header.slices]
    return FoundSeries(slices, headers, len(headers) - len(unique), place.choice)


def _files_in(place: Path) -> list[Path]:
    """Return the files that may hold slices: those of a folder, or the one file."""
    if not place.is_dir():
        return [place]
    entries = sorted(place.iterdir())
    return [entry for entry in entries if entry.is_file() and not entry.name.startswith(".")]


def _headers_of(folder: Path, files: Sequence[Path], series_uid: str | None) -> list[DicomHeader]:
    """Return the headers of the one series of some files, or of the one that is named."""
    series = _series_in(files, series_uid)
    if not series:
        raise _no_series(folder)
    chosen = [uid for uid in series if series_uid is None or uid.endswith(series_uid)]
    if len(chosen) != 1:
        listing = ", ".join(_size(series[uid]) for uid in sorted(series))
        for number, uid in enumerate(sorted(series), start=1):
            log.debug("series %d (%s): UID %s", number, _size(series[uid]), uid)
        several = f"{len(series)} DICOM series" if len(series) > 1 else "one DICOM series"
        problem = "none fits series_uid" if not chosen else "name one by series_uid"
        raise UnusableCase(
            "several_series" if chosen else "no_series",
            f"{several} in the folder ({listing}); {problem}; {LISTS}",
        )
    return series[chosen[0]]


def _series_in(files: Sequence[Path], series_uid: str | None) -> dict[str, list[DicomHeader]]:
    """Return the headers of all images by their series.

    Raises:
        UnusableCase: ``unreadable``, when some slice is damaged, unless it says that it belongs to
            another series than the one that is asked for.
    """
    series: dict[str, list[DicomHeader]] = {}
    wrong: Counter[str] = Counter()
    images, whole = 0, True
    for file in files:
        try:
            header = read_header(file) if file.exists() else None
        except (DamagedDicom, UnusableCase) as error:
            if series_uid and not (series_of(file) or series_uid).endswith(series_uid):
                continue
            if isinstance(error, UnusableCase):
                raise
            wrong[str(error)] += 1
            whole = whole and isinstance(error, UnusableHeader)
            continue
        except OSError as error:
            wrong[f"the file cannot be opened ({error.strerror or 'input error'})"] += 1
            continue
        if header:
            images += 1
            series.setdefault(header.series_uid, []).append(header)
        elif not file.exists():
            wrong["the file is gone (a link that leads nowhere)"] += 1
            whole = False
    if wrong:
        raise _damaged(wrong, images, whole)
    return series


def _damaged(wrong: Counter[str], images: int, whole: bool) -> UnusableCase:
    """Return the refusal of a folder in which slices cannot be read.

    Args:
        wrong: what is wrong → number of slices.
        images: number of slices that can be read.
        whole: whether the slices are whole files, whose headers cannot be right.
    """
    count = wrong.total()
    reasons = [
        f"{reason}{f' ({number} of them)' if len(wrong) > 1 else ''}"
        for reason, number in wrong.most_common(_MOST_REASONS)
    ]
    what, remedy = ("are damaged", "copy or export")
    if whole:
        what, remedy = ("cannot be read", "correct the header, or export")
    return UnusableCase(
        "unreadable",
        f"{count} of {count + images} CT slices in the folder {what}; {'; '.join(reasons)}; "
        f"{remedy} the series again",
    )


def _header_or_none(file: Path, series_uid: str | None) -> DicomHeader | None:
    """Return the header of an image of the series that is asked for; None of anything else."""
    try:
        header = read_header(file) if may_hold_image(file) else None
    except (DamagedDicom, OSError):
        return None
    except UnusableCase:
        if series_uid and not (series_of(file) or series_uid).endswith(series_uid):
            return None
        raise
    return header if header and header.series_uid.endswith(series_uid or "") else None


def _no_series(folder: Path) -> UnusableCase:
    entries = list(folder.iterdir())
    folders = sum(entry.is_dir() for entry in entries)
    near = [image for image in passed_over(folder, ()) if image.series_uid]
    where = ", ".join(f"{n} {place}" for place, n in sorted(Counter(i.place for i in near).items()))
    count = len({image.series_uid for image in near})
    elsewhere = f"; images of {count} series are elsewhere: {where}" if near else ""
    holds = f"{_number(len(entries) - folders, 'file')} and {_number(folders, 'folder')}"
    return UnusableCase(
        "unreadable",
        f"no DICOM series in the folder (it holds {holds}{elsewhere}); give the folder of the "
        "series, or name the scan in a manifest",
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _size(headers: Sequence[DicomHeader]) -> str:
    """Return the size of a series as columns × rows × slices."""
    count = sum(len(header.slices) for header in headers)
    return f"{headers[0].columns}×{headers[0].rows}×{count}"


def _read(slices: list[SliceInFile]) -> sitk.Image:
    stack = stack_of(slices)
    image = _pixels([slices[i] for i in stack.order])
    image.SetSpacing(stack.spacing_mm)
    image.SetOrigin(stack.origin_mm)
    image.SetDirection(stack.axes.T.ravel().tolist())
    if phase := slices[0].header.phase:
        image.SetMetaData(PHASE_HINT, phase)
    if thickest_mm := max(each.header.thickness_mm for each in slices):
        image.SetMetaData(THICKNESS_MM, repr(thickest_mm))
    return image


def _check_pixels(header: DicomHeader) -> None:
    colours = f" ({header.colours})" if header.colours else ""
    if header.numbers != 1 or colours:
        values = "1 value" if header.numbers == 1 else f"{header.numbers} values"
        raise UnusableCase(
            "not_scalar",
            f"the image has {values} per pixel{colours}, expected 1 grey value; export the CT",
        )
    if header.modality not in ("", "CT", "OT"):
        known = header.modality != "unknown"
        modality = f"modality {header.modality}" if known else "an unknown modality"
        raise UnusableCase("not_hu", f"the DICOM images are of {modality}, not CT; export the CT")


def _pixels(slices: Sequence[SliceInFile]) -> sitk.Image:
    """Return all slices in HU, in the smallest of int16, int32, float32, float64 that fits."""
    first = slices[0].header
    kind = _kind([(each.header, each.slice) for each in slices])
    image = new_image((first.columns, first.rows, len(slices)), kind)
    values = writable(image)
    bad = 0
    packed = any(not each.header.native for each in slices)
    with scratch_file() if packed else nullcontext(Path()) as scratch:
        for target, (header, part) in zip(values, slices, strict=True):
            try:
                stored = stored_pixels(header, part.frame, scratch)
            except DamagedDicom as error:
                raise UnusableCase(
                    "unreadable",
                    f"the DICOM series of {len(slices)} slices cannot be read: a slice has "
                    f"{error}; copy or export it again",
                ) from error
            if header.lut:
                stored = header.lut.of(stored)
            if kind.kind == "f":
                target[:] = stored * np.float64(part.slope) + part.intercept
                bad += target.size - int(np.count_nonzero(np.isfinite(target)))
            else:
                target[:] = stored.astype(kind) * kind.type(part.slope) + kind.type(part.intercept)
    if bad:
        raise not_finite(bad)
    return image


def _kind(slices: Sequence[tuple[DicomHeader, DicomSlice]]) -> np.dtype[Any]:
    """Return the smallest type that holds every value that these slices can have.

    Raises:
        UnusableCase: ``not_hu``, for a slope of 0.
    """
    low = high = 0.0
    whole = True
    wide = False
    different = {(h.bits, h.stored.str, h.lut, s.slope, s.intercept): (h, s) for h, s in slices}
    for header, part in different.values():
        if part.slope == 0:
            raise UnusableCase(
                "not_hu", "the DICOM slices have a RescaleSlope of 0; export them again"
            )
        signed = header.stored.kind == "i"
        ends = np.array([-(2.0 ** (header.bits - 1)), 2.0 ** (header.bits - 1) - 1])
        ends = ends if signed else np.array([0.0, 2.0**header.bits - 1])
        if header.lut:
            ends = np.array([header.lut.values.min(), header.lut.values.max()], np.float64)
        scaled = ends * part.slope + part.intercept
        low, high = min(low, *scaled, *ends), max(high, *scaled, *ends)
        whole = whole and float(part.slope).is_integer() and float(part.intercept).is_integer()
        wide = wide or header.stored.itemsize == 4
    for kind in (np.int16, np.int32) if whole else ():
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype(np.float64 if wide else np.float32)
