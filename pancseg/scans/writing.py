"""Write a volume to one file: complete and flushed to disk, or not at all."""

from __future__ import annotations

import errno
import zlib
from pathlib import Path
from typing import Unpack

import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.scans.conversion import ArrayGeometry, VolumeLike, as_scan
from pancseg.scans.reading import _format_of, suffix_of
from pancseg.scans.voxel_stream import check_whole
from pancseg.system.itk_warnings import quiet_itk
from pancseg.system.native_output import quiet_library
from pancseg.system.whole_files import whole_files


def write_scan(image: VolumeLike, path: str | Path, **geometry: Unpack[ArrayGeometry]) -> None:
    """Write a volume to one compressed file, which appears complete or not at all.

    Only voxels and geometry are written. Everything else that the header held (a NIfTI's
    ``descrip`` and ``aux_file``, all DICOM tags) is dropped.

    Args:
        image: a 3-D volume: a ``SimpleITK.Image``, a nibabel image, or an array ``(z, y, x)`` with
            ``spacing``.
        path: the file; its suffix decides the format (``.nii.gz``, ``.nii``, ``.nrrd``, ``.mha``).
        geometry: ``spacing``, ``origin`` and ``direction`` of an array.

    Raises:
        TypeError, UnusableCase: the image is not a 3-D scalar volume.
        ValueError: the suffix is not one of a single-file format.
        OSError: the file cannot be written (disk full, no permission).

    Example:
        >>> from pancseg import read_scan, write_scan
        >>> write_scan(read_scan("scan.nii.gz"), "copy.nii.gz")
    """
    path = Path(path)
    volume = image if isinstance(image, sitk.Image) else as_scan(image, **geometry)
    if suffix_of(path) in ("", ".nhdr", ".mhd"):
        raise ValueError(f"cannot write {path.suffix or 'a file without suffix'}; use .nii.gz")
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "cannot write: the folder of the file does not exist")
    with whole_files([path]) as partial:
        write_partial(volume, partial[path])


def write_partial(volume: sitk.Image, path: Path) -> None:
    """Write a volume to a file that the caller names once it is there, as :func:`write_scan` does.

    Args:
        volume: a 3-D volume.
        path: of the unfinished file (:func:`pancseg.system.whole_files.whole_files`).

    Raises:
        OSError: the file cannot be written.
    """
    _write(_without_metadata(volume), path)
    _check_written(path)


def _write(image: sitk.Image, path: Path) -> None:
    """Write a file by ITK, which knows suffixes in lower case alone.

    Raises:
        OSError: the file cannot be written.
    """
    suffix = suffix_of(path)
    written = path.with_name(path.name[: -len(suffix)] + suffix)
    try:
        with quiet_itk(), quiet_library():
            sitk.WriteImage(image, str(written), useCompression=True)
        if written != path:
            written.replace(path)
    except RuntimeError as error:
        if written != path:
            written.unlink(missing_ok=True)
        raise OSError(f"cannot write a {suffix} file (disk full or no permission?)") from error


def _check_written(written: Path) -> None:
    """Read a file back: ITK's writers do not notice a full disk.

    Raises:
        OSError: the file is incomplete.
    """
    try:
        check_whole(_format_of(written).layout(written))
    except UnusableCase as error:
        if error.code == "unreadable":
            raise OSError(f"a {suffix_of(written)} file came out damaged (disk full?)") from error
    except zlib.error as error:
        raise OSError(f"a {suffix_of(written)} file came out damaged (disk full?)") from error


def _without_metadata(image: sitk.Image) -> sitk.Image:
    """Return the image itself if it has only voxels and geometry, else a copy without the rest."""
    if not (keys := image.GetMetaDataKeys()):
        return image
    clean = sitk.Image(image)
    clean.SetMetaData(keys[0], "")  # unshares the dictionary; erasing first would erase in both
    for key in keys:
        clean.EraseMetaData(key)
    return clean
