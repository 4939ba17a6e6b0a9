"""The network registry: ``NETWORKS`` maps a name to a function that builds an untrained network.

To add a network: one file in this folder and one line here; the contract tests pick it up. Their
modules, and torch with them (extra ``torch``), are imported when a network is built.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pancseg.system.optional import require_torch

if TYPE_CHECKING:
    from torch import nn


def _lazily(module: str, name: str) -> Callable[[], nn.Module]:
    def build() -> Any:
        require_torch("building a network")
        return getattr(import_module(f"{__name__}.{module}"), name)()

    return build


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "monet": _lazily("monet", "MoNet"),
    "unet": _lazily("unet", "unet"),
    "attention_unet": _lazily("unet", "attention_unet"),
    "unet16": _lazily("unet", "unet16"),
}


def parameter_count(network: nn.Module) -> int:
    """Count as Keras does: all weights plus BatchNorm's running means and variances."""
    weights = sum(p.numel() for p in network.parameters())
    statistics = sum(
        b.numel() for name, b in network.named_buffers() if not name.endswith("num_batches_tracked")
    )
    return weights + statistics
