"""Run networks with torch on an NVIDIA GPU: IEEE fp32 (no TF32), or bfloat16 by autocast."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Checkpoint
from pancseg.segmentation.engines.batch_norm import fold_batch_norm
from pancseg.segmentation.engines.interface import Probabilities


def cuda_engine(checkpoint: Checkpoint, threads: int, precision: str = "fp32") -> Probabilities:
    """Run the network with torch on the GPU; all slices of a call go through together.

    ``threads`` is unused: the CPU only passes slices on.
    """
    device = torch.device("cuda")
    network = fold_batch_norm(checkpoint.build()).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def probabilities(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
            torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16"),
        ):
            batch = torch.from_numpy(np.ascontiguousarray(slices)).to(device)[:, None]
            logits = network(batch.contiguous(memory_format=torch.channels_last))
            found: NDArray[np.float32] = torch.sigmoid(logits.float())[:, 0].cpu().numpy()
            return found

    return probabilities
