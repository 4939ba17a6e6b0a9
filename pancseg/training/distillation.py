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

    They are no part of a LightningModule's state: a checkpoint does not hold them, and they are
    read again when a training resumes.

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

    Args:
        recipe: what to train.
        window_hu: that of the data.

    Raises:
        FileNotFoundError: no such weights.
        ValueError: no checkpoint, or one that sees other pictures than the recipe's network.
    """
    fine = recipe.crop is not None and recipe.crop_around == "label"
    found = []
    for name in recipe.teachers:
        teacher = load_checkpoint(name, allow_code=recipe.network)
        if (teacher.windows is not None) != fine:
            sees = ("whole slices", "windows around the pancreas")
            raise ValueError(
                f"teachers: one of these networks sees {sees[not fine]}, but the recipe trains on "
                f"{sees[fine]}; give weights that were trained so too"
            )
        theirs = teacher.preprocessing
        if theirs.window_hu != window_hu or (theirs.size != recipe.size and not fine):
            raise ValueError(
                "teachers: one of these networks sees slices of "
                f"{_in_words(theirs.size, theirs.window_hu)}, but this training's are of "
                f"{_in_words(recipe.size, window_hu)}; give weights that were trained on such"
            )
        found.append(teacher)
    return found


def _in_words(size: int, window_hu: Window) -> str:
    low, high = window_hu
    return f"{size}×{size} pixels and {low:g} to {high:g} HU"
