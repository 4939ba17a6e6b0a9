"""Turn HU into grey values, as a workstation's window does."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.quality.verdict import can_be_hu

_DARKEST_PERCENT, _BRIGHTEST_PERCENT = 1, 99
_STEP = 4


class Window(NamedTuple):
    """The values that are shown black and white.

    Attributes:
        low: black from here down.
        high: white from here up.
    """

    low: float
    high: float

    def grey(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return grey values 0–255.

        >>> Window(-160, 240).grey(np.array([-1000, 40, 3000])).tolist()
        [0, 128, 255]
        """
        scaled = (values.astype(np.float32) - self.low) * (255 / (self.high - self.low))
        grey: NDArray[np.uint8] = np.rint(scaled.clip(0, 255)).astype(np.uint8)
        return grey

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


SOFT_TISSUE = Window(-160, 240)
"""The window of the abdomen, in HU: level 40, width 400."""


def window_for(voxels: NDArray[Any]) -> Window:
    """Return the soft-tissue window, or, for values that cannot be HU, one that shows them.

    Args:
        voxels: (z, y, x) the scan; one voxel in each block of 4×4×4 is looked at.
    """
    some = voxels[::_STEP, ::_STEP, ::_STEP]
    low, high = float(some.min()), float(some.max())
    if can_be_hu(low, high):
        return SOFT_TISSUE
    dark, bright = np.percentile(some, (_DARKEST_PERCENT, _BRIGHTEST_PERCENT))
    return Window(float(dark), float(bright) if bright > dark else float(dark) + 1)
