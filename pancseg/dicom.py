"""Owns reading a DICOM series from a folder: which series, whole, upright and evenly spaced."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.unusable import UnusableCase

Points = NDArray[np.float64]
_CT_IMAGE = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.2(\.[12])?\0")  # CT SOP classes
_POSITION, _ORIENTATION = "0020|0032", "0020|0037"


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_series(folder: Path, series_uid: str | None) -> sitk.Image:
    """Read the one series of a folder, or the one whose UID ends in ``series_uid``.

    Raises:
        UnusableCase: ``unreadable``, ``several_series``, ``no_series``, ``tilted`` or
            ``uneven_slices``. Messages show the last characters of UIDs only.
        OSError: the folder cannot be reached.
    """
    entries = list(folder.iterdir())
    try:
        uids = sorted(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)))
    except RuntimeError:
        uids = []
    if not uids:
        folders = sum(entry.is_dir() for entry in entries)
        raise UnusableCase(
            "unreadable",
            f"no DICOM series in the folder (it holds {len(entries) - folders} files and "
            f"{folders} folders); give the folder of the series",
        )
    files = {uid: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid) for uid in uids}
    _check_all_read(entries, sum(len(names) for names in files.values()))
    chosen = [uid for uid in uids if series_uid is None or uid.endswith(series_uid)]
    if len(chosen) != 1:
        listing = ", ".join(f"…{uid[-8:]} ({_size(files[uid])})" for uid in uids)
        problem = "none fits series_uid" if not chosen else "name one by series_uid"
        raise UnusableCase(
            "several_series" if chosen else "no_series",
            f"DICOM series in the folder: {listing}; {problem} (the end of the UID is enough)",
        )
    return _read(files[chosen[0]])


def _check_all_read(entries: Sequence[Path], read: int) -> None:
    """Refuse a folder in which some CT slice was passed over as damaged.

    Dose reports and other objects that lie beside a series are not slices and do not count.
    """
    there = sum(_is_ct_slice(entry) for entry in entries)
    if there > read:
        raise UnusableCase(
            "unreadable", f"{there - read} of {there} CT slices in the folder are damaged"
        )


def _is_ct_slice(path: Path) -> bool:
    """Whether a file's header names a CT image as what is stored in it."""
    if not is_dicom(path):
        return False
    with path.open("rb") as file:
        return _CT_IMAGE.search(file.read(1024)) is not None


def _size(files: Sequence[str]) -> str:
    """Return columns × rows × slices of a series, from its first file's header."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(files[0])
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return f"{len(files)} unreadable files"
    columns, rows = reader.GetSize()[:2]
    return f"{columns}×{rows}×{len(files)}"


def _read(files: Sequence[str]) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    reader.MetaDataDictionaryArrayUpdateOn()
    try:
        image = reader.Execute() if len(files) > 1 else sitk.ReadImage(files[0])
    except RuntimeError as error:
        raise UnusableCase(
            "unreadable",
            f"the DICOM series of {len(files)} files cannot be read (damaged, or unequal slices?)",
        ) from error
    if len(files) > 1 and all(reader.HasMetaDataKey(i, _POSITION) for i in range(len(files))):
        positions = np.array([_numbers(reader, i, _POSITION) for i in range(len(files))])
        x, y = np.reshape(_numbers(reader, 0, _ORIENTATION), (2, 3))
        _check_upright(positions, x, y)
        _check_even(positions)
    return image


def _numbers(reader: sitk.ImageSeriesReader, index: int, tag: str) -> list[float]:
    return [float(v) for v in reader.GetMetaData(index, tag).split("\\")]


def _check_upright(positions_mm: Points, x: Points, y: Points) -> None:
    """Refuse slices that are stacked askew (a tilted gantry): ITK would read them as upright."""
    stack = positions_mm[-1] - positions_mm[0]
    aside_mm = float(max(abs(stack @ x), abs(stack @ y)))
    if aside_mm > 1.0:
        raise UnusableCase(
            "tilted",
            f"the slices are sheared by {aside_mm:.1f} mm over the series (tilted gantry); "
            "resample the scan to upright axes first",
        )


def _check_even(positions_mm: Points) -> None:
    """Refuse a series with missing, doubled or unevenly spaced slices (more than 1 % off)."""
    gaps = np.linalg.norm(np.diff(positions_mm, axis=0), axis=1)
    if gaps.max() - gaps.min() > 0.01 * np.median(gaps) + 0.01:
        raise UnusableCase(
            "uneven_slices",
            f"the slices are not evenly spaced ({gaps.min():.2f} to {gaps.max():.2f} mm apart); "
            "is one missing or are there two series in one?",
        )
