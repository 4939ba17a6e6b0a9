"""Load batches of slices: those that are trained on, and those that the network is validated on."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from pancseg.training.data.dataset import (
    Item,
    LabelWindows,
    Shuffled,
    TrainingSlices,
    WholeSlices,
)
from pancseg.training.data.labelled_slice import LabelledSlice
from pancseg.training.data.load import TrainingData
from pancseg.training.recipe import Recipe

Loader = DataLoader[Item]


def loaders(recipe: Recipe, data: TrainingData, workers: int) -> tuple[Shuffled, Loader, Loader]:
    """Return the order of the training slices, and the loaders of both splits.

    Args:
        recipe: batch size, augmentation and seed.
        data: the slices.
        workers: number of processes that prepare slices.

    Raises:
        ValueError: a split is empty, or a patient is in both.
    """
    training = [s for s in data.slices if s.split == "train"]
    validation = [s for s in data.slices if s.split == "val"]
    for split, members in (("training", training), ("validation", validation)):
        if not members:
            raise ValueError(
                f"the {split} set is empty: none of the {len(data.slices)} slices belongs to it"
            )
    if both := {s.patient for s in training} & {s.patient for s in validation}:
        raise ValueError(
            f"patients in both training and validation: {', '.join(sorted(both))}; put each in one"
        )
    order = Shuffled([s.source for s in training], data.shares, recipe.seed)
    common: dict[str, Any] = {
        "batch_size": recipe.batch_size,
        "num_workers": workers,
        "generator": torch.Generator(),  # separate, so as not to draw from torch's
    }
    return (
        order,
        DataLoader(TrainingSlices(training, recipe), sampler=order, drop_last=True, **common),
        DataLoader(_validation_set(validation, recipe), **common),
    )


def _validation_set(slices: list[LabelledSlice], recipe: Recipe) -> Dataset[Item]:
    """Return what the network is validated on: what it will see in use."""
    if recipe.crop is not None and recipe.crop_around == "label":
        return LabelWindows(slices, recipe.crop)
    return WholeSlices(slices)
