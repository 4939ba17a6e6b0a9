"""The network registry: ``NETWORKS`` maps a name to a function that builds an untrained network.

To add a network: one file in this folder and one line here; the contract tests pick it up.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from pancseg.segmentation.networks.monet import MoNet
from pancseg.segmentation.networks.unet import attention_unet, unet, unet16

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "monet": MoNet,
    "unet": unet,
    "attention_unet": attention_unet,
    "unet16": unet16,
}


def parameter_count(network: nn.Module) -> int:
    """Count as Keras does: all weights plus BatchNorm's running means and variances."""
    weights = sum(p.numel() for p in network.parameters())
    statistics = sum(
        b.numel() for name, b in network.named_buffers() if not name.endswith("num_batches_tracked")
    )
    return weights + statistics
