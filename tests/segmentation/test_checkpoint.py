"""A checkpoint carries all it needs, safely; what is not one is refused."""

from __future__ import annotations

import hashlib
import json
import os
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
    checkpoint = load_checkpoint(name)
    looks = [checkpoint] if checkpoint.second is None else [checkpoint, checkpoint.second]
    numbers = sum(weight.size for look in looks for weight in look.weights.values())
    most = 4 * numbers + 30_000 * len(looks)  # single precision, and little beside it
    assert len(file.read_bytes()) <= min(most, 16_000_000)
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


def forged(content: bytes, change: object) -> bytes:
    """A checkpoint file with a changed header."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    about = json.loads(header["__metadata__"]["pancseg"])
    change(header, about)  # type: ignore[operator]
    header["__metadata__"] = {"pancseg": json.dumps(about)}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda h, a: a["preprocessing"].update(size=1 << 40), "preprocessing.size: 1.0"),
        (
            lambda h, a: a["preprocessing"].update(size=1028),
            r"1028 is out of range \(expected 4–1,024\)",
        ),
        (lambda h, a: a["preprocessing"].update(smallest_field_mm=1e308), "smallest_field_mm: 1e"),
        (lambda h, a: a["preprocessing"].update(smallest_field_mm=float("inf")), "smallest_field"),
        (lambda h, a: a["preprocessing"].update(window_hu=[float("-inf"), 0]), "must be finite"),
        (lambda h, a: a["preprocessing"].update(window_hu=[float("nan"), 0]), "must be finite"),
        (lambda h, a: a["preprocessing"].update(window_hu=[-1e308, 1e308]), "must be finite"),
        (lambda h, a: a.update(network="x" * 10**6), "unknown network, 'x{99}$"),
        (lambda h, a: a.update(network=["monet"]), "network: Input should be a valid string"),
        (lambda h, a: a.update(provenance={"data": 5}), "provenance.data: Input should be"),
        (lambda h, a: a.update(dropout=float("nan")), "dropout: Input should be"),
        (lambda h, a: h.update(extra=h["places"]), "its length is not that of its tensors"),
        (lambda h, a: h.update(a=5), "not a pancseg checkpoint"),
        (lambda h, a: h.update(a={"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}), "dtype"),
        (lambda h, a: h["places"].update(shape=[1 << 62, 1 << 62]), "its length is not that of"),
        (lambda h, a: h["places"].update(shape=[-64, -64]), "shape.0: Input should be greater"),
        (lambda h, a: h["places"].update(shape=[32, 128]), "location prior is 32×128, expected"),
        (lambda h, a: h["places"].update(data_offsets=[0, 4096]), "not a pancseg checkpoint"),
    ],
)
def test_a_forged_header_is_refused_in_one_short_line(
    change: object, problem: str, tmp_path: Path, phantom_checkpoint: Checkpoint
) -> None:
    path = tmp_path / "forged.safetensors"
    replace(phantom_checkpoint, places=np.eye(CELLS, dtype=bool)).save(path)
    path.write_bytes(forged(path.read_bytes(), change))
    with pytest.raises(ValueError, match=problem) as caught:
        load_checkpoint(path)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
    assert "forged" not in str(caught.value)  # a file's name may name a patient


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04N.",
        (100 << 20).to_bytes(8, "little") + b"{" + b" " * ((100 << 20) - 2) + b"}",
        (1 << 63).to_bytes(8, "little") + b"{}",
        (400_000).to_bytes(8, "little") + b"[" * 400_000,
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"\xff\xff",
        (20).to_bytes(8, "little") + b'{"__metadata__": [] }',
    ],
)
def test_a_header_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "forged.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="the weights file is not a pancseg checkpoint"):
        load_checkpoint(path)


def test_weights_that_no_training_ends_with_are_refused(
    tmp_path: Path, phantom_checkpoint: Checkpoint
) -> None:
    path = tmp_path / "forged.safetensors"
    weights = phantom_checkpoint.weights
    name = next(key for key in weights if key.endswith("running_var"))
    for changed, problem in (
        ({name: -weights[name]}, "variances of BatchNorm below 0"),
        ({name: weights[name] * np.float64(1e300)}, "not finite"),
        ({name: weights[name].astype(np.int32)}, "1 of .* weights are whole numbers, not floats"),
    ):
        replace(phantom_checkpoint, weights={**weights, **changed}).save(path)
        with pytest.raises(ValueError, match=problem):
            load_checkpoint(path)
    for places in (np.zeros((CELLS, CELLS)), np.full((CELLS, CELLS), 7)):
        replace(phantom_checkpoint, places=places).save(path)
        with pytest.raises(ValueError, match="must hold 0 and 1, and allow some place"):
            load_checkpoint(path)


def test_weights_that_never_end_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path / "pipe.safetensors", Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            load_checkpoint(path)
    with (tmp_path / "holes.safetensors").open("wb") as file:
        file.truncate(200 << 30)
    with pytest.raises(ValueError, match="it has no header"):
        load_checkpoint(tmp_path / "holes.safetensors")
    text = b'{"__metadata__":{"pancseg":"{}"},"a":{"dtype":"U8","shape":[214748364800],'
    text += b'"data_offsets":[0,214748364800]}}'
    with (tmp_path / "holes.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + (200 << 30))
    with pytest.raises(ValueError, match="network: Field required"):
        load_checkpoint(tmp_path / "holes.safetensors")
