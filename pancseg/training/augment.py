"""Random changes of training slices, with MONAI's transforms: image linear, mask nearest."""

from __future__ import annotations

from math import radians

from monai.transforms import (
    Compose,
    RandAffined,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
)

from pancseg.training.recipe import Augmentation


def build_augmentation(settings: Augmentation, crop: int, seed: int) -> Compose:
    """Return a transform of ``{"image", "mask"}``, each ``(1, crop, crop)`` float32.

    The affine samples a ``crop``-sized window of the slice: shift is a share of the crop's side,
    outside the slice is air (0).
    """
    both = ["image", "mask"]
    shift = int(settings.shift * crop)
    transforms = Compose(
        [
            RandAffined(
                both,
                prob=1.0,
                spatial_size=(crop, crop),
                rotate_range=radians(settings.rotation_deg),
                scale_range=settings.zoom,
                translate_range=(shift, shift),
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            RandGaussianSmoothd(
                ["image"],
                sigma_x=(0.3, settings.blur_sigma_px),
                sigma_y=(0.3, settings.blur_sigma_px),
                prob=0.3,
            ),
            RandScaleIntensityd(["image"], factors=settings.intensity_scale, prob=0.7),
            RandShiftIntensityd(["image"], offsets=settings.intensity_shift, prob=0.5),
            RandGaussianNoised(["image"], std=settings.noise_std, prob=0.5),
        ]
    )
    transforms.set_random_state(seed)
    return transforms
