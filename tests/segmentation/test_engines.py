"""Every engine in ENGINES gives the probabilities of the plain network; the choice among them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pancseg.phantom import Phantom
from pancseg.scans.arrays import voxel_array
from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import Checkpoint, Preprocessing, load_checkpoint, weights_of
from pancseg.segmentation.engines import ENGINES
from pancseg.segmentation.engines.batch_norm import fold_batch_norm
from pancseg.segmentation.engines.hardware import cpu_gains_from_bf16, cpu_has_bf16
from pancseg.segmentation.networks import NETWORKS
from pancseg.segmentation.preprocess import SliceGrid
from pancseg.system import optional

Slices = NDArray[np.float32]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint("monet_phantom")


@pytest.fixture(scope="module")
def slices(phantom: Phantom, checkpoint: Checkpoint) -> Slices:
    """Three real network inputs, 256×256: above, in and below the pancreas."""
    voxels = voxel_array(phantom.image)[4:19:7]
    x_mm, y_mm, _ = phantom.image.GetSpacing()
    grid = SliceGrid.for_slices(voxels.shape[1:], (y_mm, x_mm), checkpoint.preprocessing)
    return grid.to_network(voxels)


def plain(network: torch.nn.Module, slices: Slices) -> Slices:
    """The network as first written: eager, channels first, nothing folded."""
    with torch.no_grad():
        found: Slices = torch.sigmoid(network(torch.from_numpy(slices)[:, None]))[:, 0].numpy()
    return found


def untrained(name: str) -> Checkpoint:
    """A network with random weights and BatchNorm statistics that are not neutral."""
    torch.manual_seed(0)
    network = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.weight, 1, 0.2)
            torch.nn.init.normal_(module.bias, std=0.2)
    settings = Preprocessing(window_hu=(0, 240), size=256)
    return Checkpoint(name, settings, {}, weights_of(network))


def skip_where_lacking(engine: str, precision: str = "fp32") -> None:
    if missing := engines.lacks(engine, precision):
        pytest.skip(f"engine {engine}, {precision}: this machine lacks {missing}")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ENGINES)
def test_engine_agrees_with_eager_torch(
    name: str, threads: int, checkpoint: Checkpoint, slices: Slices
) -> None:
    skip_where_lacking(name)
    expected = plain(checkpoint.build(), slices)
    assert 0.9 < expected.max() <= 1  # the pancreas is there
    probabilities = ENGINES[name](checkpoint, threads)
    for count in (3, 1):
        found = probabilities(slices[:count])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[:count], atol=1e-5, rtol=0)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", ENGINES)
def test_every_network_runs_in_every_engine(name: str, network: str) -> None:
    skip_where_lacking(name)
    checkpoint = untrained(network)
    noise = np.random.default_rng(0).random((2, 32, 48), dtype=np.float32)
    expected = plain(checkpoint.build(), noise)
    np.testing.assert_allclose(ENGINES[name](checkpoint, 2)(noise), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ENGINES)
def test_bf16_is_close(name: str, checkpoint: Checkpoint, slices: Slices) -> None:
    skip_where_lacking(name, "bf16")
    expected = plain(checkpoint.build(), slices) >= 0.5
    found = ENGINES[name](checkpoint, 2, "bf16")(slices)
    assert found.dtype == np.float32
    changed = np.count_nonzero((found >= 0.5) != expected) / np.count_nonzero(expected)
    assert changed < 0.05


def test_openvino_gives_the_same_bytes_with_any_threads_and_batches(
    checkpoint: Checkpoint, slices: Slices
) -> None:
    skip_where_lacking("openvino")
    one, two = (ENGINES["openvino"](checkpoint, threads) for threads in (1, 2))
    together = two(slices)
    assert one(slices).tobytes() == together.tobytes()
    assert two(slices[1:2]).tobytes() == together[1:2].tobytes()


def test_folding_changes_nothing_but_the_steps(checkpoint: Checkpoint, slices: Slices) -> None:
    folded = fold_batch_norm(checkpoint.build())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    expected = plain(checkpoint.build(), slices)
    np.testing.assert_allclose(plain(folded, slices), expected, atol=1e-5, rtol=0)


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for present, expected in ((set(ENGINES), "cuda"), ({"torch"}, "torch")):
        monkeypatch.setattr(engines, "lacks", lambda name, p=present: "" if name in p else "it")
        assert engines.pick() == expected
        assert engines.pick("openvino") == "openvino"


@pytest.mark.parametrize(("threads", "count"), [(1, 8), (4, 8), (6, 12), (16, 32), (64, 32)])
def test_every_thread_gets_slices(threads: int, count: int) -> None:
    assert engines.slices_at_once("openvino", threads) == count
    assert engines.slices_at_once("torch", threads) == 8


def test_what_the_machine_lacks_is_said(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Checkpoint
) -> None:
    monkeypatch.setattr(engines, "cpu_has_bf16", lambda: False)
    with pytest.raises(ValueError, match="needs a CPU with bfloat16 arithmetic"):
        engines.build(checkpoint, 1, "torch", "bf16")
    monkeypatch.setattr(optional, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"openvino with fp32 needs .* \(pip install openvino\)"):
        engines.build(checkpoint, 1, "openvino", "fp32")
    with pytest.raises(ValueError, match="unknown engine 'abacus'; known: auto, torch, openvino"):
        engines.build(checkpoint, 1, "abacus", "fp32")


def test_native_bf16_is_read_from_the_flags() -> None:
    assert cpu_has_bf16("avx512f avx512_bf16")
    assert cpu_has_bf16("amx_tile amx_bf16")
    assert not cpu_has_bf16("avx2 avx512f")


@pytest.mark.parametrize(
    ("flags", "vendor", "gains"),
    [
        ("avx512f avx512_bf16", "AuthenticAMD", True),
        ("avx512f avx512_bf16 amx_bf16", "GenuineIntel", True),
        ("avx512f avx512_bf16", "GenuineIntel", False),
        ("asimd bf16", "", True),
        ("avx2", "AuthenticAMD", False),
    ],
)
def test_bf16_pays_with_amx_on_arm_and_on_amd(flags: str, vendor: str, gains: bool) -> None:
    assert cpu_gains_from_bf16(flags, vendor) is gains


def test_openvino_reaches_for_no_network_and_no_home(tmp_path: Path) -> None:
    """Importing OpenVINO reports so to its maker and leaves an identifier, if one lets it."""
    skip_where_lacking("openvino")
    code = (
        "import sys; seen = []\n"
        "watched = {'socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname'}\n"
        "sys.addaudithook(lambda event, _: event in watched and seen.append(event))\n"
        "import numpy as np\n"
        "from pancseg.segmentation.checkpoint import load_checkpoint\n"
        "from pancseg.segmentation.engines import ENGINES\n"
        "run = ENGINES['openvino'](load_checkpoint('monet_phantom'), 1)\n"
        "run(np.zeros((1, 32, 32), np.float32))\n"
        "assert 'openvino' in sys.modules\n"
        "assert not any('openvino_telemetry' in name for name in sys.modules)\n"
        "assert not seen, seen\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env={"HOME": str(tmp_path), "PATH": ""},
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert list(tmp_path.iterdir()) == []


def test_openvino_does_without_torch() -> None:
    """Its import takes two seconds and 200 MB."""
    skip_where_lacking("openvino")
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from pancseg.segmentation.segmenter import load_segmenter\n"
        "segmenter = load_segmenter('monet_phantom', threads=1, engine='openvino')\n"
        "segmenter.looking.networks._first(np.zeros((1, 32, 32), np.float32))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)


def test_without_nvidias_driver_torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("asked"))
    assert engines.lacks("cuda") == "a CUDA GPU that torch can use"
    monkeypatch.setattr(engines, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation
    )
    assert engines.lacks("cuda") == ""
    assert "bfloat16" in engines.lacks("cuda", "bf16")
