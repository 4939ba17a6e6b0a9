"""Owns ``ENGINES``: what turns network slices into probabilities on this machine's hardware.

An engine is a function that takes a checkpoint and a thread count, loads the network once, and
returns a function from slices ``(n, H, W)`` float32 in 0..1 to probabilities of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Checkpoint

Probabilities = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def torch_engine(checkpoint: Checkpoint, threads: int) -> Probabilities:
    """Run the network with torch on the CPU, channels last."""
    torch.set_num_threads(threads)
    network = checkpoint.build()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def probabilities(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(slices))[:, None]
            logits = network(batch.to(memory_format=torch.channels_last))
            found: NDArray[np.float32] = torch.sigmoid(logits)[:, 0].numpy()
            return found

    return probabilities


ENGINES: dict[str, Callable[[Checkpoint, int], Probabilities]] = {"torch": torch_engine}
"""To add an engine: one function above, one entry here; the contract test compares it to torch."""
