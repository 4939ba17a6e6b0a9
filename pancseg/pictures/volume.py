"""View a scan's voxels in radiological order, without copying them, and cut planes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import CANONICAL, axes_of

Plane = Literal["axial", "coronal", "sagittal"]

AXES: dict[Plane, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "coronal": (1, 0, 2),
    "sagittal": (2, 0, 1),
}
"""Plane → the axes (of z, y, x) across it, down it and along its rows."""

_ENDS = {letter: pair for pair in ("LR", "PA", "SI") for letter in pair}


@dataclass(frozen=True)
class Volume:
    """A volume whose axes run from feet to head, front to back and the patient's right to left.

    Attributes:
        voxels: (z, y, x) read-only view; nothing is copied or resampled.
        spacing_mm: voxel size (z, y, x).
        image: the image that it views.
    """

    voxels: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    image: sitk.Image

    @classmethod
    def of(cls, image: sitk.Image) -> Volume:
        """View an image, whatever the order of its axes; oblique axes stay oblique."""
        order, flips = _to_canonical(image)
        voxels = voxel_array(image).transpose([2 - j for j in order])
        voxels = voxels[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
        spacing = image.GetSpacing()
        return cls(voxels, (spacing[order[0]], spacing[order[1]], spacing[order[2]]), image)

    def index_of(self, point_mm: tuple[float, ...]) -> NDArray[np.float64]:
        """Return where a point in mm lies, in voxels (z, y, x) from the centre of the first."""
        index = self.image.TransformPhysicalPointToContinuousIndex(point_mm)
        order, flips = _to_canonical(self.image)
        size = self.image.GetSize()
        pairs = zip(order, flips, strict=True)
        return np.array([size[j] - 1 - index[j] if flip else index[j] for j, flip in pairs])

    def plane(self, plane: Plane, index: int) -> NDArray[Any]:
        """Return one plane as radiologists expect it: front or head on top, the right on the left.

        A sagittal plane has the front on the left.

        Args:
            plane: which plane.
            index: position across it, in voxels of :attr:`voxels`.
        """
        shown: NDArray[Any] = self.voxels.take(index, AXES[plane][0])
        return shown if plane == "axial" else shown[::-1]

    def pixel_mm(self, plane: Plane) -> tuple[float, float]:
        """Return the size (down, along) of a pixel of a plane."""
        _, down, along = AXES[plane]
        return self.spacing_mm[down], self.spacing_mm[along]


def _to_canonical(image: sitk.Image) -> tuple[list[int], list[bool]]:
    """Return for z, y and x the image's axis (x, y, z) that runs along it, and whether reversed."""
    current = axes_of(image)
    order, flips = [], []
    for end in reversed(CANONICAL):
        axis = next(j for j, letter in enumerate(current) if letter in _ENDS[end])
        order.append(axis)
        flips.append(current[axis] != end)
    return order, flips
