"""Windows around the label: where they lie in training and in validation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pancseg.training.data.dataset import Draw, LabelWindows, TrainingSlices
from pancseg.training.data.labelled_slice import LabelledSlice
from pancseg.training.recipe import Augmentation, Recipe

STILL = Augmentation(rotation_deg=0, zoom=0, shift=0)


def labelled(*, organ: bool = True) -> LabelledSlice:
    """A body from (16, 16) to (112, 112) with an organ of 8×8 pixels at (80, 40)."""
    image, mask = np.zeros((128, 128), np.uint8), np.zeros((128, 128), np.uint8)
    image[16:112, 16:112] = np.linspace(60, 140, 96, dtype=np.uint8)
    if organ:
        image[80:88, 40:48], mask[80:88, 40:48] = 200, 1
    return LabelledSlice("P1", "train", image, mask)


def recipe(**changes: object) -> Recipe:
    base: dict[str, object] = {
        "epochs": 1, "size": 128, "crop": (32, 48), "crop_around": "label", "augmentation": STILL,
    }  # fmt: skip
    return Recipe.model_validate({**base, **changes})


def test_a_training_window_is_centred_on_the_organ() -> None:
    image, mask, _ = TrainingSlices([labelled()], recipe())[Draw(0, 1)]
    assert image.shape == mask.shape == (1, 32, 48)
    rows, columns = torch.nonzero(mask[0], as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12, 19, 20, 27)
    assert torch.allclose(image[mask == 1], torch.tensor(200 / 255), atol=1e-3)


def test_some_windows_lie_elsewhere_in_the_body() -> None:
    chosen = TrainingSlices([labelled()], recipe(elsewhere=0.5))
    with_organ = sum(bool((chosen[Draw(0, seed)][1]).sum() == 64) for seed in range(60))
    assert 25 <= with_organ <= 50
    everywhere = TrainingSlices([labelled()], recipe(elsewhere=1.0))
    for seed in range(20):
        image, _, _ = everywhere[Draw(0, seed)]
        assert image[0, 16, 24] > 0  # the window's centre is body


def test_a_window_of_a_slice_without_pancreas_lies_in_the_body() -> None:
    empty = TrainingSlices([labelled(organ=False)], recipe())
    centres = {float(empty[Draw(0, seed)][0][0, 16, 24]) for seed in range(20)}
    assert min(centres) > 0


def test_validation_windows_are_the_same_in_every_epoch() -> None:
    windows = LabelWindows([labelled(), labelled(organ=False)], (32, 48))
    for index in (0, 1):
        first, again = windows[index], windows[index]
        assert torch.equal(first[0], again[0])
        assert first[0].shape == (1, 32, 48)
    assert windows[0][1].sum() == 64
    assert windows[1][1].sum() == 0


def test_a_window_around_the_label_needs_its_size() -> None:
    with pytest.raises(ValidationError, match="crop_around: label needs the window's rows"):
        recipe(crop=None)


def test_gamma_changes_the_brightness_between_black_and_white() -> None:
    changed = recipe(augmentation=STILL.model_copy(update={"gamma": 1.0}))
    plain = TrainingSlices([labelled()], recipe())[Draw(0, 0)][0]
    others = [TrainingSlices([labelled()], changed)[Draw(0, seed)][0] for seed in range(20)]
    different = [image for image in others if not torch.allclose(image, plain, atol=1e-3)]
    assert 1 <= len(different) <= 15
    for image in different:
        assert float(image.max()) == pytest.approx(float(plain.max()), abs=1e-3)
