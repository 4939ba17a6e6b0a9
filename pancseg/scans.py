"""Owns reading, writing and orienting volumes, and the verdict whether two share one grid in mm.

A volume is a ``SimpleITK.Image`` with three axes and one number per voxel. Knows nothing about
pancreases, networks or features.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg import dicom, nifti
from pancseg.unusable import UnusableCase

CANONICAL = "LPS"
"""Columns grow to the patient's left, rows to posterior, slices to superior (DICOM's axes)."""

SAME_GRID_VOXELS = 0.1
"""Two grids are one when no corner is farther apart than this share of the smallest voxel side."""


def read(path: str | Path, *, series_uid: str | None = None) -> sitk.Image:
    """Read one 3-D scalar volume: NIfTI, NRRD, MetaImage, or a folder with a DICOM series.

    Args:
        path: a file with one of the suffixes in ``READERS``, or a folder.
        series_uid: which series of a DICOM folder; a unique ending of the UID is enough.

    Returns:
        The volume with the file's own axes, spacing (mm), origin and direction.

    Raises:
        UnusableCase: not readable, truncated, not one 3-D scalar volume, a single slice, voxels
            that are not finite, or (DICOM) several series or uneven slices.
    """
    path = Path(path)
    try:
        with _quiet_itk():
            image = (
                dicom.read_series(path, series_uid) if path.is_dir() else _reader_for(path)(path)
            )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnusableCase("unreadable", f"the image cannot be reached: {reason}") from error
    return _one_volume(image)


def write(image: sitk.Image, path: str | Path) -> None:
    """Write a volume to one file, compressed; it appears whole or not at all.

    Raises:
        ValueError: the suffix is not one of a single-file format.
        OSError: the file cannot be written (disk full, no permission).
    """
    path = Path(path)
    if suffix_of(path) in ("", ".nhdr", ".mhd"):
        raise ValueError(f"cannot write {path.suffix or 'a file without suffix'}; use .nii.gz")
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        with _quiet_itk(), _quiet_library():
            sitk.WriteImage(image, str(partial), useCompression=True)
        os.replace(partial, path)
    except RuntimeError as error:
        raise OSError(f"cannot write {path.name} (disk full, or no permission?)") from error
    finally:
        partial.unlink(missing_ok=True)


def suffix_of(path: Path) -> str:
    """Return the volume suffix of a file name (``.nii.gz``, ``.nrrd``, …), or ``""``."""
    name = path.name.lower()
    return max((s for s in READERS if name.endswith(s)), key=len, default="")


def orient(image: sitk.Image, axes: str = CANONICAL) -> sitk.Image:
    """Permute and flip axes so that they point as ``axes`` says; voxels stay where they are in mm.

    Oblique scans keep their obliqueness: the nearest axes are chosen and nothing is resampled.
    """
    return image if axes_of(image) == axes else sitk.DICOMOrient(image, axes)


def axes_of(image: sitk.Image) -> str:
    """Return the three-letter code of the directions that the axes grow to, for example LPS."""
    code: str = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    return code


def slice_spacing_mm(image: sitk.Image) -> float:
    """Return the distance of voxels along the patient's long axis, whatever the axes' order."""
    return float(image.GetSpacing()[2 - axial_axis(image)])


def axial_axis(image: sitk.Image) -> int:
    """Return which axis of the array (z, y, x) runs most along the patient."""
    direction = np.abs(np.reshape(image.GetDirection(), (3, 3)))
    return 2 - int(direction[2].argmax())


def grid_difference_mm(first: sitk.Image, second: sitk.Image) -> float:
    """Return the largest distance in mm between corresponding corner voxels of two grids.

    The order of the axes does not count: both are brought into one orientation first. Infinite
    when the numbers of voxels differ.
    """
    match = _matching_axes(first, second)
    if match is None:
        return float("inf")
    order, flips = match
    last = np.array(first.GetSize()) - 1
    distances = []
    for corner in product((0, 1), repeat=3):
        there = [0, 0, 0]
        for axis, (j, flip) in enumerate(zip(order, flips, strict=True)):
            there[j] = int(last[axis]) * (1 - corner[axis] if flip else corner[axis])
        here = [int(n) for n in last * corner]
        a, b = (
            first.TransformIndexToPhysicalPoint(here),
            second.TransformIndexToPhysicalPoint(there),
        )
        distances.append(float(np.linalg.norm(np.subtract(a, b))))
    return max(distances)


def on_grid_of(
    image: sitk.Image, mask: sitk.Image, names: tuple[str, str] = ("scan", "mask")
) -> sitk.Image:
    """Return the mask in the image's voxel order, with exactly the image's geometry.

    A mask of the same space with other axes is re-ordered; header rounding (under a tenth of a
    voxel at every corner) is mended.

    Args:
        image: the grid.
        mask: what is to lie on it.
        names: what the message calls the two.

    Raises:
        UnusableCase: ``geometry``, when the grids differ.
    """
    difference = grid_difference_mm(image, mask)
    if difference > SAME_GRID_VOXELS * min(image.GetSpacing()):
        far = "" if np.isinf(difference) else f", corners {difference:.2f} mm apart"
        raise UnusableCase(
            "geometry",
            f"{names[0]} and {names[1]} are on different grids ({_describe(image)} against "
            f"{_describe(mask)}{far}); resample the {names[1]} onto the {names[0]}",
        )
    match = _matching_axes(image, mask)
    assert match is not None  # the difference would be infinite
    order, flips = match
    if order == [0, 1, 2] and not any(flips):
        ordered = sitk.Image(mask)  # ITK would take a second to permute nothing
    else:
        ordered = sitk.Flip(sitk.PermuteAxes(mask, order), flips)
    ordered.CopyInformation(image)
    return ordered


def array(image: sitk.Image) -> NDArray[Any]:
    """Return a read-only view of the voxels, ``(z, y, x)``; it keeps the image alive."""
    return np.asarray(_Voxels(image))


def labels(mask: sitk.Image) -> NDArray[Any]:
    """Return a mask's label values, ``(z, y, x)``; floats are fine if they are whole numbers.

    Raises:
        UnusableCase: ``not_labels``, for fractions such as probabilities.
    """
    voxels = array(mask)
    if not np.issubdtype(voxels.dtype, np.floating):
        return voxels
    rounded: NDArray[Any] = np.rint(voxels)
    if np.abs(voxels - rounded).max() > 1e-3:
        low, high = voxels.min(), voxels.max()
        raise UnusableCase(
            "not_labels", f"the mask holds fractions ({low:.3g} to {high:.3g}); threshold it first"
        )
    return rounded


class _Voxels:
    """Ties the lifetime of an image to the arrays that look into it (SimpleITK does not)."""

    def __init__(self, image: sitk.Image) -> None:
        self._image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def like(voxels: NDArray[Any], image: sitk.Image) -> sitk.Image:
    """Make a volume of ``(z, y, x)`` voxels with the geometry of another one."""
    made = sitk.GetImageFromArray(voxels)
    made.CopyInformation(image)
    return made


def _one_volume(image: sitk.Image) -> sitk.Image:
    """Refuse whatever is not one 3-D scalar volume of finite numbers."""
    size = image.GetSize()
    if image.GetDimension() == 4 and size[3] == 1:
        image = image[:, :, :, 0]
        size = image.GetSize()
    if len(size) != 3:
        shape = "×".join(map(str, size))
        raise UnusableCase("not_3d", f"the image has {len(size)} axes ({shape}), not 3")
    if (channels := image.GetNumberOfComponentsPerPixel()) != 1:
        raise UnusableCase("not_scalar", f"the image has {channels} numbers per voxel, not 1")
    if "complex" in image.GetPixelIDTypeAsString():
        raise UnusableCase("not_scalar", "the image has complex voxels, not one number each")
    if min(size) < 2:
        raise UnusableCase(
            "one_slice", f"the image is one slice thick ({_describe(image)}); give the whole series"
        )
    voxels = array(image)
    floating = np.issubdtype(voxels.dtype, np.floating)
    if floating and (bad := int(np.count_nonzero(~np.isfinite(voxels)))):
        raise _not_finite(bad)
    return image


def _not_finite(count: int) -> UnusableCase:
    return UnusableCase("not_hu", f"{count} voxels not finite (NaN or infinity); export it again")


def _describe(image: sitk.Image) -> str:
    size = "×".join(str(n) for n in image.GetSize())
    spacing = "×".join(f"{s:.2f}" for s in image.GetSpacing())
    return f"{size} voxels of {spacing} mm"


def _matching_axes(a: sitk.Image, b: sitk.Image) -> tuple[list[int], list[bool]] | None:
    """For each axis of ``a``: which axis of ``b`` runs along it, and whether the other way.

    None when axes do not pair up one to one or their numbers of voxels differ.
    """
    cosines = np.reshape(a.GetDirection(), (3, 3)).T @ np.reshape(b.GetDirection(), (3, 3))
    order = [int(j) for j in np.abs(cosines).argmax(axis=1)]
    if sorted(order) != [0, 1, 2] or [b.GetSize()[j] for j in order] != list(a.GetSize()):
        return None
    return order, [bool(cosines[i, j] < 0) for i, j in enumerate(order)]


def _read_file(image_io: str, voxels: NDArray[Any] | None = None) -> Callable[[Path], sitk.Image]:
    """Return a reader by one of ITK's; with voxels, only the geometry is read."""

    def read_as(path: Path) -> sitk.Image:
        try:
            with _quiet_library():
                if voxels is None:
                    return sitk.ReadImage(str(path), imageIO=image_io)
                return _with_geometry_of(path, image_io, voxels)
        except RuntimeError as error:
            if "orthonormal" in str(error):
                raise UnusableCase(
                    "geometry", "the file's axes are not at right angles (sheared); resample it"
                ) from error
            kind = image_io.removesuffix("ImageIO")
            raise UnusableCase(
                "unreadable", f"the file cannot be read as {kind} (damaged or truncated?)"
            ) from error

    return read_as


def _with_geometry_of(path: Path, image_io: str, voxels: NDArray[Any]) -> sitk.Image:
    header = sitk.ImageFileReader()
    header.SetImageIO(image_io)
    header.SetFileName(str(path))
    header.ReadImageInformation()
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(header.GetSpacing())
    image.SetOrigin(header.GetOrigin())
    image.SetDirection(header.GetDirection())
    return image


def _read_nifti(path: Path) -> sitk.Image:
    try:
        payload = nifti.read_through(path)
    except ValueError as error:
        raise UnusableCase(
            "unreadable", "the file is not a whole NIfTI file (damaged or truncated)"
        ) from error
    if payload.missing_bytes:
        raise UnusableCase(
            "unreadable", f"the NIfTI file is truncated: {payload.missing_bytes} bytes missing"
        )
    if payload.not_finite:
        raise _not_finite(payload.not_finite)
    return _read_file("NiftiImageIO", payload.voxels)(path)


def _reader_for(path: Path) -> Callable[[Path], sitk.Image]:
    if not path.is_file():
        raise UnusableCase("unreadable", "the image file does not exist or cannot be reached")
    if not (suffix := suffix_of(path)):
        raise UnusableCase(
            "unreadable", f"not a volume file; known are {', '.join(READERS)} and DICOM folders"
        )
    return READERS[suffix]


@contextmanager
def _quiet_library() -> Iterator[None]:
    """Keep what C++ libraries write to standard error by themselves off the terminal."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """Keep ITK's warnings, which name files, off the terminal."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


READERS: dict[str, Callable[[Path], sitk.Image]] = {
    ".nii.gz": _read_nifti,
    ".nii": _read_nifti,
    ".nrrd": _read_file("NrrdImageIO"),
    ".nhdr": _read_file("NrrdImageIO"),
    ".mha": _read_file("MetaImageIO"),
    ".mhd": _read_file("MetaImageIO"),
}
"""What reads a file, by its suffix. To add a format: one line here; folders are DICOM."""
