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


def voxel_array(image: sitk.Image) -> NDArray[Any]:
    """Return a read-only view of the voxels, ``(z, y, x)``; it keeps the image alive."""
    return np.asarray(_Voxels(image))


def label_array(mask: sitk.Image) -> NDArray[Any]:
    """Return a mask's label values, ``(z, y, x)``; floats are accepted if they are whole numbers.

    Floats become int32, slice by slice.

    Raises:
        UnusableCase: ``not_labels``, for fractions such as probabilities, and for values that
            int32 cannot hold.
    """
    voxels = voxel_array(mask)
    if not np.issubdtype(voxels.dtype, np.floating):
        return voxels
    rounded = np.empty(voxels.shape, np.int32)
    for given, labels in zip(voxels, rounded, strict=True):
        whole = np.rint(given)
        if np.abs(given - whole).max() > 1e-3:
            low, high = voxels.min(), voxels.max()
            fact = f"the mask holds fractions ({low:.3g} to {high:.3g}); threshold it first"
            raise UnusableCase("not_labels", fact)
        if np.abs(whole).max() > _LARGEST_LABEL:
            fact = (
                f"the mask holds values up to {np.abs(whole).max():.3g}, too large for labels; "
                "export it as a label map"
            )
            raise UnusableCase("not_labels", fact)
        labels[:] = whole
    return rounded


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
