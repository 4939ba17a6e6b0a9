"""Where torch is not installed OpenVINO gives the same bytes, and what needs torch says so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import call
from conftest import ROOT

from pancseg.benchmark.inference import plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.scan import ScanProcessor
from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.segmentation.networks import NETWORKS
from pancseg.segmentation.networks.stored_graphs import graph_of
from pancseg.system import optional

HIDE_TORCH = """
import sys
from importlib.machinery import PathFinder
from importlib.metadata import DistributionFinder

class WithoutTorch:
    invalidate_caches = PathFinder.invalidate_caches

    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name == "torch" else PathFinder.find_spec(name, path, target)

    @staticmethod
    def find_distributions(context=DistributionFinder.Context()):
        return iter(()) if context.name == "torch" else PathFinder.find_distributions(context)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTorch
"""
"""As ``sitecustomize`` it acts in every Python process that finds it, workers among them."""


@pytest.fixture
def without_torch(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python with arguments as if torch were not installed."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDE_TORCH)
    paths = os.pathsep.join([str(hidden), str(ROOT)])

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        env = {**os.environ, "PYTHONPATH": paths}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def torch_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = optional.find_spec
    hidden = {"torch"}
    monkeypatch.setattr(optional, "find_spec", lambda name: None if name in hidden else found(name))


def test_a_run_without_torch_gives_the_same_bytes(
    cohort: Path, tmp_path: Path, without_torch: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    words = ["run", cohort.parent / "scans" / "auto1.nii.gz", "--weights", "monet_phantom"]
    words += ["--config", cohort.parent / "quick.yaml", "--workers", "1"]
    assert call(*words, "--out", tmp_path / "with", "--engine", "openvino")[0] == 0
    words = ["-m", "pancseg", *words]
    done = without_torch(*words, "--out", tmp_path / "without")
    assert done.returncode == 0, done.stderr
    names = ("masks/auto1.nii.gz", "features.csv", "codebook.csv", "masks/provenance.json")
    for name in names:
        assert (tmp_path / "without" / name).read_bytes() == (tmp_path / "with" / name).read_bytes()
    refused = without_torch(*words, "--out", tmp_path / "no", "--engine", "torch")
    assert refused.returncode == 2
    line = "engine torch with fp32 needs the package torch (pip install 'pancseg[torch]')"
    assert f"pancseg: {line}\n" in refused.stderr


def _uncertainty() -> None:
    ScanProcessor(
        ProcessingPlan("segment", None, "monet_phantom", engine="openvino", uncertainty=2)
    )


@pytest.mark.parametrize(
    ("work", "purpose"),
    [
        (lambda: engines.build(load_checkpoint("monet_phantom"), 1, "torch", "fp32"), "engine"),
        (_uncertainty, "uncertainty"),
        (NETWORKS["monet"], "building a network"),
        (lambda: load_checkpoint("monet_phantom").build(), "building a network"),
        (lambda: graph_of("none"), "network 'none', whose graph is not stored,"),
        (lambda: plan(["monet"], ["openvino"], ["fp32"]), "the comparison"),
    ],
)
def test_what_needs_torch_says_how_to_install_it(
    work: Callable[[], object], purpose: str, torch_not_found: None
) -> None:
    remedy = r"needs the package torch \(pip install 'pancseg\[torch\]'\)$"
    with pytest.raises(ValueError, match=f"^{purpose}.* {remedy}"):
        work()


def test_without_any_engine_the_remedy_is_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"no engine is installed.*pip install openvino"):
        engines.pick()


def test_a_gpu_without_torch_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, torch_not_found: None
) -> None:
    monkeypatch.setattr(engines, "has_nvidia_driver", lambda: True)
    assert "pip install 'pancseg[torch]'" in engines.lacks("cuda")
    assert engines.pick() == "openvino"
