"""How far two masks agree. Knows arrays only."""

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
        raise ValueError(f"masks of different shapes: {first.shape} against {second.shape}")
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 1.0 if total == 0 else 2 * int(np.count_nonzero(first & second)) / total
