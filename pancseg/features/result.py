"""What a backend returns for one region."""

from __future__ import annotations

from typing import NamedTuple

from pancseg.reasons import ReasonCode


class FeatureResult(NamedTuple):
    """A region's features.

    Attributes:
        values: by pyradiomics's names, in its order; NaN where there is no value.
        reasons: reason code → fact, for values that are missing.
        spacing_mm: voxel size (x, y, z) that they were computed on.
        resegmented_share: share of the region's voxels that re-segmentation left; None where the
            settings ask for none.
        explained: names of the missing values that the reasons are about.
    """

    values: dict[str, float]
    reasons: dict[ReasonCode, str]
    spacing_mm: tuple[float, ...]
    resegmented_share: float | None = None
    explained: frozenset[str] = frozenset()
