"""Read one DICOM series from a folder; refuse it if incomplete, tilted or unevenly spaced."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import new_image, writable
from pancseg.scans.dicom.detect import (
    PHASE_HINT,
    THICKNESS_MM,
    is_dicom,
    is_of_series,
    may_hold_image,
)
from pancseg.scans.dicom.header import DamagedDicom, DicomHeader, DicomSlice, read_header
from pancseg.scans.dicom.pixels import stored_pixels
from pancseg.scans.voxel_stream import OVERHEAD_BYTES, not_finite
from pancseg.system.memory_file import scratch_file

log = logging.getLogger(__name__)

Points = NDArray[np.float64]
_FARTHEST_MM = 1e6


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


class _SliceInFile(NamedTuple):
    header: DicomHeader
    slice: DicomSlice


def size_of_series(folder: Path, series_uid: str | None) -> SeriesSize:
    """Return the largest size that a series can have, by its first slice and the number of files.

    Files of other kinds count as slices, and so do other series unless one is named. Every header
    of a named series is read. Otherwise all slices are taken to be scaled as the first one is;
    where one has a fractional scale, they take twice the memory.

    Raises:
        UnusableCase, OSError: as :func:`read_series`.
    """
    entries = sorted(folder.iterdir())
    files = [entry for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    matching: Iterator[DicomHeader] = (
        header
        for file in files
        if (header := _header_or_none(file)) and header.series_uid.endswith(series_uid or "")
    )
    first = next(matching, None) or _chosen(_series_in(entries), series_uid, entries)[0]
    headers, count = [first], len(files)
    if series_uid or len(first.slices) > 1:
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
    """Read the one series of a folder, or the one whose UID ends in ``series_uid``.

    Of all text in the files, only the contrast phase is kept with the image (``PHASE_HINT``).

    Raises:
        UnusableCase: ``unreadable``, ``several_series``, ``no_series``, ``tilted``,
            ``uneven_slices``, ``geometry``, ``not_hu``, ``not_scalar`` or ``one_slice``. Messages
            show nothing of a UID, which may contain a date of birth; the debug log does.
        OSError: the folder cannot be reached.
    """
    entries = sorted(folder.iterdir())
    headers = _chosen(_series_in(entries), series_uid, entries)
    return _read([_SliceInFile(header, part) for header in headers for part in header.slices])


def _chosen(
    series: dict[str, list[DicomHeader]], series_uid: str | None, entries: Sequence[Path]
) -> list[DicomHeader]:
    if not series:
        raise _no_series(entries)
    chosen = [uid for uid in series if series_uid is None or uid.endswith(series_uid)]
    if len(chosen) != 1:
        listing = ", ".join(_size(series[uid]) for uid in sorted(series))
        for number, uid in enumerate(sorted(series), start=1):
            log.debug("series %d (%s): UID %s", number, _size(series[uid]), uid)
        several = f"{len(series)} DICOM series" if len(series) > 1 else "one DICOM series"
        problem = "none fits series_uid" if not chosen else "name one by series_uid"
        raise UnusableCase(
            "several_series" if chosen else "no_series",
            f"{several} in the folder ({listing}); {problem} (the end of the UID is enough; "
            "`verbose` shows the UIDs)",
        )
    return series[chosen[0]]


def _series_in(entries: Sequence[Path]) -> dict[str, list[DicomHeader]]:
    """Return the headers of all images by their series.

    Hidden files, dose reports, segmentations and other objects beside a series are ignored.

    Raises:
        UnusableCase: ``unreadable``, when some slice is damaged.
    """
    series: dict[str, list[DicomHeader]] = {}
    damaged = images = 0
    for entry in entries:
        if not is_of_series(entry):
            continue
        try:
            header = read_header(entry) if is_dicom(entry) else None
        except DamagedDicom:
            damaged += 1
            continue
        if header:
            images += 1
            series.setdefault(header.series_uid, []).append(header)
        elif not is_dicom(entry):
            damaged += 1
    if damaged:
        raise UnusableCase(
            "unreadable",
            f"{damaged} of {damaged + images} CT slices in the folder are damaged; copy or export "
            "the series again",
        )
    return series


def _header_or_none(file: Path) -> DicomHeader | None:
    try:
        return read_header(file) if may_hold_image(file) else None
    except DamagedDicom:
        return None


def _no_series(entries: Sequence[Path]) -> UnusableCase:
    folders = sum(entry.is_dir() for entry in entries)
    return UnusableCase(
        "unreadable",
        f"no DICOM series in the folder (it holds {len(entries) - folders} files and "
        f"{folders} folders); give the folder of the series, or name the scan in a manifest",
    )


def _size(headers: Sequence[DicomHeader]) -> str:
    """Return the size of a series as columns × rows × slices."""
    count = sum(len(header.slices) for header in headers)
    return f"{headers[0].columns}×{headers[0].rows}×{count}"


def _read(slices: list[_SliceInFile]) -> sitk.Image:
    for each in slices:
        _check_pixels(each.header)
    _check_alike(slices)
    axes, spacing_mm, positions = _geometry_of(slices)
    order = np.argsort(positions @ axes[2], kind="stable")
    positions = positions[order]
    _check_upright(positions, axes[0], axes[1])
    gap_mm = _even_gap(positions)
    image = _pixels([slices[i] for i in order])
    image.SetSpacing((spacing_mm[1], spacing_mm[0], gap_mm))
    image.SetOrigin(positions[0].tolist())
    image.SetDirection(axes.T.ravel().tolist())
    if phase := slices[0].header.phase:
        image.SetMetaData(PHASE_HINT, phase)
    if thickest_mm := max(each.header.thickness_mm for each in slices):
        image.SetMetaData(THICKNESS_MM, repr(thickest_mm))
    return image


def _check_pixels(header: DicomHeader) -> None:
    if header.numbers != 1:
        raise UnusableCase(
            "not_scalar", f"the image has {header.numbers} values per pixel, not 1; export the CT"
        )
    if header.modality not in ("", "CT", "OT"):
        raise UnusableCase(
            "not_hu", f"the DICOM images are of modality {header.modality}, not CT; export the CT"
        )


def _check_alike(slices: Sequence[_SliceInFile]) -> None:
    """Refuse slices that do not form one stack."""
    headers = {id(each.header): each.header for each in slices}.values()
    sizes = sorted({(h.columns, h.rows) for h in headers})
    if len(sizes) > 1:
        shown = ", ".join(f"{columns}×{rows}" for columns, rows in sizes[:3])
        raise UnusableCase(
            "unreadable", f"the slices of the series differ in size ({shown}); export it again"
        )
    count = len(slices)
    if count == 1:
        raise UnusableCase(
            "one_slice",
            f"the series is one slice ({sizes[0][0]}×{sizes[0][1]}); give the whole series",
        )
    for what, values in (
        ("position", [each.slice.position_mm for each in slices]),
        ("orientation", [each.slice.axes for each in slices]),
        ("pixel spacing", [each.slice.spacing_mm for each in slices]),
    ):
        if missing := sum(value is None for value in values):
            raise UnusableCase(
                "geometry", f"{missing} of {count} DICOM slices have no {what}; export them again"
            )


def _geometry_of(slices: Sequence[_SliceInFile]) -> tuple[Points, tuple[float, float], Points]:
    """Return the axes x, y, z (rows of a matrix), the pixel spacing, and all positions.

    Raises:
        UnusableCase: ``geometry``, when they are impossible; ``uneven_slices`` when orientations
            differ.
    """
    orientations = np.array([each.slice.axes for each in slices], np.float64)
    spacings = np.array([each.slice.spacing_mm for each in slices], np.float64)
    positions = np.array([each.slice.position_mm for each in slices], np.float64)
    aside = np.abs(orientations - orientations[0]).max(axis=1) > 1e-3
    if others := int(np.count_nonzero(aside)):
        raise UnusableCase(
            "uneven_slices",
            f"{others} of {len(slices)} slices of the series have another orientation than the "
            "first; is a localizer among them?",
        )
    if max(np.abs(positions).max(), spacings.max()) > _FARTHEST_MM:
        raise UnusableCase(
            "geometry", "the DICOM slices are kilometres away or apart; export them again"
        )
    if spacings.min() <= 0 or not np.allclose(spacings, spacings[0], rtol=1e-3):
        low, high = spacings.min(), spacings.max()
        raise UnusableCase(
            "geometry",
            f"the DICOM pixel spacing goes from {low:.6g} to {high:.6g} mm, expected one positive "
            "value; export the series again",
        )
    x, y = orientations[0, :3], orientations[0, 3:]
    if not all(off <= 1e-2 for off in (abs(x @ y), abs(x @ x - 1), abs(y @ y - 1))):
        raise UnusableCase(
            "geometry", "the DICOM rows and columns are not at right angles; export them again"
        )
    x = x / np.linalg.norm(x)
    y = y - (x @ y) * x
    y /= np.linalg.norm(y)
    row_mm, column_mm = (float(side) for side in spacings[0])
    return np.stack([x, y, np.cross(x, y)]), (row_mm, column_mm), positions


def _check_upright(positions_mm: Points, x: Points, y: Points) -> None:
    """Refuse slices that are stacked at an angle (tilted gantry): an image's axes are upright."""
    stack = positions_mm[-1] - positions_mm[0]
    aside_mm = float(max(abs(stack @ x), abs(stack @ y)))
    if aside_mm > 1.0:
        raise UnusableCase(
            "tilted",
            f"the slices are sheared by {aside_mm:.1f} mm over the series (tilted gantry); "
            "resample the scan to upright axes first",
        )


def _even_gap(positions_mm: Points) -> float:
    """Return the distance between slices; refuse missing, doubled or uneven ones (1 % off)."""
    gaps = np.linalg.norm(np.diff(positions_mm, axis=0), axis=1)
    if gaps.max() - gaps.min() > 0.01 * np.median(gaps) + 0.01 or gaps.min() <= 0:
        raise UnusableCase(
            "uneven_slices",
            f"the slices are not evenly spaced ({gaps.min():.2f} to {gaps.max():.2f} mm apart); "
            "is one missing, or are there two series in one?",
        )
    return float(np.linalg.norm(positions_mm[-1] - positions_mm[0])) / len(gaps)


def _pixels(slices: Sequence[_SliceInFile]) -> sitk.Image:
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
    different = {(h.bits, h.stored.str, s.slope, s.intercept): (h, s) for h, s in slices}
    for header, part in different.values():
        if part.slope == 0:
            raise UnusableCase(
                "not_hu", "the DICOM slices have a RescaleSlope of 0; export them again"
            )
        signed = header.stored.kind == "i"
        ends = np.array([-(2.0 ** (header.bits - 1)), 2.0 ** (header.bits - 1) - 1])
        ends = ends if signed else np.array([0.0, 2.0**header.bits - 1])
        scaled = ends * part.slope + part.intercept
        low, high = min(low, *scaled, *ends), max(high, *scaled, *ends)
        whole = whole and float(part.slope).is_integer() and float(part.intercept).is_integer()
        wide = wide or header.stored.itemsize == 4
    for kind in (np.int16, np.int32) if whole else ():
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype(np.float64 if wide else np.float32)
