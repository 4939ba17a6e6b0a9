"""Dropout of whole channels: networks bring their paper's share, a recipe may take less."""

from __future__ import annotations

from torch import nn


def drops(network: nn.Module) -> bool:
    """Say whether the network drops channels anywhere."""
    return any(isinstance(module, nn.Dropout2d) for module in network.modules())


def set_dropout(network: nn.Module, share: float) -> None:
    """Let the network drop this share of channels (0..1) wherever it drops some."""
    for module in network.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = share
