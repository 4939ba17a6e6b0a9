"""Define a training slice: its pixels, its mask, and where the mask is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Preprocessing
from pancseg.segmentation.preprocess import SliceGrid

UNKNOWN = 2
"""Value of a mask's pixels whose label is not known."""


@dataclass(frozen=True)
class LabelledSlice:
    """One slice as the network sees it.

    Attributes:
        patient: patient id; in a slice set, cohort and number.
        split: ``train`` or ``val``.
        image: uint8 ``(y, x)``, the window scaled to 0..255.
        mask: uint8 ``(y, x)``: 0, 1 (pancreas) or ``UNKNOWN``.
        source: number of the source that the slice is from.
    """

    patient: str
    split: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    source: int = 0


def grid_of(shape: tuple[int, ...], preprocessing: Preprocessing) -> SliceGrid:
    """Return the maps to the network's grid for slices of unknown spacing (taken as 1 mm)."""
    settings = preprocessing.model_copy(update={"smallest_field_mm": 1.0})
    return SliceGrid.for_slices((shape[0], shape[1]), (1.0, 1.0), settings)


def on_network_grid(
    image_hu: NDArray[Any],
    mask: NDArray[Any],
    known: NDArray[Any],
    grid: SliceGrid,
    *,
    shown: NDArray[Any],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a slice ``(y, x)`` as the network sees it, in 0..255, and its mask.

    Args:
        image_hu: the slice in HU.
        mask: its mask, 0 and 1.
        known: where the mask is known; elsewhere it becomes ``UNKNOWN``.
        grid: the maps to the network's grid.
        shown: where the slice was stored; elsewhere the image becomes 0.
    """
    image = np.rint(grid.to_network(image_hu[None])[0] * 255).astype(np.uint8)
    inside = grid.share(mask[None])[0] >= 0.5
    result = inside.astype(np.uint8)
    if not known.all():
        result[grid.share(~known[None])[0] > 0.01] = UNKNOWN
    if not shown.all():
        image[grid.share(~shown[None])[0] > 0.01] = 0
    return image, result
