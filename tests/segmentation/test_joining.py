"""Two checkpoints become one of two looks, if they go together; broken ones are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from safetensors.numpy import load, save
from two_looks import PHANTOM_WINDOWS, fine, two_looks

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.joining import join_looks
from pancseg.segmentation.networks import NETWORKS


@pytest.fixture
def second(tmp_path: Path) -> Path:
    path = tmp_path / "fine.safetensors"
    fine().save(path)
    return path


def written(checkpoint: Checkpoint, folder: Path) -> Path:
    path = folder / "written.safetensors"
    checkpoint.save(path)
    return path


def test_both_networks_are_kept(tmp_path: Path) -> None:
    first = load_checkpoint("monet_phantom")
    own = replace(
        fine(),
        weights={name: np.asarray(w + np.ones_like(w)) for name, w in first.weights.items()},
        dropout=0.0,
        provenance={**first.provenance, "licence": "CC-BY-4.0"},
    )
    fine_path = written(own, tmp_path)
    joined = join_looks("monet_phantom", fine_path)
    path = tmp_path / "two.safetensors"
    joined.save(path)
    again = load_checkpoint(path)
    assert (again.looks, first.looks) == (2, 1)
    assert again.second is not None
    assert again.second.windows == PHANTOM_WINDOWS
    assert again.second.dropout == 0.0
    parts = (first, load_checkpoint(fine_path))
    assert again.joined == tuple(part.sha256_without_ranges for part in parts)
    for name, weight in first.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight)
        np.testing.assert_array_equal(again.second.weights[name], weight + np.ones_like(weight))
    licence = first.provenance["licence"]
    assert again.provenance["licence"] == f"{licence} Second look: CC-BY-4.0"
    assert again.provenance["data"] == first.provenance["data"]
    assert len(path.read_bytes()) < 2 * len(fine_path.read_bytes()) + 10_000


def test_the_header_says_what_each_look_is(tmp_path: Path, second: Path) -> None:
    path = tmp_path / "two.safetensors"
    code, told, errors = call("weights", "join", "monet_phantom", second, "--out", path)
    assert (code, told, errors) == (0, "", "")
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["pancseg"])
    assert header["second"]["network"] == "monet"
    assert header["second"]["windows"] == {
        "size": [96, 128],
        "pixel_mm": [1.2, 1.6],
        "reach_mm": 15.0,
        "margin_mm": 6.0,
    }
    assert header["joined"][1] == load_checkpoint(second).sha256_without_ranges


def test_a_window_that_the_weights_do_not_say_is_given(tmp_path: Path) -> None:
    unknown = written(fine(windows=None), tmp_path)
    out = tmp_path / "two.safetensors"
    code, _, errors = call("weights", "join", "monet_phantom", unknown, "--out", out)
    assert (code, out.exists()) == (2, False)
    assert "do not say on which windows they were trained" in errors
    assert "by --window" in errors
    code, *_ = call("weights", "join", "monet_phantom", unknown, "--window", "96x128", "--out", out)
    assert code == 0
    made = load_checkpoint(out).second
    assert made is not None
    assert made.windows is not None
    assert made.windows.size == (96, 128)


@pytest.mark.parametrize(
    ("window", "problem"),
    [
        ("96", "--window '96' is no window; write rows and columns as 192x256"),
        ("96x0", "the second look's window: size.1: Input should be greater than or equal to 16"),
        ("96x100", "the second look's window: size.1: Input should be a multiple of 16"),
    ],
)
def test_a_window_that_is_none_is_refused(window: str, problem: str, tmp_path: Path) -> None:
    unknown = written(fine(windows=None), tmp_path)
    out = tmp_path / "two.safetensors"
    code, _, errors = call(
        "weights", "join", "monet_phantom", unknown, "--window", window, "--out", out
    )
    assert code == 2
    assert problem in errors
    assert errors.count("\n") == 1


def test_what_does_not_go_together_is_refused(tmp_path: Path, second: Path) -> None:
    with pytest.raises(ValueError, match="`window` is 32×32, but the second weights were trained"):
        join_looks("monet_phantom", second, window=(32, 32))
    with pytest.raises(ValueError, match=r"the first network is that of a second look, trained on"):
        join_looks(second, second)
    with pytest.raises(ValueError, match=r"the first network is that of a second look, trained on"):
        join_looks(second, "monet_phantom")
    settings = fine().preprocessing.model_copy(update={"window_hu": (-150.0, 200.0)})
    other = written(replace(fine(), preprocessing=settings), tmp_path)
    with pytest.raises(ValueError, match=r"first network sees 0 to 240 HU .*second -150 to 200 HU"):
        join_looks("monet_phantom", other)
    both = written(two_looks(), tmp_path)
    with pytest.raises(ValueError, match="the second weights already hold two looks"):
        join_looks("monet_phantom", both)
    with pytest.raises(ValueError, match="the first weights already hold two looks"):
        join_looks(both, second)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        join_looks("monet_phantom", tmp_path / "gone.safetensors")


def changed(path: Path, header: object = None, drop: str = "") -> Path:
    """The file of two looks with another header, or without some tensors."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["pancseg"])
    if header:
        header(about)  # type: ignore[operator]
    tensors = {k: w for k, w in load(content).items() if not drop or not k.startswith(drop)}
    path.write_bytes(save(tensors, metadata={"pancseg": json.dumps(about)}))
    return path


@pytest.mark.parametrize(
    ("header", "drop", "problem"),
    [
        (None, "second/", "second network is missing: the header names 'monet', but the file"),
        (None, "second/head", "second network: the weights do not fit network 'monet'"),
        (lambda a: a.pop("second"), "", "the weights do not fit network 'monet'"),
        (lambda a: a["second"].pop("windows"), "", "not known on which windows the second"),
        (lambda a: a["second"].update(second=dict(a["second"])), "", "has a second look itself"),
        (lambda a: a["second"].update(network="x"), "", "are of an unknown network, 'x'"),
        (lambda a: a["second"].update(network="mylab:Net"), "", "would run mylab:Net"),
        (
            lambda a: a["second"]["preprocessing"].update(window_hu=[-150, 200]),
            "",
            "sees 0 to 240 HU",
        ),
        (lambda a: a["second"]["windows"].update(size=[20, 256]), "", "size.0: Input should be"),
        (lambda a: a["second"]["windows"].update(size=[1 << 40, 16]), "", "size.0: Input should"),
        (lambda a: a["second"]["windows"].update(pixel_mm=[2, 1]), "", "the smallest pixel, 2 mm"),
        (lambda a: a["second"]["windows"].update(pixel_mm=[0, 1]), "", "out of range"),
        (lambda a: a["second"]["windows"].update(reach_mm=float("nan")), "", "out of range"),
        (lambda a: a.update(joined=["x", "y"]), "", "joined.0: String should match"),
    ],
)
def test_a_broken_checkpoint_is_refused_in_one_line(
    header: object, drop: str, problem: str, tmp_path: Path
) -> None:
    path = changed(written(two_looks(), tmp_path), header, drop)
    with pytest.raises(ValueError, match=problem) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_networks_have_no_slash_in_their_names() -> None:
    """So the second network's tensors cannot be taken for the first's."""
    for build in NETWORKS.values():
        assert not any("/" in name for name in build().state_dict())
