"""Run networks with OpenVINO on the CPU, the default where torch finds no GPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.checkpoint import Checkpoint
from pancseg.segmentation.engines.interface import Probabilities
from pancseg.segmentation.engines.openvino_graph import openvino_graph
from pancseg.segmentation.engines.openvino_import import openvino
from pancseg.segmentation.networks.stored_graphs import graph_of

_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""In int8 it is that of what has no 8 bits: activation functions, first and last convolution."""


@cache
def _core() -> Any:
    """Return the process's only ``Core``, which is never freed.

    Each one gives the thread that first compiles with it another stack for signal handlers, and
    frees it with itself. Of two, the one that is freed last puts the freed stack of the other back,
    and the next signal that Python handles, such as Ctrl-C, ends the process (2026.4.1).
    """
    return openvino.Core()


def openvino_engine(checkpoint: Checkpoint, threads: int, precision: str = "fp32") -> Probabilities:
    """Run the network with OpenVINO: one slice per thread at a time.

    Each slice is computed by a single thread. Its probabilities are therefore identical to the
    last bit for any number of threads and any batch. In int8 all convolutions but the first and
    the last are computed in integers (:mod:`pancseg.segmentation.engines.openvino_int8`).
    """
    graph = graph_of(checkpoint.network)
    ranges = checkpoint.ranges if precision == "int8" else None
    core = _core()
    settings = {
        # Explicit, because OpenVINO's default is bfloat16 wherever the CPU supports it.
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        "ENABLE_CPU_PINNING": False,
    }
    runners: dict[tuple[int, int], list[Any]] = {}

    def probabilities(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        shape = slices.shape[1:]
        if shape not in runners:
            model = openvino_graph(graph, checkpoint.weights, (1, 1, *shape), ranges)
            compiled = core.compile_model(model, "CPU", settings)
            runners[shape] = [compiled.create_infer_request() for _ in range(2 * threads)]
        return in_turn(runners[shape], np.ascontiguousarray(slices))

    return probabilities


def in_turn(requests: list[Any], slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute slices with asynchronous requests, and return their probabilities in order.

    There are twice as many requests as threads, so that no thread waits for results to be fetched.
    """
    found = np.empty_like(slices)
    ahead = len(requests)
    for index in range(len(slices) + ahead):
        request = requests[index % ahead]
        if 0 <= index - ahead < len(slices):
            request.wait()
            found[index - ahead] = request.get_output_tensor(0).data[0, 0]
        if index < len(slices):
            request.start_async([slices[index : index + 1, None]], share_inputs=True)
    return found
