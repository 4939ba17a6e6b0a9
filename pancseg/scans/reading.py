"""Read a volume from a file or a DICOM folder, and refuse what is not one 3-D scalar volume.

A volume is a ``SimpleITK.Image`` with three axes and one value per voxel.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import mark_scaled
from pancseg.scans.dicom.detect import CHOICE, COPIES, PHASE_HINT, THICKNESS_MM, is_dicom
from pancseg.scans.formats import metaimage, nifti, nrrd
from pancseg.scans.geometry import mark_unoriented
from pancseg.scans.header_geometry import geometry_of_header
from pancseg.scans.voxel_stream import Layout, read_voxels
from pancseg.system.itk_warnings import quiet_itk


class Preview(NamedTuple):
    """The size of a scan by its header, before any voxel is read.

    Attributes:
        size: number of voxels along x, y, z; for a DICOM folder, the largest possible number of
            slices.
        bytes_per_voxel: number of bytes of a stored voxel.
        voxels: number of voxels.
        read_bytes: the most memory that :func:`read_scan` takes, the image included (for a DICOM
            folder without ``series_uid``: provided that all slices are scaled as the first one).
    """

    size: tuple[int, int, int]
    bytes_per_voxel: int
    voxels: int
    read_bytes: int


class VolumeFormat(NamedTuple):
    """How files of one format are read.

    Attributes:
        layout: function that reads and checks the header.
        image_io: name of ITK's reader, which is asked for the geometry alone.
    """

    layout: Callable[[Path], Layout]
    image_io: str


def preview_scan(path: str | Path, *, series_uid: str | None = None) -> Preview:
    """Return the size of a scan, and the memory that reading it takes, from headers alone.

    In a DICOM folder, one slice's header is read and the files are counted.

    Args:
        path: as for :func:`read_scan`.
        series_uid: as for :func:`read_scan`.

    Raises:
        UnusableCase: the header makes no sense, or the file cannot hold what it announces.

    Example:
        >>> from pancseg import preview_scan
        >>> preview_scan("scan.nii.gz").size
        (96, 96, 32)
    """
    path = Path(path)
    with nameless_errors():
        if is_series(path):
            from pancseg.scans.dicom.series import (
                size_of_series,  # imports pydicom: 0.15 s that other formats need not wait for
            )

            found = size_of_series(path, series_uid)
            return Preview(found.size, found.stored_bytes, math.prod(found.size), found.read_bytes)
        layout = _format_of(path).layout(path)
    return Preview(layout.size, layout.stored.itemsize, layout.voxels, layout.read_bytes)


def layout_of(path: Path) -> Layout:
    """Return where the voxels of a volume file are, which may be another file, from its header.

    Everything that looks into volume files asks this function, so that all find the same.

    Args:
        path: a file with one of the suffixes in ``READERS``.

    Raises:
        UnusableCase: as for :func:`preview_scan`; ``memory``, when this machine cannot hold it.
    """
    with nameless_errors():
        layout = _format_of(path).layout(path)
    check_memory(layout.read_bytes)
    return layout


def read_scan(path: str | Path, *, series_uid: str | None = None) -> sitk.Image:
    """Read one 3-D scalar volume: NIfTI, NRRD, MetaImage, or a DICOM series.

    In a folder with several series, at any depth, the one that the rules for portal-venous studies
    choose is read (:mod:`pancseg.scans.dicom.candidates`), if it is one. Takes no more memory than
    :func:`preview_scan` says.

    Args:
        path: a file with one of the suffixes in ``READERS``, a DICOM file with all slices, or a
            folder.
        series_uid: the series to read of a DICOM folder; a unique ending of its UID is enough.

    Returns:
        The volume with the file's own axes, spacing (mm), origin and direction.

    Raises:
        UnusableCase: not readable, truncated, not one 3-D scalar volume, a single slice, voxels
            that are not finite, an impossible or contradictory geometry, larger than the
            machine's memory, or (DICOM) several series or uneven slices.

    Example:
        >>> from pancseg import read_scan
        >>> read_scan("scan.nii.gz").GetSize()
        (96, 96, 32)
    """
    path = Path(path)
    check_memory(preview_scan(path, series_uid=series_uid).read_bytes)
    overflow = np.errstate(over="ignore", invalid="ignore")  # the values are checked
    with nameless_errors(), quiet_itk(), overflow:
        if is_series(path):
            from pancseg.scans.dicom.series import read_series

            image = read_series(path, series_uid)
        else:
            image = _read_file(path)
    return image


def _read_file(path: Path) -> sitk.Image:
    volume_format = _format_of(path)
    layout = volume_format.layout(path)
    geometry = geometry_of_header(path, volume_format.image_io, layout)
    image = read_voxels(layout)
    geometry.put_on(image)
    if not layout.oriented:
        mark_unoriented(image)
    if layout.scaled and layout.stored.kind in "iu":
        mark_scaled(image, layout.slope, layout.intercept)
    return image


def suffix_of(path: Path) -> str:
    """Return the volume suffix of a file name, or ``""``.

    >>> suffix_of(Path("CT_017.NII.gz"))
    '.nii.gz'
    """
    name = path.name.lower()
    return max((s for s in READERS if name.endswith(s)), key=len, default="")


def phase_hint(image: sitk.Image) -> str:
    """Return the contrast phase that the DICOM series names; empty if none, or not DICOM."""
    known = image.HasMetaDataKey(PHASE_HINT)
    return str(image.GetMetaData(PHASE_HINT)) if known else ""


def slice_thickness_mm(image: sitk.Image) -> float | None:
    """Return the slice thickness that the DICOM series states; None if it states none."""
    known = image.HasMetaDataKey(THICKNESS_MM)
    return round(float(image.GetMetaData(THICKNESS_MM)), 3) if known else None


def copied_slices(image: sitk.Image) -> int:
    """Return how many slices of the DICOM series were left out as exact copies of others."""
    return int(image.GetMetaData(COPIES)) if image.HasMetaDataKey(COPIES) else 0


def series_choice(image: sitk.Image) -> str:
    """Return how the DICOM series was chosen from several; empty if there was no choice."""
    return str(image.GetMetaData(CHOICE)) if image.HasMetaDataKey(CHOICE) else ""


def is_series(path: Path) -> bool:
    """Return whether a path is read as DICOM: a folder, or a file without a volume's suffix."""
    return path.is_dir() or (not suffix_of(path) and is_dicom(path))


def _format_of(path: Path) -> VolumeFormat:
    if path.exists() and not path.is_file():
        raise UnusableCase("unreadable", "it is a pipe, a socket or a device, not a file")
    if not path.is_file():
        raise UnusableCase("unreadable", "the file does not exist or cannot be reached")
    if not (suffix := suffix_of(path)):
        raise UnusableCase(
            "unreadable", f"not a volume file; give {', '.join(READERS)} or a DICOM folder"
        )
    return READERS[suffix]


def check_memory(needed: int) -> None:
    """Refuse to read more bytes than the machine has.

    Raises:
        UnusableCase: ``memory``.
    """
    if (available := _machine_bytes()) and needed > available:
        raise UnusableCase(
            "memory",
            f"reading the scan takes {needed / 1e9:.1f} GB, and this machine has "
            f"{available / 1e9:.1f} GB of memory; crop it, or use a larger machine",
        )


def _machine_bytes() -> int | None:
    """Return the machine's memory; None where the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


@contextmanager
def nameless_errors() -> Iterator[None]:
    """Report why a file cannot be reached, without its name, which may identify a patient."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL character
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UnusableCase("unreadable", f"the image cannot be reached: {reason}") from error
    except MemoryError as error:
        raise UnusableCase(
            "memory", "too little memory is left to read the scan; crop it, or use fewer workers"
        ) from error


READERS: dict[str, VolumeFormat] = {
    ".nii.gz": VolumeFormat(nifti.read_layout, "NiftiImageIO"),
    ".nii": VolumeFormat(nifti.read_layout, "NiftiImageIO"),
    ".nrrd": VolumeFormat(nrrd.read_layout, "NrrdImageIO"),
    ".nhdr": VolumeFormat(nrrd.read_layout, "NrrdImageIO"),
    ".mha": VolumeFormat(metaimage.read_layout, "MetaImageIO"),
    ".mhd": VolumeFormat(metaimage.read_layout, "MetaImageIO"),
}
"""The format of each suffix; folders are read as DICOM. To add a format, add one line here."""
