"""8-bit arithmetic: used, close to fp32, alike on other CPUs; refused without ranges."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from command_line import call
from numpy.typing import NDArray
from two_looks import fine, two_looks

from pancseg import write_scan
from pancseg.phantom import Phantom, make_phantom
from pancseg.running import keys
from pancseg.running.kept import manner_of
from pancseg.scans.arrays import voxel_array
from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import Checkpoint, Preprocessing, load_checkpoint, weights_of
from pancseg.segmentation.engines.openvino_int8 import LARGEST_WEIGHT, rounded_weight, with_zero
from pancseg.segmentation.joining import join_looks
from pancseg.segmentation.measured_ranges import measured_ranges
from pancseg.segmentation.networks import NETWORKS
from pancseg.segmentation.networks.activation_ranges import convolutions_in_int8, rounded_steps
from pancseg.segmentation.networks.stored_graphs import graph_of
from pancseg.segmentation.preprocess import SliceGrid
from pancseg.segmentation.segmenter import Segmenter, load_segmenter

Slices = NDArray[np.float32]

needs_int8 = pytest.mark.skipif(
    bool(engines.lacks("openvino", "int8")), reason="needs OpenVINO on an x86 CPU"
)


def inputs(phantom: Phantom, which: slice) -> Slices:
    """What the network sees of some slices of a phantom."""
    voxels = voxel_array(phantom.image)[which]
    x_mm, y_mm, _ = phantom.image.GetSpacing()
    settings = load_checkpoint("monet_phantom").preprocessing
    return SliceGrid.for_slices(voxels.shape[1:], (y_mm, x_mm), settings).to_network(voxels)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """The phantom's network, with ranges measured on another phantom."""
    other = make_phantom(5, size=(128, 128, 64), spacing_mm=(2.8, 2.8, 3.0))
    ranges = measured_ranges(load_checkpoint("monet_phantom"), inputs(other, slice(16, 48, 8)))
    return replace(load_checkpoint("monet_phantom"), ranges=ranges)


@pytest.fixture(scope="module")
def slices(phantom: Phantom) -> Slices:
    """Slices with pancreas."""
    return inputs(phantom, slice(10, 18, 4))


def noise(side: int = 32) -> Slices:
    return np.random.default_rng(0).random((3, side, side), dtype=np.float32)


def without_ranges() -> Checkpoint:
    return load_checkpoint("monet_phantom").without_ranges()


@pytest.mark.parametrize("network", ["monet", "unet16"])
def test_the_ranges_are_the_mean_extremes_of_what_each_step_gives(network: str) -> None:
    """Here by hooks on the layers, there by steps of the graph."""
    torch.manual_seed(0)
    made = Checkpoint(
        network, Preprocessing(window_hu=(0, 240), size=32), {}, weights_of(NETWORKS[network]())
    )
    ranges = measured_ranges(made, noise())
    assert list(ranges) == rounded_steps(graph_of(network))
    assert all(low <= 0 <= high for low, high in ranges.values())
    built = made.build()
    seen: dict[str, list[tuple[float, float]]] = {}
    for name, layer in built.named_modules():
        step = name.replace(".", "_")
        if step in ranges and name != "pool":  # steps of layers have their names
            layer.register_forward_hook(
                lambda *parts, step=step: seen.setdefault(step, []).append(
                    (float(parts[2].min()), float(parts[2].max()))
                )
            )
    with torch.no_grad():
        for one in noise():
            built(torch.from_numpy(one)[None, None])
    assert len(seen) > len(ranges) / 2
    for step, ends in seen.items():
        low, high = np.mean(ends, axis=0)
        assert ranges[step] == pytest.approx((min(low, 0), max(high, 0)), rel=1e-3)


def test_ranges_need_slices(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="need slices to be measured on; there are none"):
        measured_ranges(checkpoint, noise()[:0])


OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = (nn.Conv2d(1, 1, 1) for _ in range(3))

class Two(Net):
    def forward(self, x):
        return self.last(self.first(x))

class Loud(Net):
    def forward(self, x):
        return self.last(self.second(self.first(x)))
"""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Two", "int8 rounds no activation of this network, so it needs no ranges"),
        ("Loud", r"the activations of first are 0 to [\d.]+e\+06 \(expected ±1,000,000 at most\)"),
    ],
)
def test_networks_that_can_have_no_ranges_are_told_in_one_line(
    name: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_nets.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    weights = weights_of(getattr(importlib.import_module("own_nets"), name)())
    weights = {each: np.full_like(w, 3e6) for each, w in weights.items()}
    made = Checkpoint(f"own_nets:{name}", Preprocessing(window_hu=(0, 240), size=32), {}, weights)
    with pytest.raises(ValueError, match=problem) as caught:
        measured_ranges(made, noise())
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)


def test_the_first_and_the_last_convolution_stay_in_single_precision() -> None:
    for network in NETWORKS:
        graph = graph_of(network)
        kinds = ("conv", "conv_transpose")
        every = [step.name for step in graph.steps if step.op in kinds]
        assert convolutions_in_int8(graph) == every[1:-1]


def test_zero_is_a_level_of_every_range() -> None:
    """Convolutions are padded with it."""
    rng = np.random.default_rng(0)
    for low, high in zip(-rng.exponential(1, 50), rng.exponential(9, 50), strict=True):
        wider = with_zero((low, high))
        step = (wider[1] - wider[0]) / 255
        assert round(-wider[0] / step) == pytest.approx(-wider[0] / step, abs=1e-6)
        assert wider[0] <= low + step / 2
        assert wider[1] >= high - step / 2
    assert with_zero((0.0, 3.0)) == (0.0, 3.0)
    assert with_zero((-3.0, 0.0)) == (-3.0, 0.0)
    assert with_zero((-1e-6, 3.0)) == (0.0, 3.0)


@needs_int8
def test_weights_have_seven_bits_and_a_scale_for_each_channel() -> None:
    """Two products of 7 and 8 bits fit into the 16 bits in which CPUs without VNNI add them."""
    assert 2 * 255 * LARGEST_WEIGHT <= 2**15 - 1
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    weight[2] = 0
    product = rounded_weight(weight, 0)
    integers = product.input_value(0).get_node().input_value(0).get_node().data
    scale = product.input_value(1).get_node().data
    assert integers.dtype == np.int8
    assert scale.shape == (4, 1, 1, 1)
    assert [np.abs(each).max() for each in integers] == [63, 63, 0, 63]
    np.testing.assert_allclose(integers * scale, weight, atol=scale.max() / 2 * 1.001)


@needs_int8
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_runs_in_int8(network: str) -> None:
    torch.manual_seed(0)
    made = Checkpoint(
        network, Preprocessing(window_hu=(0, 240), size=32), {}, weights_of(NETWORKS[network]())
    )
    made = replace(made, ranges=measured_ranges(made, noise()))
    exact, found = (engines.build(made, 1, "openvino", p)(noise()) for p in ("fp32", "int8"))
    assert found.dtype == np.float32
    assert 0 < np.abs(found - exact).max() < 0.1
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.95


def convolutions_run(checkpoint: Checkpoint, precision: str) -> list[tuple[str, str]]:
    """Name of the kernel and type of the input of each convolution that OpenVINO runs."""
    from pancseg.segmentation.engines.openvino_graph import openvino_graph
    from pancseg.segmentation.engines.openvino_import import openvino

    ranges = checkpoint.ranges if precision == "int8" else None
    graph = graph_of(checkpoint.network)
    model = openvino_graph(graph, checkpoint.weights, (1, 1, 64, 64), ranges)
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = []
    for op in compiled.get_runtime_model().get_ordered_ops():
        about = {key: value.astype(str) for key, value in op.get_rt_info().items()}
        if about.get("layerType") in ("Convolution", "Deconvolution"):
            found.append((about["primitiveType"], about["runtimePrecision"]))
    return found


@needs_int8
def test_convolutions_really_run_on_integers(checkpoint: Checkpoint) -> None:
    integers = [precision for _, precision in convolutions_run(checkpoint, "int8")]
    assert len(integers) == 30
    assert sum(each in ("u8", "i8") for each in integers) == 28
    assert {precision for _, precision in convolutions_run(checkpoint, "fp32")} == {"f32"}


@needs_int8
def test_masks_change_little(phantom: Phantom, checkpoint: Checkpoint) -> None:
    """0.9 % when it was written; bf16 is allowed 5 %."""
    exact, other = (
        voxel_array(Segmenter(checkpoint, threads=1, engine="openvino", precision=p).segment(
            phantom.image
        )) > 0
        for p in ("fp32", "int8")
    )  # fmt: skip
    share = np.count_nonzero(exact != other) / np.count_nonzero(exact)
    assert 0 < share < 0.03


@needs_int8
def test_int8_gives_the_same_bytes_with_any_threads(checkpoint: Checkpoint, slices: Slices) -> None:
    one, two = (engines.build(checkpoint, n, "openvino", "int8") for n in (1, 2))
    assert one(slices).tobytes() == two(slices).tobytes()
    assert two(slices[1:2]).tobytes() == two(slices)[1:2].tobytes()


RUN = """
import sys
import numpy as np
from pathlib import Path
from test_int8 import convolutions_run
from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import load_checkpoint
folder = Path(sys.argv[1])
checkpoint = load_checkpoint(folder / "weights.safetensors")
found = engines.build(checkpoint, 1, "openvino", "int8")(np.load(folder / "slices.npy"))
kernels = sorted({name for name, precision in convolutions_run(checkpoint, "int8")
                  if precision != "f32"})
np.save(sys.argv[2], found)
print(",".join(kernels))
"""


@needs_int8
def test_cpus_without_products_of_integers_give_nearly_the_same_mask(
    tmp_path: Path, checkpoint: Checkpoint, slices: Slices
) -> None:
    """oneDNN is told to leave out what newer CPUs have: VNNI, then AVX-512."""
    np.save(tmp_path / "slices.npy", slices)
    checkpoint.save(tmp_path / "weights.safetensors")
    kernels, masks = {}, {}
    for kind in ("AVX2", "AVX512_CORE", "ALL"):
        folders = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(tmp_path), str(tmp_path / f"{kind}.npy")],
            env={**os.environ, "ONEDNN_MAX_CPU_ISA": kind, "PYTHONPATH": folders},
            capture_output=True,
            text=True,
            check=True,
        )
        kernels[kind] = done.stdout
        masks[kind] = np.load(tmp_path / f"{kind}.npy") >= 0.5
    assert "avx512" not in kernels["AVX2"]  # or nothing was left out
    size = np.count_nonzero(masks["ALL"])
    assert size > 500
    for kind in ("AVX2", "AVX512_CORE"):
        assert np.count_nonzero(masks[kind] != masks["ALL"]) <= 0.02 * size, kind


def test_ranges_are_kept(tmp_path: Path) -> None:
    first = replace(without_ranges(), ranges={"add": (-1.25, 3.0)})
    own = replace(first, second=replace(fine(), ranges={"cat": (0.0, 1e-3)}))
    own.save(tmp_path / "two.safetensors")
    again = load_checkpoint(tmp_path / "two.safetensors")
    assert again.second is not None
    assert (again.ranges, again.second.ranges) == (first.ranges, {"cat": (0.0, 1e-3)})
    assert again.without_ranges().second is not None
    assert again.without_ranges().second.ranges is None  # type: ignore[union-attr]


def test_weights_without_ranges_are_read(tmp_path: Path) -> None:
    without_ranges().save(tmp_path / "old.safetensors")
    read = load_checkpoint(tmp_path / "old.safetensors")
    assert read.ranges is None
    assert read.sha256 == read.sha256_without_ranges == read.made_of("int8")


def test_joined_weights_keep_the_ranges_of_both(tmp_path: Path) -> None:
    for name, made in (("first", without_ranges()), ("second", fine().without_ranges())):
        low = -1.0 if name == "first" else -2.0
        replace(made, ranges={"add": (low, 3.0)}).save(tmp_path / f"{name}.safetensors")
    paths = [tmp_path / f"{name}.safetensors" for name in ("first", "second")]
    joined = join_looks(*paths)
    assert joined.second is not None
    assert (joined.ranges, joined.second.ranges) == ({"add": (-1.0, 3.0)}, {"add": (-2.0, 3.0)})


@pytest.mark.parametrize(
    "ends", [[1.0, 2.0], [-2.0, -1.0], [0.0, 0.0], [-1e9, 1.0], [0.0, float("inf")], [1.0]]
)
def test_ranges_that_are_none_are_refused(ends: list[float], tmp_path: Path) -> None:
    path = tmp_path / "forged.safetensors"
    replace(without_ranges(), ranges={"add": (-1.0, 1.0)}).save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    about = json.loads(header["__metadata__"]["pancseg"])
    about["ranges"]["add"] = ends
    header["__metadata__"]["pancseg"] = json.dumps(about)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    with pytest.raises(ValueError, match=r"not a pancseg checkpoint \(ranges.add") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_ranges_do_not_change_what_other_precisions_make(tmp_path: Path) -> None:
    """Masks in fp32 are kept when ranges are added to their weights."""
    plain, measured = tmp_path / "plain.safetensors", tmp_path / "measured.safetensors"
    without_ranges().save(plain)
    replace(without_ranges(), ranges={"add": (-1.0, 1.0)}).save(measured)
    before, after = load_checkpoint(plain), load_checkpoint(measured)
    assert before.sha256 != after.sha256
    for precision in ("fp32", "bf16"):
        assert before.made_of(precision) == after.made_of(precision)
    assert after.made_of("int8") == after.sha256
    inference = {"engine": "openvino", "precision": "fp32", "looks": 1}
    plan = SimpleNamespace(
        settings=None,
        judging=SimpleNamespace(limits=SimpleNamespace(fat_below_hu=0, dense_above_hu=0)),
        command="segment",
        uncertainty=0,
        keep_truncated_shape=False,
        takes_shared=lambda _: True,
    )
    case = SimpleNamespace(mask_label=None, roi="pancreas", series_uid=None)
    manners = [
        manner_of(plan, {"weights": weights, "inference": inference})(case)  # type: ignore[arg-type]
        for weights in (
            {"sha256": before.sha256},
            {"sha256": after.sha256, keys.WITHOUT_RANGES: after.made_of("fp32")},
            {"sha256": after.sha256},
        )
    ]
    assert manners[0] == manners[1] != manners[2]


def test_joined_weights_name_the_parts_as_they_are_without_ranges(tmp_path: Path) -> None:
    """So that masks in fp32 stay when ranges are added to the parts, which are joined again."""
    made = []
    for ranges in (None, {"add": (-1.0, 1.0)}):
        parts = [tmp_path / f"{name}.safetensors" for name in ("first", "second")]
        for path, part in zip(parts, (without_ranges(), fine().without_ranges()), strict=True):
            replace(part, ranges=ranges).save(path)
        join_looks(*parts).save(tmp_path / "two.safetensors")
        made.append(load_checkpoint(tmp_path / "two.safetensors"))
    assert made[0].sha256 != made[1].sha256
    assert made[0].made_of("fp32") == made[1].made_of("fp32")


def test_int8_without_ranges_is_refused(
    tmp_path: Path, phantom: Phantom, checkpoint: Checkpoint
) -> None:
    if lacking := engines.lacks("openvino", "int8"):
        pytest.skip(f"this machine lacks {lacking}")
    path = tmp_path / "plain.safetensors"
    without_ranges().save(path)
    with pytest.raises(ValueError, match="the weights hold no ranges of activations, which int8"):
        load_segmenter(path, precision="int8", threads=1)
    scan = tmp_path / "scan.nii.gz"
    write_scan(phantom.image[:, :, 14:17], scan)
    code, _, errors = call("segment", scan, "--out", tmp_path / "o", "--weights", path,
                           "--precision", "int8", "--workers", "0")  # fmt: skip
    assert (code, errors.count("\n")) == (2, 1)
    assert "measure them by `pancseg weights calibrate`, or set --precision to fp32" in errors
    some = replace(without_ranges(), ranges={"add": (-1.0, 1.0)})
    with pytest.raises(ValueError, match=r"no ranges for 37 of the 38 activations that int8"):
        Segmenter(some, precision="int8", threads=1)
    without = replace(two_looks().without_ranges(), ranges=checkpoint.ranges)
    with pytest.raises(ValueError, match="the weights of the second look hold no ranges"):
        Segmenter(without, precision="int8", threads=1)


@pytest.mark.parametrize("engine", ["torch", "cuda"])
def test_engines_without_int8_are_refused(engine: str, checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match=f"engine {engine} with int8 needs the engine openvino"):
        engines.build(checkpoint, 1, engine, "int8")


def test_auto_is_openvino_in_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "lacks", lambda *_: "")
    assert (engines.pick(), engines.pick(precision="int8")) == ("cuda", "openvino")


def test_other_cpus_than_x86_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert engines.lacks("openvino", "int8") == "an x86 CPU; use fp32"
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    assert engines.lacks("openvino", "int8") == ""
