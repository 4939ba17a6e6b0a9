"""Networks that teach: what the target becomes, and which of them are refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss
from two_looks import fine, two_looks

from pancseg.segmentation.checkpoint import Preprocessing, load_checkpoint
from pancseg.training.checked_recipe import check
from pancseg.training.data.labelled_slice import UNKNOWN, LabelledSlice
from pancseg.training.data.load import TrainingData
from pancseg.training.data.split import Split
from pancseg.training.distillation import Teachers, load_teachers
from pancseg.training.fit import train, train_checked
from pancseg.training.hardware import Hardware
from pancseg.training.losses import KnownLoss
from pancseg.training.recipe import Recipe

ONE_THREAD = Hardware(threads=1, precision="32-true", accelerator="cpu", devices=1)
PROVENANCE = {"data": "a", "licence": "b", "attribution": "c", "intended_use": "d"}


def taught(**changes: object) -> Recipe:
    base: dict[str, object] = {
        "size": 32, "batch_size": 2, "epochs": 2, "learning_rate": 0.01, "loss": "dice_ce",
        "schedule": "one_cycle", "teachers": ["monet_phantom"],
    }  # fmt: skip
    return Recipe.model_validate({**base, **changes})


def small_teacher(folder: Path) -> str:
    """Save the phantom's network as one of slices of 32×32."""
    path = folder / "teacher.safetensors"
    seen = Preprocessing(window_hu=(0, 100), size=32)
    replace(load_checkpoint("monet_phantom"), preprocessing=seen, places=None).save(path)
    return str(path)


def data(organ_at: int = 8) -> TrainingData:
    """Eight bodies of four patients whose images show an organ of 8×8 pixels at row 8."""
    slices = []
    for number in range(8):
        image, mask = np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8)
        image[4:28, 4:28] = 80 + 5 * number
        image[8:16, 8:16] = 180
        mask[organ_at : organ_at + 8, 8:16] = 1
        split = "val" if number % 4 == 3 else "train"
        slices.append(LabelledSlice(str(number % 4), split, image, mask))
    return TrainingData(
        slices=slices,
        shares=[1.0],
        preprocessing=Preprocessing(window_hu=(0, 100), size=32),
        provenance=PROVENANCE,
        split=Split(train=("0", "1", "2"), val=("3",)),
    )


@pytest.mark.parametrize("share", [0.25, 1.0])
@pytest.mark.parametrize("loss", ["dice", "dice_ce"])
def test_the_loss_is_least_where_the_network_gives_the_mixture(loss: str, share: float) -> None:
    measure = KnownLoss(taught(loss=loss, teacher_share=share))
    random = torch.Generator().manual_seed(1)
    mask = (torch.rand(2, 1, 16, 16, generator=random) > 0.7).float()
    seen = torch.rand(2, 1, 16, 16, generator=random) * 0.8 + 0.1
    mixture = ((1 - share) * mask + share * seen).clamp(1e-6, 1 - 1e-6)
    best = measure(torch.logit(mixture), mask, seen)
    for change in (-0.5, 0.5):
        assert measure(torch.logit(mixture) + change, mask, seen) > best + 1e-3


def test_unknown_pixels_are_not_taught_either() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = UNKNOWN
    logits = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    KnownLoss(taught())(logits, mask, torch.full_like(mask, 0.9)).backward()
    assert logits.grad is not None
    assert logits.grad[..., 4:].abs().max() == 0
    assert logits.grad[..., :4].abs().min() > 0


@pytest.mark.parametrize("loss", ["dice", "dice_ce"])
def test_without_teachers_it_is_monai_s_loss(loss: str) -> None:
    random = torch.Generator().manual_seed(2)
    logits = torch.randn(3, 1, 16, 16, generator=random)
    mask = (torch.rand(3, 1, 16, 16, generator=random) > 0.8).float()
    monai = (
        DiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
        if loss == "dice"
        else DiceCELoss(sigmoid=True, batch=True, lambda_ce=0.5)
    )
    assert KnownLoss(taught(loss=loss, teachers=[]))(logits, mask) == monai(logits, mask)


def test_teachers_are_looked_at_without_dropout_and_averaged() -> None:
    networks = [load_checkpoint(name).build() for name in ("monet_phantom", "monet_open")]
    image = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    teachers = Teachers(networks, torch.contiguous_format)
    first = teachers.probability(image)
    assert torch.equal(first, teachers.probability(image))
    with torch.no_grad():
        each = [torch.sigmoid(network(image)) for network in networks]
    torch.testing.assert_close(first, (each[0] + each[1]) / 2)


def test_who_learns_from_a_teacher_alone_does_not_see_the_masks(tmp_path: Path) -> None:
    teacher = small_teacher(tmp_path)

    def learned(share: float, organ_at: int) -> dict[str, Any]:
        run = tmp_path / f"{share}_{organ_at}"
        recipe = taught(teacher_share=share, teachers=[teacher])
        train(recipe, data(organ_at), run, hardware=ONE_THREAD)
        return dict(load_checkpoint(run / "last.safetensors").weights)

    def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
        return all(np.array_equal(a[name], b[name]) for name in a)

    assert same(learned(1.0, 8), learned(1.0, 16))
    assert not same(learned(0.5, 8), learned(0.5, 16))
    assert not same(learned(0.5, 8), learned(1.0, 8))


def test_files_of_weights_are_read_once(tmp_path: Path) -> None:
    """They were read by the check, by the training's check and by the training."""
    teacher = tmp_path / "teacher.safetensors"
    small_teacher(tmp_path)
    first = shutil.copy(teacher, tmp_path / "first.safetensors")
    changes = {"teachers": [str(teacher)], "init_from": str(first), "epochs": 1}
    plan = taught(**changes, learning_rate=1e-9)
    checked = check(plan, ONE_THREAD, (0, 100))
    wanted = load_checkpoint(first).weights["bottleneck.0.0.weight"]
    teacher.unlink()
    Path(first).unlink()
    weights = train_checked(checked, data(), tmp_path / "run")
    found = load_checkpoint(weights).weights["bottleneck.0.0.weight"]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    other = Preprocessing(window_hu=(-50, 50), size=32)
    with pytest.raises(ValueError, match="for slices of 0 to 100 HU, but these are of -50 to 50"):
        train_checked(checked, replace(data(), preprocessing=other), tmp_path / "other")


def test_teachers_see_what_the_network_sees(tmp_path: Path) -> None:
    path = tmp_path / "fine.safetensors"
    fine().save(path)
    window = fine().preprocessing.window_hu
    rows, columns = fine().windows.size  # type: ignore[union-attr]
    around = {"crop_around": "label", "crop": (rows, columns), "size": 256}

    def refused(words: str, window_hu: tuple[float, float] = window, **changes: object) -> None:
        with pytest.raises(ValueError, match=words):
            check(taught(**changes), ONE_THREAD, window_hu)

    other = r"sees windows of 96×128 pixels and .* HU, but this training shows "
    refused(f"{other}slices of 256×256 pixels", teachers=[str(path)], size=256)
    refused(f"{other}windows of 96×96", teachers=[str(path)], **{**around, "crop": (96, 96)})
    refused("sees slices of 256×256 .* but this training shows windows of 96×128", **around)
    refused("256×256 pixels and .* HU, but this training shows slices of 32×32 pixels and")
    refused("256×256 .* shows slices of 256×256 pixels and 0 to 100 HU", (0, 100), size=256)
    check(taught(teachers=[str(path)], **around), ONE_THREAD, window)
    check(taught(size=256), ONE_THREAD, window)
    with pytest.raises(FileNotFoundError, match="monet_open, monet_phantom"):
        check(taught(teachers=["nobody"]), ONE_THREAD, window)


def test_of_two_looks_the_one_teaches_that_sees_what_is_trained_on(tmp_path: Path) -> None:
    path, both = tmp_path / "two.safetensors", two_looks()
    both.save(path)
    window_hu = both.preprocessing.window_hu
    assert both.second is not None
    assert both.second.windows is not None
    around = {"crop": both.second.windows.size, "crop_around": "label"}
    for changes, expected in (({"size": 256}, both), (around, both.second)):
        (teacher,) = load_teachers(taught(teachers=[str(path)], **changes), window_hu)
        assert teacher.weights.keys() == expected.weights.keys()
        for name, weight in teacher.weights.items():
            np.testing.assert_array_equal(weight, expected.weights[name])


def test_a_teacher_that_sees_other_slices_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match="training shows slices of 32×32 pixels and 0 to 100 HU"):
        train(taught(), data(), tmp_path / "run", hardware=ONE_THREAD)
    assert not (tmp_path / "run" / "recipe.yaml").exists()
