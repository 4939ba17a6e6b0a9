"""A run folder, a cache or stored slices from a stranger run no code and write nowhere else."""

from __future__ import annotations

import json
import os
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from pydantic import ValidationError
from test_training import ONE_THREAD, data_of, description, recipe, slice_set  # noqa: F401

from pancseg.segmentation.checkpoint import Preprocessing, load_checkpoint
from pancseg.training import averaging, predictions
from pancseg.training.averaging import write_mean
from pancseg.training.callbacks import RecordEpochs
from pancseg.training.data.cache import build_cache
from pancseg.training.data.pairs import TrainingPair
from pancseg.training.data.slice_set import PhantomSource
from pancseg.training.predictions import write_predictions


def test_epochs_of_another_network_are_not_averaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / averaging.FOLDER
    folder.mkdir()
    whole = load_checkpoint("monet_phantom")
    for epoch in (0, 1, 2):
        weights = {
            k: w + np.float32(epoch) for k, w in whole.weights.items() if w.dtype.kind == "f"
        }
        replace(whole, weights={**whole.weights, **weights}).save(
            folder / f"{epoch:04}.safetensors"
        )
    write_mean(tmp_path, range(1, 3), "monet")  # and not the file of epoch 0, which is left over
    mean = load_checkpoint(tmp_path / "mean.safetensors").weights
    name = next(iter(weights))
    np.testing.assert_allclose(mean[name], whole.weights[name] + 1.5, rtol=1e-5)
    monkeypatch.setitem(sys.modules, "strange", SimpleNamespace(Net=pytest.fail))
    replace(whole, network="strange:Net").save(folder / "0002.safetensors")
    with pytest.raises(ValueError, match="loading the weights would run strange:Net"):
        write_mean(tmp_path, range(1, 3), "mylab:Own")


@pytest.mark.parametrize("patient", ["../../evil", "a/b", "..", "\x1b[31m", "con"])
def test_a_patient_is_never_a_path(
    patient: str,
    slice_set: Path,  # noqa: F811
) -> None:
    index = slice_set / "index.csv"
    index.write_text(index.read_text().replace("s05.png,5,", f"s05.png,{patient},"))
    with pytest.raises(ValueError, match=r"a patient of the slices: .* cannot be a file name"):
        data_of(slice_set)


def test_a_forged_list_of_masks_removes_nothing_outside(
    slice_set: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    (run / "predictions").mkdir(parents=True)
    (tmp_path / "precious.nii.gz").write_bytes(b"1")
    (run / "predictions" / predictions._MADE_BY).write_text("other\n../../precious\n")
    write_predictions("monet_phantom", data_of(slice_set), slice_set, run, hardware=ONE_THREAD)
    assert (tmp_path / "precious.nii.gz").exists()


def test_boxes_and_pictures_have_limits(slice_set: Path) -> None:  # noqa: F811
    index = slice_set / "index.csv"
    lines = index.read_text().splitlines()
    for box in ("0,0,64,64,1000000000", "0,0,64,64,32", "-1,0,64,64,128", "0,0,0,64,128"):
        rows = [f"{lines[0]},x0,y0,w,h,frame", *(f"{line},{box}" for line in lines[1:])]
        index.write_text("\n".join(rows))
        with pytest.raises(ValueError, match=r"index\.csv: the box of 's00\.png' does not lie in"):
            data_of(slice_set, description(box="columns"))
    index.write_text("\n".join(lines))
    Image.new("L", (5000, 8)).save(slice_set / "images" / "s00.png")
    with pytest.raises(ValueError, match=r"5000×8 pixels are too many .at most 4096 a side"):
        data_of(slice_set)
    (slice_set / "images" / "s00.png").unlink()
    os.mkfifo(slice_set / "images" / "s00.png")
    with pytest.raises(ValueError, match="not a regular file"):
        data_of(slice_set)
    index.unlink()
    os.mkfifo(index)
    with pytest.raises(OSError, match="not a regular file"):
        data_of(slice_set)
    with pytest.raises(ValidationError, match="frame"):
        description(box="columns", frame=10**9)
    with pytest.raises(ValidationError, match="at most 100000 patients"):
        PhantomSource(train_seeds=(0, 10**12), val_seeds=(1, 2))


def test_a_recipe_has_limits() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1024"):
        recipe(size=1 << 20)


@pytest.mark.parametrize("name", ["best.json", "metrics.csv"])
def test_a_damaged_record_is_named(name: str, tmp_path: Path) -> None:
    record = RecordEpochs(tmp_path, lambda path: None, lambda line: None)
    for content in ("", "[]", "5", "epoch\nx,1\n"):
        (tmp_path / name).write_text(content)
        if name == "best.json":
            with pytest.raises(ValueError, match=r"best\.json is damaged; choose a new"):
                record._best()
        elif "x" in content or not content:
            with pytest.raises(ValueError, match=r"metrics\.csv is damaged; choose a new"):
                record._add_line(3, [], 0.1)


def test_a_cache_that_is_not_as_described_is_made_again(tmp_path: Path) -> None:
    settings = Preprocessing(window_hu=(-150, 200), size=32)
    rng = np.random.default_rng(0)
    scan = sitk.GetImageFromArray(rng.integers(-100, 100, (4, 40, 40)).astype(np.int16))
    scan.SetSpacing((8, 8, 5))
    mask = sitk.GetImageFromArray((np.indices((4, 40, 40)).sum(0) % 7 == 0).astype(np.uint8))
    mask.CopyInformation(scan)
    sitk.WriteImage(scan, tmp_path / "ct.nii.gz")
    sitk.WriteImage(mask, tmp_path / "mask.nii.gz")
    pair = TrainingPair("P1", "P1", tmp_path / "ct.nii.gz", tmp_path / "mask.nii.gz")

    def made() -> np.ndarray:
        (found,) = build_cache([pair], tmp_path / "cache", settings)
        return np.array(found.voxels)

    whole = made()
    (cached,) = (tmp_path / "cache").glob("*/P1.npy")
    ran = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (ran,)

    for forged in (np.zeros((1, 2, 32, 32), np.uint8), whole.astype(np.float32), whole[:, :1]):
        np.save(cached, forged)
        np.testing.assert_array_equal(made(), whole)
    np.save(cached, np.array([Bomb()], dtype=object), allow_pickle=True)
    np.testing.assert_array_equal(made(), whole)
    cached.write_bytes(pickle.dumps(Bomb()))
    np.testing.assert_array_equal(made(), whole)
    cached.unlink()
    os.mkfifo(cached)
    np.testing.assert_array_equal(made(), whole)
    about = cached.with_suffix(".json")
    text = json.loads(about.read_text())
    for changed in ({**text, "labelled": 5}, {k: v for k, v in text.items() if k != "sha256"}):
        about.write_text(json.dumps(changed))
        np.testing.assert_array_equal(made(), whole)
    assert not ran.exists()
