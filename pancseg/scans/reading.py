"""Read a volume from a file or a DICOM folder, and refuse what is not one 3-D scalar volume.

A volume is a ``SimpleITK.Image`` with three axes and one value per voxel.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.detect import PHASE_HINT, THICKNESS_MM
from pancseg.scans.formats import metaimage, nifti, nrrd
from pancseg.scans.geometry import SAME_GRID_VOXELS
from pancseg.scans.voxel_stream import Layout, read_voxels
from pancseg.system.native_output import quiet_itk, quiet_library

_RIGHT_ANGLES = 1e-3
"""Tolerance for rounding in the dot products of the axes' directions."""


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
    with _nameless_errors():
        if path.is_dir():
            from pancseg.scans.dicom.series import (
                size_of_series,  # imports pydicom: 0.15 s that other formats need not wait for
            )

            found = size_of_series(path, series_uid)
            return Preview(found.size, found.stored_bytes, math.prod(found.size), found.read_bytes)
        layout = _format_of(path).layout(path)
    return Preview(layout.size, layout.stored.itemsize, layout.voxels, layout.read_bytes)


log = logging.getLogger(__name__)


def read_scan(path: str | Path, *, series_uid: str | None = None) -> sitk.Image:
    """Read one 3-D scalar volume: NIfTI, NRRD, MetaImage, or a folder with a DICOM series.

    Takes no more memory than :func:`preview_scan` says.

    Args:
        path: a file with one of the suffixes in ``READERS``, or a folder.
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
    needed = preview_scan(path, series_uid=series_uid).read_bytes
    if (available := _machine_bytes()) and needed > available:
        raise UnusableCase(
            "memory",
            f"reading the scan takes {needed / 1e9:.1f} GB, and this machine has "
            f"{available / 1e9:.1f} GB of memory; crop it, or use a larger machine",
        )
    overflow = np.errstate(over="ignore", invalid="ignore")  # the values are checked
    with _nameless_errors(), quiet_itk(), overflow:
        if path.is_dir():
            from pancseg.scans.dicom.series import read_series

            image = read_series(path, series_uid)
        else:
            volume_format = _format_of(path)
            layout = volume_format.layout(path)
            geometry = _geometry(path, volume_format.image_io, layout)
            image = read_voxels(layout)
            image.SetSpacing(geometry.spacing_mm)
            image.SetOrigin(geometry.origin_mm)
            image.SetDirection(geometry.direction)
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


class _Geometry(NamedTuple):
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]

    def at(self, index: NDArray[Any]) -> NDArray[np.float64]:
        """Return the positions of voxel indices ``(n, 3)``, in LPS and mm."""
        turn = np.reshape(self.direction, (3, 3)) * np.array(self.spacing_mm)
        moved: NDArray[np.float64] = index @ turn.T + np.array(self.origin_mm)
        return moved


def _geometry(path: Path, image_io: str, layout: Layout) -> _Geometry:
    """Return the geometry that ITK reads from a header, if it is valid and the header agrees.

    Raises:
        UnusableCase: ``geometry``; ``unreadable`` where ITK finds another size than we do.
    """
    if not layout.itk:
        return _declared_geometry(layout)
    kind = image_io.removesuffix("ImageIO")
    header = sitk.ImageFileReader()
    header.SetImageIO(image_io)
    header.SetFileName(str(path))
    try:
        with quiet_library():
            header.ReadImageInformation()
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise UnusableCase(
                "geometry", "the file's axes are not at right angles (sheared); resample it"
            ) from error
        raise UnusableCase(
            "unreadable",
            f"the file cannot be read as {kind} (damaged or truncated?); copy or export it again",
        ) from error
    count = header.GetDimension()
    if header.GetSize()[:3] != layout.size or header.GetNumberOfComponents() != 1:
        raise UnusableCase(
            "unreadable", f"the {kind} header is ambiguous about the size; export the scan again"
        )
    turn = np.reshape(header.GetDirection(), (count, count))[:3, :3]
    found = _Geometry(header.GetSpacing()[:3], header.GetOrigin()[:3], tuple(turn.ravel().tolist()))
    _check_geometry(found, layout)
    return found


def _declared_geometry(layout: Layout) -> _Geometry:
    """Return the geometry that the header itself declares; of several the last, as ITK prefers."""
    if not layout.grids:
        raise UnusableCase(
            "geometry", "the header gives no position or orientation; export the scan again"
        )
    grid = layout.grids[-1]
    sides = np.linalg.norm(grid[:, :3], axis=0)
    turn = (grid[:, :3] / sides).ravel().tolist()
    found = _Geometry(tuple(sides.tolist()), tuple(grid[:, 3].tolist()), tuple(turn))
    _check_geometry(found, layout)
    return found


def _check_geometry(found: _Geometry, layout: Layout) -> None:
    """Refuse an impossible geometry, or one that differs from one that the header declares."""
    turn = np.reshape(found.direction, (3, 3))
    values = [*found.spacing_mm, *found.origin_mm, *found.direction]
    if not np.isfinite(values).all() or min(found.spacing_mm) <= 0:
        sides = "×".join(f"{side:.6g}" for side in found.spacing_mm)
        raise UnusableCase(
            "geometry",
            f"the header's geometry is impossible (voxels of {sides} mm); export the scan again",
        )
    if not np.allclose(turn @ turn.T, np.eye(3), atol=_RIGHT_ANGLES):
        raise UnusableCase(
            "geometry", "the file's axes are not at right angles (sheared); resample it"
        )
    corners = np.array(list(product((0, 1), repeat=3))) * (np.array(layout.size) - 1)
    for grid in layout.grids:
        declared = corners @ grid[:, :3].T + grid[:, 3]
        apart_mm = float(np.linalg.norm(declared - found.at(corners), axis=1).max())
        if not apart_mm <= SAME_GRID_VOXELS * min(found.spacing_mm):
            raise UnusableCase(
                "geometry",
                "the header holds two geometries (sform, qform, voxel size), whose corners are "
                f"{apart_mm:.4g} mm apart; correct it or export the scan again",
            )


def _format_of(path: Path) -> VolumeFormat:
    if not path.is_file():
        raise UnusableCase("unreadable", "the file does not exist or cannot be reached")
    if not (suffix := suffix_of(path)):
        raise UnusableCase(
            "unreadable", f"not a volume file; give {', '.join(READERS)} or a DICOM folder"
        )
    return READERS[suffix]


def _machine_bytes() -> int | None:
    """Return the machine's memory; None where the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


@contextmanager
def _nameless_errors() -> Iterator[None]:
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
