"""Measure the agreement of two masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two masks of the same shape, 0..1.

    Two empty masks agree fully (1.0); one empty mask against a non-empty one is 0.0.

    Raises:
        ValueError: the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"the masks differ in shape: {first.shape} and {second.shape}")
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 1.0 if total == 0 else 2 * int(np.count_nonzero(first & second)) / total
