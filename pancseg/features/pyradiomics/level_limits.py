"""Refuse grey levels whose bins or texture matrices would fill the memory, before they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.errors import UnusableCase

MATRICES = frozenset({"glcm", "glrlm", "glszm", "gldm", "ngtdm"})
"""The classes that count grey levels in matrices."""
MOST_BINS = 1_000_000
MOST_BYTES = 500_000_000
"""For one matrix; about five of its size exist at a time. In 3-D it is reached by 2,192 levels."""


def check_bins(ends: NDArray[np.generic], settings: Mapping[str, Any]) -> None:
    """Refuse bins of a width that is too small for the range of intensities.

    Args:
        ends: lowest and highest intensity.
        settings: pyradiomics's ``setting``.

    Raises:
        UnusableCase: ``many_levels``.
    """
    low, high = float(ends[0]), float(ends[1])
    width = settings.get("binWidth", 25)
    if settings.get("binCount") is None and (high - low) / width > MOST_BINS:
        raise UnusableCase(
            "many_levels",
            f"intensities from {low:g} to {high:g} in bins of {width:g} make "
            f"{(high - low) / width:,.0f} grey levels; at most {MOST_BINS:,} are possible, take "
            "wider bins (binWidth)",
        )


def check_matrices(
    levels: NDArray[np.int64], settings: Mapping[str, Any], *, every_level: bool
) -> None:
    """Refuse levels of which a co-occurrence matrix takes more than ``MOST_BYTES``.

    Args:
        levels: (n,) grey levels.
        settings: pyradiomics's ``setting``.
        every_level: count levels that do not occur too, as pyradiomics itself does.

    Raises:
        UnusableCase: ``many_levels``.
    """
    top, present = int(levels.max()), len(np.unique(levels))
    side = top if every_level else present
    reach = max(settings.get("distances") or [1])
    directions = ((2 * reach + 1) ** 3 - 1) // 2
    needed = 8 * max(side * side * directions, side * top)
    if needed > MOST_BYTES:
        raise UnusableCase(
            "many_levels",
            f"{present:,} grey levels, the highest of them {top:,}, in up to {directions:,} "
            f"directions make a matrix of {needed / 1e9:.2g} GB (expected at most "
            f"{MOST_BYTES / 1e9:g} GB); take wider bins (binWidth), or fewer (binCount)",
        )
