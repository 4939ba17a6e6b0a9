"""A checkpoint carries all it needs, safely; what is not one is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint, shipped_names
from pancseg.segmentation.location_prior import CELLS

PROVENANCE = {"data", "licence", "attribution", "intended_use"}


@pytest.fixture(scope="module")
def phantom_checkpoint() -> Checkpoint:
    return load_checkpoint("monet_phantom")


def test_saving_and_loading_changes_nothing(tmp_path: Path, phantom_checkpoint: Checkpoint) -> None:
    path = tmp_path / "copy.safetensors"
    phantom_checkpoint.save(path)
    again = load_checkpoint(path)
    assert [p.name for p in tmp_path.iterdir()] == ["copy.safetensors"]
    assert again.preprocessing == phantom_checkpoint.preprocessing
    assert again.provenance == phantom_checkpoint.provenance
    assert again.name == "custom"
    assert again.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for key, weight in phantom_checkpoint.weights.items():
        np.testing.assert_array_equal(again.weights[key], weight)


def test_the_share_dropped_in_training_is_kept(
    tmp_path: Path, phantom_checkpoint: Checkpoint
) -> None:
    path = tmp_path / "weights.safetensors"
    for kept, expected in ((None, 0.2), (0.05, 0.05)):
        replace(phantom_checkpoint, dropout=kept).save(path)
        network = load_checkpoint(path).build()
        assert {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout2d)} == {expected}


def test_what_cannot_be_written_leaves_nothing(
    tmp_path: Path, phantom_checkpoint: Checkpoint
) -> None:
    with pytest.raises(FileNotFoundError):
        phantom_checkpoint.save(tmp_path / "missing" / "weights.safetensors")
    (tmp_path / "weights.safetensors").mkdir()
    with pytest.raises(OSError, match="directory"):
        phantom_checkpoint.save(tmp_path / "weights.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_weights_are_small_and_say_where_they_come_from(name: str) -> None:
    file = files("pancseg.segmentation") / "weights" / f"{name}.safetensors"
    assert len(file.read_bytes()) <= 2_000_000
    checkpoint = load_checkpoint(name)
    assert set(checkpoint.provenance) == PROVENANCE
    assert all(checkpoint.provenance.values())
    assert checkpoint.build().training is False
    card = (files("pancseg.segmentation") / "weights" / f"{name}.md").read_text(encoding="utf-8")
    assert checkpoint.sha256 in card
    assert checkpoint.provenance["licence"] in card


def test_what_is_not_a_checkpoint_is_refused(
    tmp_path: Path, phantom_checkpoint: Checkpoint
) -> None:
    from safetensors.numpy import save_file

    with pytest.raises(FileNotFoundError, match="monet_open, monet_phantom"):
        load_checkpoint("monet_mars")
    pickle = tmp_path / "model.pt"
    torch.save(phantom_checkpoint.tensors(), pickle)
    foreign = tmp_path / "foreign.safetensors"
    save_file(phantom_checkpoint.weights, foreign)
    for path in (pickle, foreign):
        with pytest.raises(ValueError, match="not a pancseg checkpoint"):
            load_checkpoint(path)


def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, phantom_checkpoint: Checkpoint
) -> None:
    broken = tmp_path / "broken.safetensors"
    weights = dict(phantom_checkpoint.weights)
    first = next(iter(weights))
    replace(phantom_checkpoint, weights={**weights, first: np.zeros((2, 2), np.float32)}).save(
        broken
    )
    with pytest.raises(ValueError, match="do not fit"):
        load_checkpoint(broken)
    nan = np.full_like(weights[first], np.nan)
    replace(phantom_checkpoint, weights={**weights, first: nan}).save(broken)
    with pytest.raises(ValueError, match="not finite"):
        load_checkpoint(broken)
    save_in(torch.bfloat16, phantom_checkpoint, broken)
    with pytest.raises(ValueError, match="not a pancseg checkpoint"):
        load_checkpoint(broken)
    replace(phantom_checkpoint, network="unknown").save(broken)
    with pytest.raises(ValueError, match="unknown network"):
        load_checkpoint(broken)


def save_in(kind: torch.dtype, checkpoint: Checkpoint, path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    checkpoint.save(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({k: w.to(kind) for k, w in checkpoint.tensors().items()}, path, metadata)


def test_half_precision_is_read_as_single(tmp_path: Path, phantom_checkpoint: Checkpoint) -> None:
    path = tmp_path / "half.safetensors"
    floats = {k: w for k, w in phantom_checkpoint.weights.items() if w.dtype == np.float32}
    save_in(torch.float16, phantom_checkpoint, path)
    again = load_checkpoint(path)
    for key, weight in floats.items():
        assert again.weights[key].dtype == np.float32
        np.testing.assert_allclose(again.weights[key], weight, rtol=1e-3, atol=1e-4)


def test_the_map_of_places_is_kept_and_checked(
    tmp_path: Path, phantom_checkpoint: Checkpoint
) -> None:
    places = np.eye(CELLS, dtype=bool)
    path = tmp_path / "with.safetensors"
    replace(phantom_checkpoint, places=places).save(path)
    again = load_checkpoint(path)
    assert again.places is not None
    np.testing.assert_array_equal(again.places, places)
    assert again.weights.keys() == phantom_checkpoint.weights.keys()
    replace(phantom_checkpoint, places=places[:5]).save(path)
    with pytest.raises(ValueError, match="location prior is 5×64, expected 64×64"):
        load_checkpoint(path)
