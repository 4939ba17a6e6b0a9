"""Define the types that every engine implements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Checkpoint

PRECISIONS = ("fp32", "bf16", "int8")
"""Precisions of the arithmetic; slices and probabilities are always float32."""

Probabilities = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From slices ``(n, H, W)`` in 0..1 to probabilities of the same shape.

H and W are multiples of what the network needs (4 for MoNet, 16 for U-Net)."""


class Engine(Protocol):
    """Loads a checkpoint's network and returns the function that runs it."""

    def __call__(
        self, checkpoint: Checkpoint, threads: int, precision: str = "fp32"
    ) -> Probabilities:
        """Load the network for a number of CPU threads and a precision."""
        ...
