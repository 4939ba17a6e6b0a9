"""Let trained networks teach another one: their mean probability becomes part of its target.

Hinton, Vinyals and Dean, arXiv 1503.02531, without their temperature.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pancseg.segmentation.checkpoint import Checkpoint, Window, load_checkpoint
from pancseg.training.recipe import Recipe


class Teachers:
    """Trained networks that see the same pictures as the one in training, without dropout.

    Their maps of places do not count: the network in training has one of its own. They are no part
    of a LightningModule's state: a checkpoint does not hold them, and they are read again when a
    training resumes.

    Args:
        networks: in evaluation mode.
        layout: memory format of their inputs.
    """

    def __init__(self, networks: Sequence[nn.Module], layout: torch.memory_format) -> None:
        self._networks = [
            network.to(memory_format=layout).requires_grad_(False)  # type: ignore[call-overload]
            for network in networks
        ]
        self._layout = layout

    def to(self, device: torch.device) -> None:
        """Move all networks to a device."""
        for network in self._networks:
            network.to(device)

    @torch.no_grad()
    def probability(self, image: Tensor) -> Tensor:
        """Return the networks' mean probability, ``(N, 1, H, W)`` float32, of slices in 0..1."""
        image = image.to(memory_format=self._layout)
        seen = [torch.sigmoid(network(image).float()) for network in self._networks]
        return torch.stack(seen).mean(0)


def load_teachers(recipe: Recipe, window_hu: Window) -> list[Checkpoint]:
    """Read a recipe's teachers; a recipe that names code outside pancseg allows their code.

    Of weights of two looks, the network teaches that sees what is trained on: the first whole
    slices, the second windows.

    Args:
        recipe: what to train.
        window_hu: that of the data.

    Raises:
        FileNotFoundError: no such weights.
        ValueError: no checkpoint, or one that sees other pictures than the recipe's network.
    """
    windows = recipe.crop if recipe.crop_around == "label" else None
    seen_here = _in_words(recipe.size, windows, window_hu)
    found = []
    for name in recipe.teachers:
        teacher = load_checkpoint(name, allow_code=recipe.network)
        if windows is not None and teacher.second is not None:
            teacher = teacher.second
        theirs = teacher.preprocessing
        sizes = None if teacher.windows is None else teacher.windows.size
        seen = _in_words(theirs.size, sizes, theirs.window_hu)
        if seen != seen_here:
            raise ValueError(
                f"teachers: one of these networks sees {seen}, but this training shows "
                f"{seen_here}; give weights that were trained on such"
            )
        found.append(teacher)
    return found


def _in_words(size: int, windows: tuple[int, int] | None, window_hu: Window) -> str:
    low, high = window_hu
    sees = f"slices of {size}×{size}" if windows is None else "windows of {}×{}".format(*windows)
    return f"{sees} pixels and {low:g} to {high:g} HU"
