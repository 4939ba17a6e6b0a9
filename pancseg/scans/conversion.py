"""Turn volumes in any accepted form (path, nibabel image, array) into ``SimpleITK.Image``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypedDict, Unpack

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import image_like, mark_scaled, voxel_array
from pancseg.scans.geometry import SAME_GRID_VOXELS, mark_unoriented
from pancseg.scans.header_geometry import (
    corner_distance_mm,
    geometry_of_matrix,
    right_angled,
)
from pancseg.scans.masks import read_mask
from pancseg.scans.reading import read_scan

_ROUNDING = 1e-3
"""Largest rounding error of the dot products of the axes' directions, which should be 0 or 1."""
_SMALLEST_MM = 1e-4
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
_ACCEPTED = (
    "a path, a SimpleITK.Image, a nibabel image, or a NumPy array or torch tensor (z, y, x) with "
    "spacing=(x, y, z) in mm"
)


class _NibabelImage(Protocol):
    affine: Any
    dataobj: Any


class _Tensor(Protocol):
    def detach(self) -> Any: ...


VolumeLike: TypeAlias = (
    "str | os.PathLike[str] | sitk.Image | NDArray[Any] | _NibabelImage | _Tensor"
)
"""Everything that pancseg accepts as a scan or a mask."""


class ArrayGeometry(TypedDict, total=False):
    """Size and position of an array's voxels; other volumes carry this themselves.

    Attributes:
        spacing: voxel size along (x, y, z) in mm, in SimpleITK's order, which is the reverse of the
            array's axes (z, y, x).
        origin: centre of the first voxel, (x, y, z) in mm, LPS; (0, 0, 0) by default.
        direction: nine direction cosines, row by row, in SimpleITK's order; by default the axes
            point to the patient's left, posterior and superior (LPS).
    """

    spacing: Sequence[float]
    origin: Sequence[float]
    direction: Sequence[float]


def as_scan(volume: VolumeLike, **geometry: Unpack[ArrayGeometry]) -> sitk.Image:
    """Return a volume as a ``SimpleITK.Image``; such an image is returned unchanged, not copied.

    Args:
        volume: a path (file or DICOM folder), a ``SimpleITK.Image``, a nibabel image, or a NumPy
            array or torch tensor ``(z, y, x)``.
        geometry: ``spacing``, ``origin`` and ``direction`` of an array (:class:`ArrayGeometry`).

    Raises:
        TypeError: the volume is of another type, an array has no ``spacing``, or a geometry is
            given for a volume that carries its own.
        ValueError: the geometry is impossible.
        UnusableCase: the volume cannot be read, or is not one 3-D scalar volume of finite values.

    Example:
        >>> import numpy as np
        >>> scan = as_scan(np.zeros((40, 512, 512), np.int16), spacing=(0.8, 0.8, 2.5))
        >>> scan.GetSize(), scan.GetSpacing()
        ((512, 512, 40), (0.8, 0.8, 2.5))
    """
    if unknown := geometry.keys() - ArrayGeometry.__annotations__.keys():
        raise TypeError(f"unknown argument {', '.join(sorted(unknown))}")
    if _is_array(volume):
        if "spacing" not in geometry:
            raise TypeError(
                "an array needs spacing=(x, y, z) in mm, since it does not carry its voxel size"
            )
        return _image_of(_plain_array(volume), **geometry)
    if not _is_volume(volume):
        raise TypeError(f"{type(volume).__name__} is not a volume; give {_ACCEPTED}")
    if geometry:
        raise TypeError(
            f"{', '.join(geometry)}: only arrays take a geometry, other volumes carry their own; "
            "leave it out"
        )
    if isinstance(volume, sitk.Image):
        _check_image(volume)
        return volume
    if isinstance(volume, str | os.PathLike):
        if not os.fspath(volume):
            raise ValueError("the path of the volume is empty")
        return read_scan(Path(volume))
    return _from_nibabel(volume)


def as_mask(mask: VolumeLike, scan: sitk.Image, **geometry: Unpack[ArrayGeometry]) -> sitk.Image:
    """Return a mask as a ``SimpleITK.Image``; an array of the scan's shape gets the scan's grid.

    Args:
        mask: as for :func:`as_scan`.
        scan: the scan that the mask belongs to.
        geometry: ``spacing``, ``origin`` and ``direction`` of an array that is not on the scan's
            grid.

    Raises:
        TypeError, ValueError, UnusableCase: as for :func:`as_scan`; the message of an
            ``UnusableCase`` names the mask.
    """
    try:
        if isinstance(mask, str | os.PathLike) and os.fspath(mask) and not geometry:
            return read_mask(Path(mask), scan)
        if geometry or not _is_array(mask):
            return as_scan(mask, **geometry)
        voxels = _plain_array(mask)
    except UnusableCase as unusable:
        code = "not_labels" if unusable.code == "not_hu" else unusable.code
        raise UnusableCase(code, f"the mask: {unusable.fact}") from unusable
    if voxels.shape == scan.GetSize()[::-1]:
        return image_like(voxels, scan)
    raise UnusableCase(
        "geometry",
        f"the mask has {_shape(voxels.shape)} voxels (z, y, x) and the scan has "
        f"{_shape(scan.GetSize()[::-1])}; give the mask's spacing, or resample it onto the scan",
    )


def _is_volume(volume: Any) -> bool:
    is_nibabel = hasattr(volume, "affine") and hasattr(volume, "dataobj")
    return is_nibabel or isinstance(volume, sitk.Image | str | os.PathLike)


def _shape(sides: Sequence[int]) -> str:
    return "×".join(map(str, sides))


def _is_array(volume: Any) -> bool:
    return isinstance(volume, np.ndarray) or hasattr(volume, "detach")


def _plain_array(volume: Any) -> NDArray[Any]:
    """Return the voxels ``(z, y, x)`` of an array or tensor, in a dtype that SimpleITK supports."""
    if hasattr(volume, "detach"):  # a torch tensor, maybe on a GPU, maybe with gradients
        volume = volume.detach().cpu()
        volume = (volume.float() if str(volume.dtype) == "torch.bfloat16" else volume).numpy()
    if isinstance(volume, np.ma.MaskedArray):
        raise TypeError("a masked array is ambiguous; fill it first: array.filled(value)")
    voxels: NDArray[Any] = np.asarray(volume)
    if voxels.ndim != 3:
        raise UnusableCase("not_3d", f"the array has {voxels.ndim} axes; give 3: (z, y, x)")
    if voxels.dtype.kind not in "buif":
        raise TypeError(f"an array of {voxels.dtype} is not a volume; give numbers")
    if min(voxels.shape) < 2:
        raise UnusableCase(
            "one_slice",
            f"the array has {_shape(voxels.shape)} voxels (z, y, x); give the whole scan",
        )
    _check_finite(voxels)
    if voxels.dtype == bool:
        return voxels.astype(np.uint8)
    if voxels.dtype == np.float16:
        return voxels.astype(np.float32)
    return np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("="))


def _check_finite(voxels: NDArray[Any]) -> None:
    if voxels.dtype.kind != "f":
        return
    count = sum(plane.size - int(np.count_nonzero(np.isfinite(plane))) for plane in voxels)
    if count:
        raise UnusableCase(
            "not_hu", f"{count} voxels are not finite (NaN or infinity); replace them"
        )


def _image_of(
    voxels: NDArray[Any],
    spacing: Sequence[float],
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    direction: Sequence[float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
) -> sitk.Image:
    """Return voxels (z, y, x) as an image with a checked geometry."""
    spacing_mm, origin_mm = _finite(spacing, 3, "spacing"), _finite(origin, 3, "origin")
    if min(spacing_mm) < _SMALLEST_MM:
        raise ValueError(
            f"spacing={tuple(spacing_mm)} is impossible; give positive lengths in mm along "
            "(x, y, z)"
        )
    cosines = np.reshape(_finite(direction, 9, "direction"), (3, 3))
    if not np.allclose(cosines @ cosines.T, np.eye(3), atol=_ROUNDING):
        raise ValueError(
            "direction: the three axes are not at right angles and of length 1; give nine "
            "direction cosines, row by row"
        )
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing_mm)
    image.SetOrigin(origin_mm)
    image.SetDirection(cosines.ravel().tolist())
    return image


def _finite(given: Sequence[float], count: int, name: str) -> list[float]:
    values = np.asarray(given, dtype=float).ravel().tolist()
    if len(values) != count or not np.isfinite(values).all():
        raise ValueError(f"{name}: expected {count} finite numbers, got {given!r}")
    return values


def _from_nibabel(volume: Any) -> sitk.Image:
    """Convert a nibabel image: voxels (x, y, z) and an affine to RAS."""
    voxels = np.asanyarray(volume.dataobj)
    while voxels.ndim > 3 and voxels.shape[-1] == 1:  # 4-D with a single volume
        voxels = voxels[..., 0]
    affine = _affine_of(volume)
    found = geometry_of_matrix(_RAS_TO_LPS @ affine[:3])
    if not np.isfinite(affine).all() or min(found.spacing_mm) < _SMALLEST_MM:
        raise UnusableCase(
            "geometry",
            "the nibabel image's affine has an axis of length 0 or values that are not finite; "
            "save it with a valid affine",
        )
    image = sitk.GetImageFromArray(_plain_array(voxels.T))
    right_angled(found, image.GetSize()).put_on(image)
    if not _is_oriented(volume):
        mark_unoriented(image)
    slope, intercept = (getattr(volume.dataobj, name, None) for name in ("slope", "inter"))
    if slope is not None and intercept is not None and (slope, intercept) != (1, 0):
        mark_scaled(image, float(slope), float(intercept))
    return image


def _is_oriented(volume: Any) -> bool:
    """Return whether a nibabel image's affine was given, and not made up for lack of one.

    NIfTI states it by two codes; Analyze, the older format of the same family, has none.
    """
    header: Any = getattr(volume, "header", None)
    if not hasattr(header, "default_x_flip"):  # another format
        return True
    return hasattr(header, "get_sform") and bool(header["sform_code"] or header["qform_code"])


def _affine_of(volume: Any) -> NDArray[np.float64]:
    """Return the affine (4, 4) to RAS in mm of a nibabel image whose header does not contradict it.

    Raises:
        UnusableCase: ``geometry``.
    """
    affine = np.asarray(volume.affine, dtype=float)
    if affine.shape != (4, 4):
        raise UnusableCase("geometry", "the nibabel image has no affine; give it one (4×4, mm)")
    header: Any = getattr(volume, "header", None)
    if header is not None and hasattr(header, "get_xyzt_units"):  # a NIfTI
        unit = header.get_xyzt_units()[0]
        if unit not in ("mm", "unknown"):
            raise UnusableCase("geometry", f"the nibabel image is in {unit}; convert it to mm")
        forms = [header.get_sform(coded=True), header.get_qform(coded=True)]
        told = [form[:3] for form, code in forms if code]
        apart_mm = corner_distance_mm(told[0], told[-1], volume.shape[:3]) if told else 0.0
        if not apart_mm <= SAME_GRID_VOXELS * np.linalg.norm(affine[:3, :3], axis=0).min():
            raise UnusableCase(
                "geometry",
                f"the nibabel image's sform and qform disagree (corners {apart_mm:.4g} mm apart); "
                "correct one, or export it again",
            )
    return affine


def _check_image(image: sitk.Image) -> None:
    """Refuse an image that is not one 3-D scalar volume of finite values."""
    if image.GetDimension() != 3:
        raise UnusableCase("not_3d", f"the image has {image.GetDimension()} axes; give 3")
    if image.GetNumberOfComponentsPerPixel() != 1:
        count = image.GetNumberOfComponentsPerPixel()
        raise UnusableCase("not_scalar", f"the image has {count} values per voxel; give one")
    if min(image.GetSize()) < 2:
        shape = _shape(image.GetSize())
        raise UnusableCase("one_slice", f"the image has {shape} voxels; give the whole scan")
    _check_finite(voxel_array(image))
