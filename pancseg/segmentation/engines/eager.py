"""Run a network exactly as written: the reference for every engine's results and speed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Checkpoint
from pancseg.segmentation.engines.interface import Probabilities


def as_written(checkpoint: Checkpoint, threads: int) -> Probabilities:
    """Run the network eagerly in torch, fp32, channels first, with no layer folded."""
    torch.set_num_threads(threads)
    network = checkpoint.build()

    def probabilities(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            logits = network(torch.from_numpy(np.ascontiguousarray(slices))[:, None])
            found: NDArray[np.float32] = torch.sigmoid(logits)[:, 0].numpy()
            return found

    return probabilities
