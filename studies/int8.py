"""What 8-bit arithmetic would gain and cost: speed, and Dice on a slice set's validation patients.

``python studies/int8.py DATA [WEIGHTS]``: DATA is what the slice set ``open`` describes
(docs/reproduce.md); WEIGHTS a shipped name or a checkpoint file. Needs ``pip install nncf``
(Apache-2.0), which quantises OpenVINO's graph after training with slices of training patients.
pancseg ships no such engine (docs/log.md).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import nncf
import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation import DEFAULT_WEIGHTS, engines
from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.engines.openvino_cpu import in_turn, openvino_engine
from pancseg.segmentation.engines.openvino_graph import openvino_graph
from pancseg.segmentation.engines.openvino_import import openvino
from pancseg.segmentation.networks.stored_graphs import graph_of
from pancseg.system.threads import available_cores
from pancseg.tables.markdown_table import markdown_table
from pancseg.training.data.labelled_slice import UNKNOWN
from pancseg.training.data.slice_set import load_slice_set
from pancseg.training.data.slices import read_slices
from pancseg.training.scoring import PatientDice, Scored, validate

CALIBRATION_SLICES = 48
ROUNDS, SLICES = 5, 40
Floats = NDArray[np.float32]


class Int8:
    """An engine in the place of OpenVINO's; quantised once, for slices of any size."""

    def __init__(self, calibration: Floats) -> None:
        self._calibration = calibration

    def __call__(self, checkpoint: Checkpoint, threads: int, _: str = "fp32") -> Any:
        """Return the function from slices ``(n, H, W)`` to probabilities."""
        shape = self._calibration.shape[1:]
        model = openvino_graph(graph_of(checkpoint.network), checkpoint.weights, (1, 1, *shape))
        inputs = nncf.Dataset([one[None, None] for one in self._calibration])
        model = nncf.quantize(model, inputs, subset_size=len(self._calibration))
        requests: dict[tuple[int, ...], list[Any]] = {}

        def probabilities(slices: Floats) -> Floats:
            size = slices.shape[1:]
            if size not in requests:
                sized = model.clone()
                sized.reshape([1, 1, *size])
                settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads}
                compiled = openvino.Core().compile_model(sized, "CPU", settings)
                requests[size] = [compiled.create_infer_request() for _ in range(2 * threads)]
            return in_turn(requests[size], np.ascontiguousarray(slices))

        return probabilities


def calibration_of(data: Path, checkpoint: Checkpoint) -> Floats:
    """Return whole slices of training patients, evenly chosen, in 0..1."""
    slices = read_slices(load_slice_set("open"), data, checkpoint.preprocessing)
    whole = [s.image for s in slices if s.split == "train" and not (s.mask == UNKNOWN).any()]
    chosen = np.linspace(0, len(whole) - 1, CALIBRATION_SLICES).round().astype(int)
    return np.stack([whole[i] for i in chosen]).astype(np.float32) / np.float32(255)


def seconds_of(engine: Any, checkpoint: Checkpoint, threads: int) -> list[float]:
    """Time some slices of 256×256, after a warm-up."""
    stack = np.random.default_rng(0).random((SLICES, 256, 256), dtype=np.float32)
    network = engine(checkpoint, threads, "fp32")
    network(stack[:8])
    spent = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        network(stack)
        spent.append(time.perf_counter() - start)
    return spent


def mean_of(scores: dict[Scored, PatientDice], what: str) -> float:
    """Return the mean Dice over patients."""
    return float(np.mean([s.dice for key, s in scores.items() if key.what == what and s.slices]))


def main(data: Path, weights: str = DEFAULT_WEIGHTS) -> None:
    """Print speed and Dice of both arithmetics."""
    checkpoint, threads = load_checkpoint(weights), available_cores()
    kinds = {"fp32": openvino_engine, "int8": Int8(calibration_of(data, checkpoint))}
    spent = {name: seconds_of(engine, checkpoint, threads) for name, engine in kinds.items()}
    scores = {}
    for name, engine in kinds.items():
        engines.ENGINES[engines.pick()] = engine
        scores[name] = validate(weights, load_slice_set("open"), data, threads=threads)
    titles = ["arithmetic", "seconds, 40 slices", "fp32 ÷ it", "Dice, whole slices", "Dice, boxes"]
    rows = [
        (
            name,
            f"{np.mean(times):.2f} ± {np.std(times, ddof=1):.2f}",
            f"{np.mean(spent['fp32']) / np.mean(times):.2f}",
            f"{mean_of(scores[name], 'whole'):.4f}",
            f"{mean_of(scores[name], 'box'):.4f}",
        )
        for name, times in spent.items()
    ]
    print(markdown_table(titles, rows, left=1))
    patients = [
        (" ".join(key), *(f"{scores[kind][key].dice:.3f}" for kind in ("fp32", "int8")))
        for key in scores["fp32"]
    ]
    print(markdown_table(["patient", "fp32", "int8"], patients, left=1), end="")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
