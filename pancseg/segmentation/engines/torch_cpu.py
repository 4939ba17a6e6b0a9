"""Run networks with torch on the CPU: channels last, BatchNorm folded into convolutions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Checkpoint
from pancseg.segmentation.engines.batch_norm import fold_batch_norm
from pancseg.segmentation.engines.interface import Probabilities

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def torch_engine(checkpoint: Checkpoint, threads: int, precision: str = "fp32") -> Probabilities:
    """Run the network with torch on the CPU; all slices of a call go through together."""
    torch.set_num_threads(threads)
    network = fold_batch_norm(checkpoint.build()).to(_DTYPES[precision])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def probabilities(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(slices))[:, None]
            logits = network(batch.to(_DTYPES[precision], memory_format=torch.channels_last))
            found: NDArray[np.float32] = torch.sigmoid(logits.float())[:, 0].numpy()
            return found

    return probabilities
