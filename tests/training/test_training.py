"""Training learns, goes on where it stopped, and writes a checkpoint that segments."""

from __future__ import annotations

import csv
import errno
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import yaml
from command_line import call
from conftest import ROOT
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from two_looks import fine

from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import load_checkpoint, weights_of
from pancseg.segmentation.look_windows import LookWindows
from pancseg.segmentation.networks import NETWORKS
from pancseg.segmentation.networks.activation_ranges import rounded_steps
from pancseg.segmentation.networks.stored_graphs import graph_of
from pancseg.system.whole_files import partial_path
from pancseg.system.yaml_file import shipped_names
from pancseg.training import predictions
from pancseg.training.averaging import mean_of
from pancseg.training.batch_norm import recompute, typical
from pancseg.training.calibration import add_ranges, with_ranges
from pancseg.training.checked_recipe import check
from pancseg.training.data.augment import build_augmentation
from pancseg.training.data.dataset import Draw, Shuffled, TrainingSlices, WholeSlices
from pancseg.training.data.labelled_slice import UNKNOWN
from pancseg.training.data.load import TrainingData, load_data, validation_names
from pancseg.training.data.slice_set import SLICE_SETS, SliceSet, load_slice_set
from pancseg.training.data.slices import native_slices
from pancseg.training.fit import FINISHED, train
from pancseg.training.hardware import Hardware
from pancseg.training.losses import KnownLoss
from pancseg.training.module import SliceSegmentation
from pancseg.training.predictions import check_free, write_predictions
from pancseg.training.recipe import RECIPES, Augmentation, Recipe, load_recipe
from pancseg.training.scoring import Scored, validate

PROVENANCE = {"data": "a", "licence": "b", "attribution": "c", "intended_use": "d"}
ONE_THREAD = Hardware(threads=1, precision="32-true", accelerator="cpu", devices=1)


def recipe(**changes: object) -> Recipe:
    base: dict[str, object] = {
        "size": 32,
        "batch_size": 4,
        "epochs": 1,
        "learning_rate": 0.01,
        "loss": "dice_ce",
        "schedule": "one_cycle",
    }
    return Recipe.model_validate({**base, **changes})


def description(**changes: object) -> SliceSet:
    source = {"index": "index.csv", "folder": ".", "grey_hu": [0, 255], "flip_y": True, **changes}
    return SliceSet.model_validate(
        {"window_hu": [0, 255], "provenance": PROVENANCE, "sources": [source]}
    )


def data_of(folder: Path, which: SliceSet | None = None) -> TrainingData:
    """What a person gets who describes the slices in a YAML file."""
    path = folder / "slices.yaml"
    path.write_text(yaml.safe_dump((which or description()).model_dump(mode="json")))
    return load_data(recipe(), folder, slices=str(path), cache=folder / "cache")


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
    slices = data_of(slice_set).slices
    assert len(slices) == 24
    first = slices[0]
    assert (first.image.shape, first.image.dtype) == ((32, 32), np.uint8)
    assert first.image[first.mask == 1].mean() > 185
    upside_down = data_of(slice_set, description(flip_y=False)).slices
    np.testing.assert_array_equal(upside_down[0].image, first.image[::-1])


def test_a_part_of_a_slice_lies_at_its_place_and_the_rest_is_unknown(slice_set: Path) -> None:
    """A 64×64 picture as the box from (32, 16), 32 wide and 64 high, of a frame of 128×128."""
    boxed = description(box=[32, 16, 32, 64], frame=128, flip_y=False)
    mask = data_of(slice_set, boxed).slices[0].mask
    known = mask != UNKNOWN
    assert known[4:20, 8:16].all()
    assert known.sum() == 16 * 8
    native = next(native_slices(boxed.sources[0], slice_set))
    assert native.hu.shape == (128, 128)
    assert native.hu[~native.known].max() == 0
    assert native.mask.sum() == pytest.approx(16 * 16 / 2, rel=0.05)  # half as wide


def test_rows_are_chosen_by_column(slice_set: Path) -> None:
    chosen = data_of(slice_set, description(where={"split": "val", "patient": "5"})).slices
    assert {s.patient for s in chosen} == {"5"}
    with pytest.raises(ValueError, match=r"index\.csv has no column part"):
        data_of(slice_set, description(where={"part": "full"}))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("s05.png,5,", "s05.png,b-5,", "patients b-5 and 5 end in the same number"),
        ("s05.png,5,", "s05.png,,", "1 of 24 rows have no patient"),
        ("s05.png,5,", "s05.png, ,", "1 of 24 rows have no patient"),
    ],
)
def test_patients_are_never_made_one(slice_set: Path, old: str, new: str, problem: str) -> None:
    index = slice_set / "index.csv"
    index.write_text(index.read_text().replace(old, new))
    with pytest.raises(ValueError, match=rf"index\.csv: {problem}"):
        data_of(slice_set)


def test_blanks_around_a_patient_do_not_count(slice_set: Path) -> None:
    index = slice_set / "index.csv"
    index.write_text(index.read_text().replace("s05.png,5,", "s05.png,5 ,"))
    assert {s.patient for s in data_of(slice_set).slices} == set("012345")


def test_outside_a_box_is_air_to_the_network(slice_set: Path) -> None:
    """As in training, whatever the window's lower end."""
    seen = list[NDArray[np.float32]]()

    def probabilities(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(slices)
        return slices

    boxed = description(box=[32, 16, 32, 64], frame=128)
    (source,) = boxed.sources
    native = next(native_slices(source, slice_set))
    checkpoint = load_checkpoint("monet_phantom")
    settings = checkpoint.preprocessing.model_copy(update={"window_hu": (-150.0, 200.0)})
    predictions.found_in(native, probabilities, replace(checkpoint, preprocessing=settings))
    assert len(seen) == 1
    assert (seen[0][:, :, :60] == 0).all()
    assert seen[0].max() > 0.9


def test_a_patient_in_both_splits_is_refused(slice_set: Path, tmp_path: Path) -> None:
    index = slice_set / "index.csv"
    index.write_text(index.read_text().replace("s05.png,5,val", "s05.png,0,val"))
    with pytest.raises(ValueError, match="patients in both training and validation: 0"):
        train(recipe(), data_of(slice_set), tmp_path / "run", hardware=ONE_THREAD)


def test_an_empty_validation_set_is_refused(slice_set: Path, tmp_path: Path) -> None:
    data = data_of(slice_set, description(in_validation=False))
    with pytest.raises(ValueError, match="validation set is empty"):
        train(recipe(), data, tmp_path / "run", hardware=ONE_THREAD)


def test_a_loss_that_is_not_finite_stops_the_run(slice_set: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"loss became nan in epoch \d+; lower"):
        train(recipe(learning_rate=1e30), data_of(slice_set), tmp_path, hardware=ONE_THREAD)


def test_training_learns_and_leaves_a_checkpoint(slice_set: Path, tmp_path: Path) -> None:
    run, lines = tmp_path / "run", list[str]()
    data = data_of(slice_set)
    weights = train(recipe(epochs=9), data, run, hardware=ONE_THREAD, report=lines.append)
    log = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    losses = [float(row["train_loss"]) for row in log]
    assert len(losses) == len(lines) == 9
    assert losses[-1] < 0.85 * losses[0]
    best = json.loads((run / "best.json").read_text())
    assert set(best["val_dice_per_patient"]) == {"5"}
    assert weights == run / "last.safetensors"
    checkpoint = load_checkpoint(weights)
    assert checkpoint.provenance == PROVENANCE
    assert checkpoint.preprocessing.size == 32
    assert sorted(p.name for p in run.iterdir()) == [
        "best.json", "best.safetensors", "curve.png", "data.json", "environment.json",
        "finished.json", "last.ckpt", "last.json", "last.safetensors", "metrics.csv",
        "recipe.yaml", "split.json",
    ]  # fmt: skip
    write_predictions(weights, data, slice_set, run, hardware=ONE_THREAD)
    found, truth = (sitk.ReadImage(run / d / "5.nii.gz") for d in ("predictions", "references"))
    assert found.GetSize() == truth.GetSize() == (64, 64, 4)
    native = [
        s.mask for s in native_slices(description().sources[0], slice_set) if s.split == "val"
    ]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(truth), np.stack(native))


def test_shipped_weights_make_masks_of_the_validation_patients(
    slice_set: Path, tmp_path: Path
) -> None:
    set_file = tmp_path / "set.yaml"
    set_file.write_text(yaml.safe_dump(description().model_dump(mode="json")))
    predictions.predict_slice_set("monet_phantom", str(set_file), slice_set, tmp_path / "masks")
    for folder in ("predictions", "references"):
        assert sitk.ReadImage(tmp_path / "masks" / folder / "5.nii.gz").GetSize() == (64, 64, 4)
    options = ["--slices", set_file, "--data", slice_set, "--out", tmp_path / "again"]
    assert call("weights", "masks", "monet_phantom", *options) == (0, "", "")
    masks = {p.name: p.read_bytes() for p in (tmp_path / "masks" / "predictions").glob("*.gz")}
    again = {p.name: p.read_bytes() for p in (tmp_path / "again" / "predictions").glob("*.gz")}
    assert masks == again
    code, out, err = call("weights", "masks", "none", *options)
    assert (code, out) == (2, "")
    assert err.startswith("pancseg: there is no checkpoint 'none'")


def test_finished_weights_get_a_map_of_places(slice_set: Path, tmp_path: Path) -> None:
    (tmp_path / "set.yaml").write_text(yaml.safe_dump(description().model_dump(mode="json")))
    options = ["--slices", tmp_path / "set.yaml", "--data", slice_set, "--out"]
    assert call("weights", "places", "monet_phantom", *options, tmp_path / "a.safetensors")[0] == 0
    wide = ["--widen", "0.5", *options, tmp_path / "b.safetensors"]
    assert call("weights", "places", "monet_phantom", *wide)[0] == 0
    for share in ("-1", "0.6", "nan"):
        too_wide = ("weights", "places", "monet_phantom", "--widen", share)
        code, _, errors = call(*too_wide, *options, tmp_path / "c.safetensors")
        assert (code, errors) == (2, f"pancseg: --widen is {share} (expected 0–0.5)\n")
    fine().save(tmp_path / "fine.safetensors")
    code, _, errors = call(
        "weights", "places", tmp_path / "fine.safetensors", *options, tmp_path / "d.safetensors"
    )
    assert code == 2
    assert "those of a second look, which sees windows of 96×128 pixels" in errors
    places = [load_checkpoint(tmp_path / f"{name}.safetensors").places for name in "ab"]
    assert places[0].any(), places[1].any()
    assert np.all(places[1] >= places[0])
    assert places[1].sum() > places[0].sum()
    assert not np.array_equal(places[0], load_checkpoint("monet_phantom").places)


def test_finished_weights_get_ranges_of_their_training_slices(
    slice_set: Path, tmp_path: Path
) -> None:
    set_file = tmp_path / "set.yaml"
    window = description().model_copy(update={"window_hu": (0.0, 240.0)})
    set_file.write_text(yaml.safe_dump(window.model_dump(mode="json")))
    both = replace(load_checkpoint("monet_phantom"), second=fine(LookWindows(size=(32, 48))))
    (tmp_path / "in").mkdir()
    both.without_ranges().save(tmp_path / "in" / "two.safetensors")
    options = ["--slices", set_file, "--data", slice_set, "--out", tmp_path / "out.safetensors"]
    called = call("weights", "calibrate", tmp_path / "in" / "two.safetensors", *options)
    assert called == (0, "", "")
    made = load_checkpoint(tmp_path / "out.safetensors")
    needed = set(rounded_steps(graph_of("monet")))
    assert made.second is not None
    assert made.ranges is not None
    assert made.second.ranges is not None
    assert set(made.ranges) == set(made.second.ranges) == needed
    assert made.ranges != made.second.ranges  # windows show other things than whole slices
    assert made.made_of("fp32") == load_checkpoint(tmp_path / "in" / "two.safetensors").sha256


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, "the slices were clipped to 0 to 255 HU (window_hu), but the network sees 0 to 240"),
        ({"window_hu": (0.0, 240.0), "split": "val"}, "none of the 4 slices belongs to that split"),
    ],
)
def test_slices_that_cannot_calibrate_are_refused(
    changes: dict[str, Any], problem: str, slice_set: Path, tmp_path: Path
) -> None:
    where = {"where": {"split": changes["split"]}} if "split" in changes else {}
    made = description(**where)
    window = changes.get("window_hu", made.window_hu)
    set_file = tmp_path / "set.yaml"
    text = made.model_copy(update={"window_hu": window}).model_dump(mode="json")
    set_file.write_text(yaml.safe_dump(text))
    options = ["--slices", set_file, "--data", slice_set, "--out", tmp_path / "out.safetensors"]
    code, out, err = call("weights", "calibrate", "monet_phantom", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert problem in err
    assert not (tmp_path / "out.safetensors").exists()


def test_a_training_leaves_ranges_in_each_network(slice_set: Path, tmp_path: Path) -> None:
    """And goes on without where a network has none."""
    data, told = data_of(slice_set), list[str]()
    mean = recipe(keep="mean", mean_epochs=1)
    train(mean, data, tmp_path / "run", hardware=ONE_THREAD, report=told.append)
    assert not any("ranges" in line for line in told)
    for name in ("last", "best", "mean"):
        kept = load_checkpoint(tmp_path / "run" / f"{name}.safetensors")
        assert kept.ranges is not None, name
        assert kept.ranges == with_ranges(kept, data.slices).ranges
    add_ranges(tmp_path / "run", "monet", [s for s in data.slices if s.split == "val"], told.append)
    assert sum("holds no ranges of activations, which int8 needs: " in line for line in told) == 3


UNTRACED = """
from torch import nn

class Net(nn.Conv2d):
    def __init__(self):
        super().__init__(1, 1, 3, padding=1)

    def forward(self, x):
        return super().forward(x) if x.mean() > 0 else x
"""


def test_a_network_that_torch_cannot_trace_stays_without_ranges(
    slice_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "untraced.py").write_text(UNTRACED)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "untraced", raising=False)
    data, told = data_of(slice_set), list[str]()
    own = recipe(network="untraced:Net")
    weights = train(own, data, tmp_path / "run", hardware=ONE_THREAD, report=told.append)
    assert load_checkpoint(weights, allow_code=True).ranges is None
    (line,) = [each for each in told if each.startswith("last.safetensors holds no ranges")]
    assert "torch cannot trace network 'untraced:Net' (TraceError: " in line
    assert "\n" not in line


def test_same_seed_same_bytes(slice_set: Path, tmp_path: Path) -> None:
    hashes = set()
    for name in ("one", "two"):
        weights = train(recipe(), data_of(slice_set), tmp_path / name, hardware=ONE_THREAD)
        hashes.add(load_checkpoint(weights).sha256)
    assert len(hashes) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_killed_run_goes_on_as_if_never_stopped(
    slice_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """With whatever prepares the slices: a process that does draws before its epoch begins."""
    data = data_of(slice_set)
    plan = recipe(epochs=3, schedule="plateau", keep="mean", mean_epochs=2)
    whole = train(plan, data, tmp_path / "whole", hardware=ONE_THREAD)
    hardware = replace(ONE_THREAD, workers=workers)

    def killed(self: SliceSegmentation, batch: object, index: int) -> Tensor:
        if self.current_epoch == 1 and index == 2:
            raise KeyboardInterrupt
        return step(self, batch, index)

    step = SliceSegmentation.training_step
    with monkeypatch.context() as patch:
        patch.setattr(SliceSegmentation, "training_step", killed)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever Lightning makes of it
            train(plan, data, tmp_path / "cut", hardware=hardware)
    assert len((tmp_path / "cut" / "metrics.csv").read_text().splitlines()) == 2
    cut = train(plan, data, tmp_path / "cut", hardware=hardware)
    texts = {(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "cut")}
    assert len(texts) == 1
    assert load_checkpoint(whole).sha256 == load_checkpoint(cut).sha256


def test_a_plateau_is_remembered_however_often_a_run_is_killed(
    slice_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in each epoch, the rate falls as in a run that was left alone."""
    data = data_of(slice_set)
    plan = recipe(epochs=6, schedule="plateau", loss="dice", learning_rate=1e-6)
    train(plan, data, tmp_path / "whole", hardware=ONE_THREAD)
    step, reached = SliceSegmentation.training_step, set[int]()

    def killed(self: SliceSegmentation, batch: object, index: int) -> Tensor:
        if index == 2 and self.current_epoch not in reached:
            reached.add(self.current_epoch)
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(SliceSegmentation, "training_step", killed)
    for _ in range(6):
        with pytest.raises(BaseException):  # noqa: B017, PT011
            train(plan, data, tmp_path / "cut", hardware=ONE_THREAD)
    train(plan, data, tmp_path / "cut", hardware=ONE_THREAD)
    assert reached == set(range(6))
    whole, cut = ((tmp_path / name / "metrics.csv").read_text() for name in ("whole", "cut"))
    assert cut == whole
    rates = [float(row["learning_rate"]) for row in csv.DictReader(cut.splitlines())]
    assert rates[-1] < 0.2 * rates[0]


def test_a_training_that_stopped_early_is_at_its_end(slice_set: Path, tmp_path: Path) -> None:
    plan = recipe(epochs=9, schedule="plateau", loss="dice", learning_rate=1e-6, patience=1)
    weights = train(plan, data_of(slice_set), tmp_path, hardware=ONE_THREAD)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    assert len(before["metrics.csv"].splitlines()) < 10
    assert train(plan, data_of(slice_set), tmp_path, hardware=ONE_THREAD) == weights
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before
    (tmp_path / FINISHED).unlink()  # killed when the last epoch was on the disk
    train(plan, data_of(slice_set), tmp_path, hardware=ONE_THREAD)
    for name in ("metrics.csv", "best.json", "best.safetensors", FINISHED):
        assert (tmp_path / name).read_bytes() == before[name]


def test_where_neither_network_nor_truth_has_a_pixel_the_dice_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = SliceSegmentation(recipe(), 1, ["a", "b", "c"])
    module._counts = torch.tensor([[0, 0], [0, 8], [4, 8]])
    strategy = SimpleNamespace(reduce=lambda counts, reduce_op: counts)
    monkeypatch.setattr(SliceSegmentation, "trainer", SimpleNamespace(strategy=strategy))
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    module.on_validation_epoch_end()
    assert module.patient_dice == {"a": 1.0, "b": 0.0, "c": 0.5}


@pytest.mark.parametrize(
    ("changes", "hardware", "problem"),
    [
        ({}, {"accelerator": "abacus"}, "`accelerator` abacus, .*: You selected"),
        ({}, {"devices": 0}, "`devices` 0, "),
        ({}, {"devices": "abc"}, "`devices` abc, "),
        ({}, {"precision": "fp7"}, "`precision` fp7: "),
        ({"init_from": "monet_phantom", "network": "unet16"}, {}, "are of network monet, but the"),
        (
            {"init_from": "monet_phantom", "window_hu": (-150, 200)},
            {},
            r"weights see 0 to 240 HU, but the slices to train on -150 to 200 HU \(window_hu\)",
        ),
    ],
)
def test_what_cannot_begin_is_refused_before_anything_is_written(
    changes: dict[str, object], hardware: dict[str, Any], problem: str
) -> None:
    plan = recipe(**changes)
    with pytest.raises(ValueError, match=problem):
        check(plan, replace(ONE_THREAD, **hardware), plan.window_hu)


def test_a_damaged_checkpoint_is_named(slice_set: Path, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"PK half of it")
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged, or not of this training; delete"):
        train(recipe(), data_of(slice_set), tmp_path, hardware=ONE_THREAD)


def test_a_recipe_says_how_much_is_dropped() -> None:
    module = SliceSegmentation(recipe(dropout=0.05), 1, ["a"])
    assert {m.p for m in module.modules() if isinstance(m, torch.nn.Dropout2d)} == {0.05}


def test_the_mean_is_that_of_the_last_epochs_weights(slice_set: Path, tmp_path: Path) -> None:
    plan = recipe(epochs=3, keep="mean", mean_epochs=2, dropout=0.1)
    weights = train(plan, data_of(slice_set), tmp_path, hardware=ONE_THREAD)
    assert weights == tmp_path / "mean.safetensors"
    assert load_checkpoint(weights).dropout == 0.1
    epochs = sorted((tmp_path / "last_epochs").iterdir())
    assert [path.name for path in epochs] == ["0001.safetensors", "0002.safetensors"]
    found = load_checkpoint(weights).weights
    each = [load_checkpoint(path).weights for path in epochs]
    for name, weight in found.items():
        if np.issubdtype(weight.dtype, np.floating):
            expected = (each[0][name].astype(float) + each[1][name].astype(float)) / 2
            np.testing.assert_allclose(weight, expected, atol=1e-7, rtol=1e-6)
        else:
            assert (weight == each[1][name]).all()
    assert not np.array_equal(found[name], each[0][name])


def test_statistics_of_the_mean_are_measured_where_a_recipe_says_so(
    slice_set: Path, tmp_path: Path
) -> None:
    plan = recipe(epochs=2, keep="mean", mean_epochs=2, batch_norm="recomputed")
    data = data_of(slice_set)
    found = load_checkpoint(train(plan, data, tmp_path, hardware=ONE_THREAD))
    network = found.build()
    recompute(network, typical([s for s in data.slices if s.split == "train"]), torch.device("cpu"))
    for name, weight in weights_of(network).items():
        np.testing.assert_allclose(found.weights[name], weight, rtol=1e-5, atol=1e-6)
    averaged = mean_of(sorted((tmp_path / "last_epochs").iterdir())).weights
    name = "encoder1.0.1.running_var"
    assert not np.allclose(found.weights[name], averaged[name], rtol=1e-4)


def test_a_cycle_goes_on_with_as_many_devices_only(
    slice_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose schedule was begun for two devices has half as many steps."""
    data, plan = data_of(slice_set), recipe(epochs=4)
    step = SliceSegmentation.training_step

    def killed(self: SliceSegmentation, batch: object, index: int) -> Tensor:
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(SliceSegmentation, "training_step", killed)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever Lightning makes of it
            train(plan, data, tmp_path, hardware=ONE_THREAD)
    last = torch.load(tmp_path / "last.ckpt", weights_only=False)
    (schedule,) = last["lr_schedulers"]
    assert schedule["total_steps"] == 4 * (20 // 4)
    torch.save({**last, "lr_schedulers": [{**schedule, "total_steps": 8}]}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="schedule of 8 steps, but would now have 20; resume with"):
        train(plan, data, tmp_path, hardware=ONE_THREAD)
    torch.save(last, tmp_path / "last.ckpt")
    train(plan, data, tmp_path, hardware=ONE_THREAD)


def test_a_run_of_before_a_recipe_had_a_key_goes_on(slice_set: Path, tmp_path: Path) -> None:
    data = data_of(slice_set)
    weights = train(recipe(), data, tmp_path, hardware=ONE_THREAD)
    written = tmp_path / "recipe.yaml"
    whole = written.read_text()
    written.write_text(whole.replace("dropout: null\n", ""))
    assert train(recipe(), data, tmp_path, hardware=ONE_THREAD) == weights
    assert written.read_text() == whole
    written.write_text("epochs: [")
    with pytest.raises(ValueError, match="another recipe"):
        train(recipe(), data, tmp_path, hardware=ONE_THREAD)


def test_a_run_goes_on_with_the_same_recipe_and_data_only(slice_set: Path, tmp_path: Path) -> None:
    data = data_of(slice_set)
    train(recipe(), data, tmp_path / "run", hardware=ONE_THREAD)
    with pytest.raises(ValueError, match="another recipe"):
        train(recipe(learning_rate=0.02), data, tmp_path / "run", hardware=ONE_THREAD)
    other = data_of(slice_set, description(flip_y=False))
    with pytest.raises(ValueError, match="other data"):
        train(recipe(), other, tmp_path / "run", hardware=ONE_THREAD)
    fewer = data_of(slice_set, description(share=0.5))
    with pytest.raises(ValueError, match="other data"):
        train(recipe(), fewer, tmp_path / "run", hardware=ONE_THREAD)


def test_masks_that_no_training_made_are_left_alone(slice_set: Path, tmp_path: Path) -> None:
    weights = train(recipe(), data_of(slice_set), tmp_path, hardware=ONE_THREAD)
    drawn = tmp_path / "references" / "drawn_by_hand.nii.gz"
    drawn.parent.mkdir()
    drawn.write_bytes(b"precious")
    for refused in (check_free, lambda run: _predict(weights, slice_set, run)):
        with pytest.raises(ValueError, match="references contains files that no training wrote"):
            refused(tmp_path)
    assert drawn.read_bytes() == b"precious"
    drawn.unlink()
    _predict(weights, slice_set, tmp_path)
    drawn.write_bytes(b"precious")
    (tmp_path / "predictions" / "weights.sha256").write_text("other weights\n5\n7\n")
    for name in "57":
        (tmp_path / "predictions" / f"{name}.nii.gz").write_bytes(b"of other weights")
    _predict(weights, slice_set, tmp_path)
    assert drawn.read_bytes() == b"precious"
    assert not (tmp_path / "predictions" / "7.nii.gz").exists()
    assert sitk.ReadImage(tmp_path / "predictions" / "5.nii.gz").GetSize() == (64, 64, 4)


def _predict(weights: Path, slice_set: Path, run: Path) -> None:
    write_predictions(weights, data_of(slice_set), slice_set, run, hardware=ONE_THREAD)


def test_masks_are_kept_by_a_stamp_without_names(slice_set: Path, tmp_path: Path) -> None:
    """As earlier versions wrote it."""
    weights = train(recipe(), data_of(slice_set), tmp_path, hardware=ONE_THREAD)
    _predict(weights, slice_set, tmp_path)
    stamp, mask = (tmp_path / "predictions" / n for n in ("weights.sha256", "5.nii.gz"))
    whole = stamp.read_text()
    stamp.write_text(whole.splitlines()[0] + "\n")
    mask.write_bytes(b"as it was")
    _predict(weights, slice_set, tmp_path)
    assert (mask.read_bytes(), stamp.read_text()) == (b"as it was", whole)


def test_masks_are_kept_when_ranges_are_added(slice_set: Path, tmp_path: Path) -> None:
    """They are in fp32, which does not depend on the ranges."""
    weights = train(recipe(), data_of(slice_set), tmp_path, hardware=ONE_THREAD)
    measured = load_checkpoint(weights)
    measured.without_ranges().save(weights)
    _predict(weights, slice_set, tmp_path)
    mask = tmp_path / "predictions" / "5.nii.gz"
    mask.write_bytes(b"as it was")
    measured.save(weights)
    _predict(weights, slice_set, tmp_path)
    assert mask.read_bytes() == b"as it was"


def test_the_masks_at_the_end_use_what_was_asked_for(
    slice_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[bool]()
    pick = engines.pick
    monkeypatch.setattr(
        engines, "pick", lambda gpu, network: [asked.append(gpu), pick(gpu=False)][1]
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name, accelerator in (("a", "cpu"), ("b", "auto")):
        write_predictions(
            "monet_phantom",
            data_of(slice_set),
            slice_set,
            tmp_path / name,
            hardware=replace(ONE_THREAD, accelerator=accelerator),
        )
    assert asked == [False, True]


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(
    slice_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it need a temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    run, data = tmp_path / "run", data_of(slice_set)
    kept = list[bytes]()

    def write(path: Path, content: bytes) -> int:
        if path == partial_path(run / "last.ckpt") and (run / "last.ckpt").exists():
            kept.append((run / "last.ckpt").read_bytes())
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, content)

    write_bytes = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(OSError, match="No space left"):
        train(recipe(epochs=2), data, run, hardware=ONE_THREAD)
    assert kept == [(run / "last.ckpt").read_bytes()]
    assert not list(run.glob(".*"))


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_whole_networks_in_another_precision_train(
    precision: str, slice_set: Path, tmp_path: Path
) -> None:
    plan = recipe(epochs=2, keep="mean", mean_epochs=1, batch_norm="recomputed")
    hardware = replace(ONE_THREAD, precision=precision)
    found = load_checkpoint(train(plan, data_of(slice_set), tmp_path, hardware=hardware))
    assert found.weights["encoder1.0.0.weight"].dtype == np.float32


def test_two_epochs_that_do_not_improve_divide_the_rate_by_ten() -> None:
    module = SliceSegmentation(recipe(schedule="plateau", learning_rate=1.0), 8, ["a"])
    chosen = module.configure_optimizers()
    rates = []
    for loss in (0.9, 0.5, 0.6, 0.5, 0.4, 0.4, 0.4):
        chosen["lr_scheduler"]["scheduler"].step(loss)
        rates.append(chosen["optimizer"].param_groups[0]["lr"])
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01])


def test_augmentation_moves_image_and_mask_together(slice_set: Path) -> None:
    slices = data_of(slice_set).slices
    for crop in (None, (32, 32)):
        dataset = TrainingSlices(slices, recipe(crop=crop))
        for number in range(len(slices)):
            image, mask, _ = dataset[Draw(number, seed=number)]
            assert image.shape == mask.shape == (1, 32, 32)
            assert type(image) is type(mask) is Tensor  # MONAI's own are slow to differentiate
            if mask.any():
                assert image[mask == 1].mean() > 1.3 * image[(mask == 0) & (image > 0.2)].mean()


def test_zoom_changes_rows_and_columns(slice_set: Path) -> None:
    """Each on its own, as in the paper's tool."""
    settings = Augmentation(rotation_deg=0, shift=0, zoom=0.25)
    transform = build_augmentation(settings, (64, 64))
    square = torch.zeros(1, 64, 64)
    square[:, 16:48, 16:48] = 1
    sides = []
    for seed in range(30):
        transform.set_random_state(seed)
        inside = torch.as_tensor(transform({"image": square, "mask": square})["mask"])[0] > 0
        sides.append((int(inside.any(1).sum()), int(inside.any(0).sum())))
    for axis in (0, 1):
        lengths = [side[axis] for side in sides]
        assert min(lengths) < 29
        assert max(lengths) > 36
        assert min(lengths) >= 24
        assert max(lengths) <= 44
    assert sum(a != b for a, b in sides) > 20


def test_a_blanked_slice_keeps_one_known_rectangle(slice_set: Path) -> None:
    settings = Augmentation(rotation_deg=0, shift=0, zoom=0, blank=1)
    transform = build_augmentation(settings, (64, 64))
    transform.set_random_state(1)
    changed = transform({"image": torch.ones(1, 64, 64), "mask": torch.zeros(1, 64, 64)})
    image, known = changed["image"][0] > 0, changed["mask"][0] != UNKNOWN
    assert torch.equal(image, known)
    rows, columns = known.any(1).sum(), known.any(0).sum()
    assert known.sum() == rows * columns
    assert min(rows, columns) >= 24


def test_an_epoch_sees_its_share_and_another_one_next(slice_set: Path) -> None:
    order = Shuffled([0] * 10 + [1] * 10, [1.0, 0.3], seed=1)
    epochs = []
    for epoch in (0, 1, 0):
        order.epoch = epoch
        epochs.append(list(order))
    assert len(order) == 13
    assert epochs[0] == epochs[2] != epochs[1]
    for draws in epochs:
        assert sorted(d.number for d in draws)[:10] == list(range(10))
        assert len({d.number for d in draws}) == 13


def test_unknown_pixels_cost_nothing(slice_set: Path) -> None:
    for loss in ("dice", "dice_ce"):
        measure = KnownLoss(recipe(loss=loss))
        logits, mask = torch.full((1, 1, 64, 64), -12.34), torch.zeros(1, 1, 64, 64)
        assert measure(logits, mask.bfloat16()) == measure(logits, mask)
        logits = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        mask = (logits > 0.5).float()
        mask[:, :, :, 4:] = UNKNOWN
        logits.requires_grad_()
        measure(logits, mask).backward()
        assert logits.grad is not None
        assert logits.grad[..., 4:].abs().max() == 0
        assert logits.grad[..., :4].abs().min() > 0


def test_statistics_are_those_of_the_slices(slice_set: Path) -> None:
    """The first BatchNorm's: mean and variance of its convolution over the typical slices."""
    slices = typical(data_of(slice_set).slices)
    assert len(slices) == 24
    network = NETWORKS["monet"]().train()
    momentum = network.encoder1[0][1].momentum
    recompute(network, slices, torch.device("cpu"))
    first, norm = network.encoder1[0][0], network.encoder1[0][1]
    images = torch.stack([WholeSlices(slices)[i][0] for i in range(24)])
    with torch.no_grad():
        expected = first(images).mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-4, atol=1e-5)
    assert norm.momentum == momentum
    assert all(m.training for m in network.modules())
    few, mean = slices[:3], norm.running_mean.clone()
    recompute(network, few, torch.device("cpu"))
    assert not torch.equal(norm.running_mean, mean)
    assert norm.running_mean.abs().sum() > 0
    exact = NETWORKS["monet"]().double()
    recompute(exact, few, torch.device("cpu"))
    assert exact.encoder1[0][1].running_mean.dtype == torch.float64
    with pytest.raises(ValueError, match="recomputed needs whole training slices"):
        typical([])


def test_validation_scores_slices(slice_set: Path, tmp_path: Path) -> None:
    weights = train(recipe(), data_of(slice_set), tmp_path / "run", hardware=ONE_THREAD)
    scores = validate(str(weights), description(), slice_set, threads=1)
    (score,) = scores.values()
    assert set(scores) == {Scored("whole", "5")}
    assert (score.slices, score.empty) == (4, 0)
    _predict(weights, slice_set, tmp_path / "run")
    truth, found = (
        sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "run" / folder / "5.nii.gz"))
        for folder in predictions.FOLDERS
    )
    assert found.any()
    dice = 2 * (truth & found).sum() / (truth.sum() + found.sum())
    assert score.dice == pytest.approx(dice)


def test_weights_of_windows_around_the_label_say_so(slice_set: Path, tmp_path: Path) -> None:
    """They are for a second look; weights of windows around the body see whole slices in use."""
    for around, expected in (("label", (16, 32)), ("body", None)):
        changed = recipe(crop=(16, 32), crop_around=around)
        weights = train(changed, data_of(slice_set), tmp_path / around, hardware=ONE_THREAD)
        windows = load_checkpoint(weights).windows
        assert (windows and windows.size) == expected


def test_validation_prints_a_mean_with_cohorts_and_without(slice_set: Path, tmp_path: Path) -> None:
    """A patient of whom no slice shows pancreas has no Dice."""
    for number in (5, 11, 17, 23):
        Image.new("L", (64, 64)).save(slice_set / "masks" / f"s{number:02}.png")
    index = slice_set / "index.csv"
    index.write_text(index.read_text().replace("s00.png,0,train", "s00.png,0,val"))
    for cohort, title in (("", "whole"), ("nih", "whole, nih")):
        path = tmp_path / "set.yaml"
        path.write_text(yaml.safe_dump(description(cohort=cohort).model_dump(mode="json")))
        options = ["--slices", path, "--data", slice_set]
        code, told, _ = call("weights", "score", "monet_phantom", *options)
        assert code == 0
        assert "nan" not in told
        assert f"\n{title}: mean Dice 0." in told
        mean = told.splitlines()[-1]
        assert ", N=1; false alarms in " in mean
        assert mean.endswith(" of 4 slices without pancreas")


def test_a_split_file_decides_before_sources_are_left_out(slice_set: Path, tmp_path: Path) -> None:
    """Crops of a patient are kept out of the validation whatever the index says of him."""
    whole, crops = (
        description(box=box, frame=128, in_validation=box is None).sources[0]
        for box in (None, [32, 16, 32, 64])
    )
    both = description().model_copy(update={"sources": (whole, crops)})
    path = slice_set / "slices.yaml"
    path.write_text(yaml.safe_dump(both.model_dump(mode="json")))
    (tmp_path / "split.json").write_text('{"train": ["3", "4", "5"], "val": ["0"]}')
    data = load_data(
        recipe(),
        slice_set,
        slices=str(path),
        cache=tmp_path,
        split_file=tmp_path / "split.json",
    )
    (tmp_path / "split.json").write_text('{"train": ["3"], "val": ["0", "1"]}')
    only_crops = description(where={"patient": "0"}).sources[0], crops
    path.write_text(
        yaml.safe_dump(both.model_copy(update={"sources": only_crops}).model_dump(mode="json"))
    )
    with pytest.raises(ValueError, match=r"the split file: all slices of 1 are excluded from"):
        load_data(
            recipe(),
            slice_set,
            slices=str(path),
            cache=tmp_path,
            split_file=tmp_path / "split.json",
        )
    found = {(s.patient, s.split, s.source) for s in data.slices}
    assert found == {("0", "val", 0)} | {(p, "train", n) for p in "345" for n in (0, 1)}
    assert validation_names(data) == ["0"]


def test_a_picture_that_is_not_there_or_broken_is_named(slice_set: Path) -> None:
    (slice_set / "masks" / "s03.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"masks/s03\.png cannot be read: it is not a picture"):
        data_of(slice_set)
    (slice_set / "masks" / "s03.png").unlink()
    with pytest.raises(ValueError, match=r"masks/s03\.png cannot be read: No such file"):
        data_of(slice_set)


def test_places_are_not_learnt_from_boxes(slice_set: Path, tmp_path: Path) -> None:
    data = data_of(slice_set, description(box=[32, 16, 32, 64], frame=128))
    with pytest.raises(ValueError, match="no whole training slice shows pancreas"):
        train(recipe(places=0.04), data, tmp_path / "run", hardware=ONE_THREAD)


def test_shipped_recipes_and_slice_sets_are_valid() -> None:
    networks = {name: load_recipe(name).network for name in shipped_names(RECIPES)}
    assert networks == {
        "attention_unet_paper": "attention_unet",
        "monet": "monet",
        "monet_fine": "monet",
        "monet_paper": "monet",
        "monet_phantom": "monet",
        "monet_short": "monet",
        "unet16_paper": "unet16",
        "unet_paper": "unet",
    }
    assert load_recipe(str(ROOT / "docs" / "table2" / "recipe.yaml")).epochs == 64
    made_with = load_recipe(str(ROOT / "docs" / "monet_open" / "recipe.yaml"))
    assert load_recipe("monet") == made_with
    assert load_checkpoint("monet_open").dropout == made_with.dropout
    for plan in map(load_recipe, networks):  # so that they start on a folder of CTs too
        assert not plan.init_from or (
            plan.window_hu == load_checkpoint(plan.init_from).preprocessing.window_hu
        )
    paper = load_recipe("monet_paper")
    assert (paper.learning_rate, paper.schedule, paper.loss) == (5e-4, "plateau", "dice")
    made_unet16 = load_recipe(str(ROOT / "docs" / "unet16_open" / "recipe.yaml"))
    assert load_recipe("monet", network="unet16") == made_unet16
    again = load_recipe(str(ROOT / "docs" / "unet16_open" / "second_look.yaml"))
    theirs = {"network": "unet16", "init_from": again.init_from, "window_hu": again.window_hu}
    assert load_recipe("monet_fine", **theirs) == again
    assert load_recipe(str(ROOT / "docs" / "monet_whole" / "recipe.yaml")).epochs == 16
    more_tumours = load_slice_set(str(ROOT / "docs" / "unet16_open" / "slices.yaml"))
    changed = [
        (one.index, one.share, other.share)
        for one, other in zip(load_slice_set("open").sources, more_tumours.sources, strict=True)
        if one != other
    ]
    assert changed == [("msd_pancreas_crops/index.csv", 0.5, 1.0)]
    for name in shipped_names(SLICE_SETS):
        assert load_slice_set(name).provenance.licence


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epochs: 3\nepoch_count: 3", "epoch_count: Extra inputs"),
        ("epochs: 3\nnetwork: resnet", "no network 'resnet'; known: monet"),
        ("epochs: 3\ncrop: [30, 32]", r"crop\.0: Input should be a multiple of 16"),
        ("epochs: 3\nwindow_hu: [200, -150]", "window_hu: the lower end, 200 HU, must be below"),
        (
            "epochs: 3\nkeep: mean\npatience: 2",
            "keep: mean averages the last epochs of a whole",
        ),
        ("epochs: [", "is not YAML"),
        ("epochs: 42\nepochs: 3", "'epochs' is given twice, again on line 2"),
        ("epochs: 3\naugmentation: {zoom: 0.1, zoom: 0.2}", "'zoom' is given twice"),
        ("3", "holds no settings"),
    ],
)
def test_a_recipe_with_a_mistake_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        load_recipe(str(path))
