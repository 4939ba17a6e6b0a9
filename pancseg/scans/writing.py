"""Write a volume to one file: complete and flushed to disk, or not at all."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.scans.reading import _format_of, suffix_of
from pancseg.scans.voxel_stream import check_whole
from pancseg.system.native_output import quiet_itk, quiet_library


def write_scan(image: sitk.Image, path: str | Path) -> None:
    """Write a volume to one compressed file, which appears complete or not at all.

    Only voxels and geometry are written. Everything else that the header held (a NIfTI's
    ``descrip`` and ``aux_file``, all DICOM tags) is dropped.

    Args:
        image: a 3-D volume.
        path: the file; its suffix decides the format (``.nii.gz``, ``.nii``, ``.nrrd``, ``.mha``).

    Raises:
        ValueError: the suffix is not one of a single-file format.
        OSError: the file cannot be written (disk full, no permission).
    """
    path = Path(path)
    if suffix_of(path) in ("", ".nhdr", ".mhd"):
        raise ValueError(f"cannot write {path.suffix or 'a file without suffix'}; use .nii.gz")
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        with quiet_itk(), quiet_library():
            sitk.WriteImage(_without_metadata(image), str(partial), useCompression=True)
        _settle(partial)
        os.replace(partial, path)
    except RuntimeError as error:
        raise OSError(
            f"cannot write a {suffix_of(path)} file (disk full, no permission?)"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _settle(written: Path) -> None:
    """Bring a file onto the disk and read it back: ITK's writers do not notice a full disk.

    Raises:
        OSError: it is not whole.
    """
    with written.open("rb") as file:
        os.fsync(file.fileno())
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
