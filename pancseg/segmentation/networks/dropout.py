"""Inspect and change a network's dropout of whole channels.

Networks are built with the share of their paper; a recipe may set another one.
"""

from __future__ import annotations

from torch import nn


def drops(network: nn.Module) -> bool:
    """Return whether the network has channel dropout anywhere."""
    return any(isinstance(module, nn.Dropout2d) for module in network.modules())


def set_dropout(network: nn.Module, share: float) -> None:
    """Set the share of dropped channels (0..1) in all of the network's dropout layers."""
    for module in network.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = share
