"""Convert between volumes and NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase

_PIXEL_IDS = {
    "u1": sitk.sitkUInt8, "i1": sitk.sitkInt8, "u2": sitk.sitkUInt16, "i2": sitk.sitkInt16,
    "u4": sitk.sitkUInt32, "i4": sitk.sitkInt32, "u8": sitk.sitkUInt64, "i8": sitk.sitkInt64,
    "f4": sitk.sitkFloat32, "f8": sitk.sitkFloat64,
}  # fmt: skip


def new_image(size: Sequence[int], kind: np.dtype[Any]) -> sitk.Image:
    """Return an image of zeros.

    Args:
        size: number of voxels along x, y, z.
        kind: type of a voxel; an integer or float type of NumPy.

    Raises:
        UnusableCase: ``memory``, when there is too little memory for it.
    """
    try:
        return sitk.Image(list(size), _PIXEL_IDS[kind.str[1:]])
    except (RuntimeError, OverflowError, MemoryError) as error:
        needed = kind.itemsize * float(np.prod(size, dtype=np.float64)) / 1e9
        raise UnusableCase(
            "memory",
            f"too little memory for a scan of {needed:.3g} GB; crop it, or use a larger machine",
        ) from error


def writable(image: sitk.Image) -> NDArray[Any]:
    """Return a writable view ``(z, y, x)`` of a new image, to be filled before any other use.

    SimpleITK only gives read-only views, because images may share memory; a new one does not.
    """
    return np.asarray(_Memory(image))


class _Memory:
    """Keeps an image alive as long as the array that writes into it."""

    def __init__(self, image: sitk.Image) -> None:
        self._image = image
        view = sitk.GetArrayViewFromImage(image).__array_interface__
        self.__array_interface__ = {**view, "data": (view["data"][0], False)}


_LARGEST_LABEL = np.iinfo(np.int32).max
_LARGEST_STEP = 0.99
"""Steps of stored values up to this keep any two labels apart."""
_NOTES = "pancseg_"
_SCALE = f"{_NOTES}scale"
"""Metadata key of slope and intercept of an image that its file stores as scaled whole numbers."""


def mark_scaled(image: sitk.Image, slope: float, intercept: float) -> None:
    """Note on an image how its values were computed from the whole numbers in its file."""
    image.SetMetaData(_SCALE, f"{slope!r} {intercept!r}")


def voxel_array(image: sitk.Image) -> NDArray[Any]:
    """Return a read-only view of the voxels, ``(z, y, x)``; it keeps the image alive."""
    return np.asarray(_Voxels(image))


def label_array(mask: sitk.Image) -> NDArray[Any]:
    """Return a mask's label values, ``(z, y, x)``; floats are accepted if they are whole numbers.

    Labels that a program scaled into few bits (nibabel does with floats that it saves as uint8)
    come out as, for example, 0.918 instead of 1. They are restored if that is possible without
    doubt: the steps are smaller than 1, and each value is what its label gives when it is stored.

    Floats become int32, slice by slice.

    Raises:
        UnusableCase: ``not_labels``, for fractions such as probabilities, for negative values,
            which a scan has, and for values that int32 cannot hold.
    """
    voxels = voxel_array(mask)
    labels = _whole(mask, voxels) if np.issubdtype(voxels.dtype, np.floating) else voxels
    if np.issubdtype(labels.dtype, np.signedinteger) and (lowest := int(labels.min())) < 0:
        fact = (
            f"the mask holds values from {lowest} to {int(labels.max())}, labels are 0 or more; is "
            "it the scan? Give the mask, or save its labels as positive numbers"
        )
        raise UnusableCase("not_labels", fact)
    return labels


def _whole(mask: sitk.Image, voxels: NDArray[Any]) -> NDArray[np.int32]:
    """Return the labels of a mask of floats."""
    stored = _scale_of(mask)
    rounded = np.empty(voxels.shape, np.int32)
    for given, labels in zip(voxels, rounded, strict=True):
        whole = np.rint(given)
        if np.abs(given - whole).max() > 1e-3 and not _are_scaled_labels(given, whole, stored):
            raise _fractions(float(voxels.min()), float(voxels.max()), stored)
        if np.abs(whole).max() > _LARGEST_LABEL:
            fact = (
                f"the mask holds values up to {np.abs(whole).max():.3g}, too large for labels; "
                "export it as a label map"
            )
            raise UnusableCase("not_labels", fact)
        labels[:] = whole
    return rounded


def _scale_of(mask: sitk.Image) -> tuple[float, float] | None:
    """Return slope and intercept of a mask that was stored as scaled whole numbers."""
    if not mask.HasMetaDataKey(_SCALE):
        return None
    slope, intercept = map(float, mask.GetMetaData(_SCALE).split())
    return slope, intercept


def _are_scaled_labels(
    given: NDArray[Any], whole: NDArray[Any], stored: tuple[float, float] | None
) -> bool:
    """Return whether each value is the one that is stored for the nearest whole number."""
    if stored is None or abs(stored[0]) > _LARGEST_STEP:
        return False
    slope, intercept = stored
    in_file = np.rint((given.astype(np.float64) - intercept) / slope)
    return bool(np.abs((whole.astype(np.float64) - intercept) / slope - in_file).max() <= 0.501)


def _fractions(low: float, high: float, stored: tuple[float, float] | None) -> UnusableCase:
    fact = f"the mask holds fractions ({low:.3g} to {high:.3g}); "
    if stored and abs(stored[0]) > _LARGEST_STEP:
        fact += f"its file stores steps of {abs(stored[0]):.3g}, in which labels are lost; "
    return UnusableCase(
        "not_labels", f"{fact}save labels as whole numbers, or threshold a probability map"
    )


class _Voxels:
    """Keeps an image alive as long as the arrays that view it (SimpleITK does not)."""

    def __init__(self, image: sitk.Image) -> None:
        self._image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def image_like(voxels: NDArray[Any], image: sitk.Image) -> sitk.Image:
    """Return a volume of ``(z, y, x)`` voxels with the geometry of another one."""
    made = sitk.GetImageFromArray(voxels)
    made.CopyInformation(image)
    return made


def copy_notes(image: sitk.Image, made: sitk.Image) -> None:
    """Note on an image made of another's voxels what reading noted on that one, and no more."""
    for key in image.GetMetaDataKeys():
        if key.startswith(_NOTES):
            made.SetMetaData(key, image.GetMetaData(key))
