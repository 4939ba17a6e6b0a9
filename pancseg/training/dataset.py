"""Labelled slices as torch datasets: augmented crops for training, whole slices for validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pancseg.training.augment import build_augmentation
from pancseg.training.recipe import Recipe
from pancseg.training.slices import LabelledSlice

Item = tuple[Tensor, Tensor, str]


class Shuffled(Sampler[int]):
    """All indices in an order that depends on ``seed`` alone, read when an epoch begins."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self.seed = count, seed

    def __len__(self) -> int:
        """Return the number of indices."""
        return self._count

    def __iter__(self) -> Iterator[int]:
        """Yield the indices in the seed's order."""
        generator = torch.Generator().manual_seed(self.seed)
        yield from torch.randperm(self._count, generator=generator).tolist()


class SliceDataset(Dataset[Item]):
    """Items are ``(image, mask, patient)``; image and mask are ``(1, H, W)`` float32 in 0..1.

    Training items are randomly moved crops around the body; validation items are whole slices.
    """

    def __init__(self, slices: Sequence[LabelledSlice], recipe: Recipe, *, augment: bool) -> None:
        self._slices = slices
        self._transform = (
            build_augmentation(recipe.augmentation, recipe.crop, recipe.seed) if augment else None
        )

    def reseed(self, seed: int) -> None:
        """Start the random crops anew, so that an epoch does not depend on those before it."""
        if self._transform is not None:
            self._transform.set_random_state(seed)

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self._slices)

    def __getitem__(self, index: int) -> Item:
        """Return one item; a new random crop each time when augmenting."""
        item = self._slices[index]
        image = torch.from_numpy(item.image.astype(np.float32)[None] / 255)
        mask = torch.from_numpy(item.mask.astype(np.float32)[None])
        if self._transform is None:
            return image, mask, item.patient
        shifted = _centred_on_body(image, mask)
        changed = self._transform({"image": shifted[0], "mask": shifted[1]})
        return (
            changed["image"].as_tensor().clamp(0, 1),
            changed["mask"].as_tensor(),
            item.patient,
        )


def _centred_on_body(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Roll a slice so that the body's centre of mass is the slice's centre."""
    weight = (image[0] > 0.1).float()
    total = weight.sum().clamp(min=1)
    rows = torch.arange(weight.shape[0], dtype=torch.float32)
    columns = torch.arange(weight.shape[1], dtype=torch.float32)
    y = float((weight.sum(1) * rows).sum() / total)
    x = float((weight.sum(0) * columns).sum() / total)
    shift = (round(weight.shape[0] / 2 - y), round(weight.shape[1] / 2 - x))
    return torch.roll(image, shift, (1, 2)), torch.roll(mask, shift, (1, 2))
