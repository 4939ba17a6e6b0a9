"""The features of one region, as a backend returns them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.reasons import ReasonCode

USED, TAKEN_OUT = 1, 2
"""Values of a measured region."""


class FeatureResult(NamedTuple):
    """A region's features.

    Attributes:
        values: values by pyradiomics's names, in its order; NaN where there is no value.
        reasons: reason code → fact, for missing values.
        spacing_mm: voxel size (x, y, z) that the values were computed on.
        resegmented_share: share of the region's voxels that re-segmentation left, 0–1; None if the
            settings ask for no re-segmentation.
        explained: names of the missing values that the reasons explain.
        measured: uint8 image on the features' grid, around the region: :data:`USED` where intensity
            features use a voxel, :data:`TAKEN_OUT` where re-segmentation took one out of the
            region, else 0. None where pyradiomics alone knows it.
    """

    values: dict[str, float]
    reasons: dict[ReasonCode, str]
    spacing_mm: tuple[float, ...]
    resegmented_share: float | None = None
    explained: frozenset[str] = frozenset()
    measured: sitk.Image | None = None


def measured_region(region: NDArray[np.bool_], used: NDArray[np.bool_]) -> sitk.Image:
    """Return the values of ``FeatureResult.measured``; the caller sets the geometry.

    Args:
        region: (z, y, x) voxels of the region on the features' grid.
        used: those of them that re-segmentation left.
    """
    return sitk.GetImageFromArray(
        np.where(used, USED, np.where(region, TAKEN_OUT, 0)).astype(np.uint8)
    )
