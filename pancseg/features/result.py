"""The features of one region, as a backend returns them."""

from __future__ import annotations

from typing import NamedTuple

from pancseg.reasons import ReasonCode


class FeatureResult(NamedTuple):
    """A region's features.

    Attributes:
        values: values by pyradiomics's names, in its order; NaN where there is no value.
        reasons: reason code → fact, for missing values.
        spacing_mm: voxel size (x, y, z) that the values were computed on.
        resegmented_share: share of the region's voxels that re-segmentation left, 0–1; None if the
            settings ask for no re-segmentation.
        explained: names of the missing values that the reasons explain.
    """

    values: dict[str, float]
    reasons: dict[ReasonCode, str]
    spacing_mm: tuple[float, ...]
    resegmented_share: float | None = None
    explained: frozenset[str] = frozenset()
