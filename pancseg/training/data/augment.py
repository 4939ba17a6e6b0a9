"""Augment training slices with MONAI's random transforms (image linear, mask nearest)."""

from __future__ import annotations

from math import radians
from typing import Any

import torch
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandGaussianNoised,
    RandGaussianSmoothd,
    Randomizable,
    RandScaleIntensityd,
    RandShiftIntensityd,
    Transform,
)
from torch import Tensor

from pancseg.training.data.labelled_slice import UNKNOWN
from pancseg.training.recipe import Augmentation

SMALLEST_RECTANGLE_PX, LARGEST_RECTANGLE_PX = 24, 128


def build_augmentation(settings: Augmentation, window: tuple[int, int]) -> Compose:
    """Return a transform of ``{"image", "mask"}``, each ``(1, y, x)``, to ``window`` float32.

    The window is sampled around the slice's centre. Shifts are shares of the window's sides, and
    outside the slice is air (0).

    Args:
        settings: ranges of the random changes.
        window: rows and columns of the result.
    """
    shifts = tuple(settings.shift * side for side in window)
    changes: list[Transform] = [
        RandAffined(
            ["image", "mask"],
            prob=1.0,
            spatial_size=window,
            rotate_range=radians(settings.rotation_deg),
            scale_range=(settings.zoom, settings.zoom),
            translate_range=shifts,
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
        )
    ]
    if settings.blur_sigma_px:
        width = (min(0.3, settings.blur_sigma_px), settings.blur_sigma_px)
        changes.append(RandGaussianSmoothd(["image"], sigma_x=width, sigma_y=width, prob=0.3))
    if settings.intensity_scale:
        changes.append(RandScaleIntensityd(["image"], factors=settings.intensity_scale, prob=0.7))
    if settings.intensity_shift:
        changes.append(RandShiftIntensityd(["image"], offsets=settings.intensity_shift, prob=0.5))
    if settings.gamma:
        powers = (1 / (1 + settings.gamma), 1 + settings.gamma)
        changes.append(RandAdjustContrastd(["image"], gamma=powers, prob=0.3))
    if settings.noise_std:
        changes.append(RandGaussianNoised(["image"], std=settings.noise_std, prob=0.5))
    if settings.blank:
        changes.append(_KeepOneRectangle(settings.blank))
    return Compose(changes)


class _KeepOneRectangle(Randomizable, Transform):  # type: ignore[misc] # MONAI is not typed
    """With some probability, blank all but a random rectangle and mark the rest as unknown."""

    def __init__(self, chance: float) -> None:
        self._chance = chance

    def __call__(self, item: dict[str, Tensor]) -> dict[str, Any]:
        if self.R.random() >= self._chance:
            return item
        sides = []
        for size in item["image"].shape[1:]:
            largest = min(LARGEST_RECTANGLE_PX, size)
            length = int(self.R.randint(min(SMALLEST_RECTANGLE_PX, largest), largest + 1))
            start = int(self.R.randint(0, size - length + 1))
            sides.append(slice(start, start + length))
        image = torch.zeros_like(item["image"])
        mask = torch.full_like(item["mask"], UNKNOWN)
        image[:, *sides], mask[:, *sides] = item["image"][:, *sides], item["mask"][:, *sides]
        return {"image": image, "mask": mask}
