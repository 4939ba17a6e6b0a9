"""Map a network's name to a function that builds the untrained network.

To add a network, write one file in this folder and add one line to ``NETWORKS``; the contract tests
pick it up. A network's module, and torch with it (extra ``torch``), is imported only when the
network is built. A network outside the package is named by ``module:Class`` instead, such as
``mylab.networks:WideMoNet``.
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


def is_outside(network: str) -> bool:
    """Return whether a network's name is ``module:Class``, which means code outside pancseg.

    >>> is_outside("monet"), is_outside("mylab.networks:WideMoNet")
    (False, True)
    """
    return ":" in network


def builder_of(network: str) -> Callable[[], nn.Module]:
    """Return the function that builds an untrained network.

    Args:
        network: a key of ``NETWORKS``, or ``module:Class``. Such a module is imported, which runs
            its code. The class takes no arguments and maps ``(N, 1, H, W)`` to logits of that
            shape.

    Raises:
        ValueError: the name is neither, or the module or class cannot be imported.
    """
    if network in NETWORKS:
        return NETWORKS[network]
    if not is_outside(network):
        known = ", ".join(NETWORKS)
        raise ValueError(f"no network {network!r}; known: {known}; or give module:Class")
    module, _, name = network.partition(":")
    try:
        build: Callable[[], nn.Module] = getattr(import_module(module), name)
    except Exception as error:  # whatever importing that module raises
        raise ValueError(
            f"the network {network!r} cannot be imported ({error}); "
            f"is {module!r} on the Python path?"
        ) from error
    return build


def build_network(network: str) -> nn.Module:
    """Return an untrained network; one from outside the package is tried on a small input first.

    Args:
        network: as for :func:`builder_of`.

    Raises:
        ValueError: the class cannot be built without arguments, is no ``torch.nn.Module``, or does
            not map ``(N, 1, H, W)`` to logits of that shape.
    """
    build = builder_of(network)
    if not is_outside(network):
        return build()
    import torch

    slices = torch.zeros(1, 1, 64, 64)
    try:
        built = build()
        with torch.no_grad():
            shape = tuple(built.eval()(slices).shape)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(
            f"the network {network!r} cannot be used ({problem}); it must be a torch.nn.Module "
            "that is built without arguments and maps (N, 1, H, W) to logits of that shape"
        ) from error
    if shape != tuple(slices.shape):
        raise ValueError(
            f"the network {network!r} maps slices of shape {tuple(slices.shape)} to {shape}; it "
            "must return logits of the same shape"
        )
    return built.train()


def parameter_count(network: nn.Module) -> int:
    """Return the parameter count as Keras does: weights plus BatchNorm's means and variances."""
    weights = sum(p.numel() for p in network.parameters())
    statistics = sum(
        b.numel() for name, b in network.named_buffers() if not name.endswith("num_batches_tracked")
    )
    return weights + statistics
