"""A network outside the package, ``module:Class``: in a checkpoint, in a cohort, and refused."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pancseg
from pancseg.phantom import Phantom, make_phantom
from pancseg.scans.arrays import voxel_array as voxels
from pancseg.segmentation.checkpoint import (
    Checkpoint,
    Preprocessing,
    load_checkpoint,
    weights_of,
)
from pancseg.segmentation.networks import build_network


@pytest.fixture(scope="module")
def small() -> Phantom:
    return make_phantom(3, size=(96, 96, 32), spacing_mm=(3.6, 3.6, 5.0))


OWN = """
import torch
from torch import nn

class Two(nn.Conv2d):
    def __init__(self):
        super().__init__(1, 2, 3, padding=1)

class Asks(nn.Module):
    def __init__(self, width):
        super().__init__()

class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x):
        return self.head(x){extra}
"""


@pytest.fixture
def own_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a network that is no part of pancseg."""
    (tmp_path / "mylab.py").write_text(OWN.format(extra=""))
    (tmp_path / "odd.py").write_text(OWN.format(extra=".clamp(-9, 9)"))  # no graph knows clamp
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("mylab", "odd"):
        sys.modules.pop(name, None)
        torch.manual_seed(0)
        network = importlib.import_module(name).Tiny()
        checkpoint = Checkpoint(
            network=f"{name}:Tiny",
            preprocessing=Preprocessing(window_hu=(-150, 200), size=64),
            provenance={"data": "none"},
            weights=weights_of(network),
        )
        checkpoint.save(tmp_path / f"{name}.safetensors")
    return tmp_path / "mylab.safetensors"


def test_own_networks_need_leave_to_run_their_code(own_network: Path, small: Phantom) -> None:
    with pytest.raises(ValueError, match=r"mylab:Tiny, which is code outside .*`allow_code`"):
        pancseg.load_segmenter(own_network)
    segmenter = pancseg.load_segmenter(own_network, allow_code=True, threads=1)
    found = segmenter.probabilities(small.image)
    torch_too = pancseg.load_segmenter(own_network, allow_code=True, engine="torch", threads=1)
    other = torch_too.probabilities(small.image)
    assert np.abs(voxels(found) - voxels(other)).max() < 1e-5
    odd = own_network.with_name("odd.safetensors")  # OpenVINO cannot have it, auto takes torch
    assert pancseg.load_segmenter(odd, allow_code=True, threads=1).engine == "torch"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("mylab:Two", r"to \(1, 2, 64, 64\); it must return logits of the same shape"),
        ("mylab:Asks", r"TypeError.*built without arguments"),
        ("mylab:Gone", "cannot be imported"),
        ("nolab:Tiny", "'nolab' on the Python path"),
    ],
)
def test_a_network_that_cannot_be_used_is_one_line(own_network: Path, name: str, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        build_network(name)


def test_own_networks_go_through_a_cohort(
    own_network: Path, example_folder: Path, tmp_path: Path
) -> None:
    here = pancseg.RunOptions(workers=0)
    (result,) = pancseg.segment_cohort(
        example_folder / "cohort.csv",
        tmp_path / "out",
        weights=own_network,
        allow_code=True,
        options=here,
    )
    assert result.reason in ("no_pancreas", "") or "volume" in result.reason
    with pytest.raises(pancseg.RunRefused, match="allow_code"):
        pancseg.segment_cohort(
            example_folder / "cohort.csv", tmp_path / "no", weights=own_network, options=here
        )


def test_a_name_allows_one_network_alone(own_network: Path) -> None:
    """As a recipe does for the weights that it begins with."""
    assert load_checkpoint(own_network, allow_code="mylab:Tiny").network == "mylab:Tiny"
    with pytest.raises(ValueError, match="would run mylab:Tiny"):
        load_checkpoint(own_network, allow_code="odd:Tiny")


def test_a_module_that_breaks_is_one_line(own_network: Path) -> None:
    own_network.with_name("broken.py").write_text("1 / 0")
    with pytest.raises(ValueError, match=r"cannot be imported \(division by zero\)"):
        build_network("broken:Net")
