"""What an engine is: types only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Checkpoint

PRECISIONS = ("fp32", "bf16")
"""Of the arithmetic; slices and probabilities are float32 either way."""

Probabilities = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Slices ``(n, H, W)`` in 0..1 → probabilities of the same shape; H and W as the network needs."""


class Engine(Protocol):
    """Loads a checkpoint's network and returns the function that runs it."""

    def __call__(
        self, checkpoint: Checkpoint, threads: int, precision: str = "fp32"
    ) -> Probabilities:
        """Load the network for a number of CPU threads and a precision."""
        ...
