"""Training learns, goes on where it stopped, and writes a checkpoint that segments."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.training.dataset import SliceDataset
from pancseg.training.loop import SliceSegmentation, train
from pancseg.training.recipe import Recipe, load_recipe
from pancseg.training.slices import read_slices
from pancseg.training.validation import validate

PROVENANCE = {"data": "a", "licence": "b", "attribution": "c", "intended_use": "d"}


def recipe(**changes: object) -> Recipe:
    base: dict[str, object] = {
        "slices": [{"index": "index.csv", "folder": ".", "grey_hu": [0, 255], "flip_y": True}],
        "window_hu": [0, 255],
        "size": 32,
        "crop": 32,
        "batch_size": 4,
        "epochs": 1,
        "learning_rate": 0.01,
        "head_start": 0,
        "provenance": PROVENANCE,
    }
    return Recipe.model_validate({**base, **changes})


@pytest.fixture
def slice_set(tmp_path: Path) -> Path:
    """Indexed slices of 6 patients: a bright square (the organ) on a dim body, upside down."""
    folder = tmp_path / "slices"
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows = []
    for number in range(24):
        image, mask = np.zeros((64, 64)), np.zeros((64, 64))
        image[8:56, 8:56] = 90
        y, x = rng.integers(14, 34, 2)
        image[y : y + 16, x : x + 16], mask[y : y + 16, x : x + 16] = 200, 255
        file = f"s{number:02}.png"
        for kind, pixels in (("images", image), ("masks", mask)):
            Image.fromarray(pixels[::-1].astype(np.uint8)).save(folder / kind / file)
        rows.append(
            {"file": file, "patient": number % 6, "split": "val" if number % 6 == 5 else "train"}
        )
    with (folder / "index.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_slices_come_upright_and_windowed(slice_set: Path) -> None:
    slices = read_slices(recipe(), slice_set)
    assert len(slices) == 24
    first = slices[0]
    assert (first.image.shape, first.image.dtype) == ((32, 32), np.uint8)
    assert first.image[first.mask].mean() > 185
    upside_down = read_slices(
        recipe(slices=[{"index": "index.csv", "folder": ".", "grey_hu": [0, 255]}]), slice_set
    )
    np.testing.assert_array_equal(upside_down[0].image, first.image[::-1])


def test_a_patient_in_both_splits_is_refused(slice_set: Path) -> None:
    index = slice_set / "index.csv"
    index.write_text(index.read_text().replace("s05.png,5,val", "s05.png,0,val"))
    with pytest.raises(ValueError, match="patients in both splits: 0"):
        read_slices(recipe(), slice_set)


def test_training_learns_and_leaves_a_checkpoint(slice_set: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(recipe(epochs=9), slice_set, run, threads=1)
    log = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    losses = [float(row["train_loss"]) for row in log]
    assert len(losses) == 9
    assert losses[-1] < 0.85 * losses[0]
    best = json.loads((run / "best.json").read_text())
    assert set(best["val_dice_per_patient"]) == {"5"}
    checkpoint = load_checkpoint(run / "best.safetensors")
    assert checkpoint.provenance == PROVENANCE
    assert checkpoint.preprocessing.size == 32
    assert sorted(p.name for p in run.iterdir()) == [
        "best.json", "best.safetensors", "last.ckpt", "metrics.csv", "recipe.yaml",
    ]  # fmt: skip


def test_a_killed_run_goes_on_as_if_never_stopped(
    slice_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe(epochs=3), slice_set, tmp_path / "whole", threads=1)

    def killed(self: SliceSegmentation, batch: object, index: int) -> Tensor:
        if self.current_epoch == 1 and index == 2:
            raise KeyboardInterrupt
        return step(self, batch, index)

    step = SliceSegmentation.training_step
    with monkeypatch.context() as patch:
        patch.setattr(SliceSegmentation, "training_step", killed)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever Lightning makes of it
            train(recipe(epochs=3), slice_set, tmp_path / "cut", threads=1)
    assert len((tmp_path / "cut" / "metrics.csv").read_text().splitlines()) == 2
    train(recipe(epochs=3), slice_set, tmp_path / "cut", threads=1)
    whole, cut = ((tmp_path / name / "metrics.csv").read_text() for name in ("whole", "cut"))
    assert whole == cut


def test_a_run_is_not_continued_with_another_recipe(slice_set: Path, tmp_path: Path) -> None:
    train(recipe(), slice_set, tmp_path / "run", threads=1)
    with pytest.raises(ValueError, match="another recipe"):
        train(recipe(learning_rate=0.02), slice_set, tmp_path / "run", threads=1)


def test_augmentation_moves_image_and_mask_together(slice_set: Path) -> None:
    slices = read_slices(recipe(), slice_set)
    dataset = SliceDataset(slices, recipe(), augment=True)
    for number in range(len(slices)):
        image, mask, _ = dataset[number]
        if mask.any():
            assert image[mask > 0.5].mean() > 1.3 * image[(mask < 0.5) & (image > 0.2)].mean()


def test_validation_scores_whole_slices(slice_set: Path, tmp_path: Path) -> None:
    train(recipe(epochs=1), slice_set, tmp_path / "run", threads=1)
    scores = validate(str(tmp_path / "run" / "best.safetensors"), recipe(), slice_set, threads=1)
    assert set(scores) == {"5"}
    assert (scores["5"].slices, scores["5"].empty) == (4, 0)
    assert 0 <= scores["5"].dice <= 1


def test_shipped_recipes_are_valid_and_unknown_keys_refused() -> None:
    for name in ("monet_nih", "monet_phantom"):
        assert load_recipe(name).network == "monet"
    with pytest.raises(ValidationError, match="epoch_count"):
        recipe(epoch_count=3)
