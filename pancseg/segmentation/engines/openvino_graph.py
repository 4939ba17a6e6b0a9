"""Build an OpenVINO model from a network's stored steps and weights, without torch.

``openvino.convert_model`` is not used, because it reports its use over the internet (see
``openvino_import``) and spends seconds on tracing; building the graph here takes 0.03 s. OpenVINO
itself folds BatchNorm into convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.engines.openvino_import import openvino
from pancseg.segmentation.engines.openvino_import import operations as ops
from pancseg.segmentation.networks.graph import GraphStep, NetworkGraph

Node = Any
"""An ``openvino.Node``: an operation's output, ``(N, C, H, W)``."""


def openvino_graph(
    graph: NetworkGraph, weights: Mapping[str, NDArray[Any]], shape: tuple[int, int, int, int]
) -> openvino.Model:
    """Return a model from slices ``(N, 1, H, W)`` float32 to probabilities of that shape.

    Args:
        graph: the network; its last step gives the logits.
        weights: arrays by the names that the graph uses.
        shape: the input's fixed shape.
    """
    slices = ops.parameter(shape, np.float32)
    nodes: dict[str, Node] = {}
    for step in graph.steps:
        inputs = [nodes[name] for name in step.inputs]
        if step.op == "input":
            nodes[step.name] = slices
        elif step.op in _WITH_WEIGHTS:
            prefix = f"{step.settings['weights']}."
            params = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
            nodes[step.name] = _WITH_WEIGHTS[step.op](step, params, *inputs)
        else:
            nodes[step.name] = _PLAIN[step.op](step, *inputs)
    return openvino.Model([ops.sigmoid(nodes[graph.steps[-1].name])], [slices])


def _per_channel(values: NDArray[np.float32]) -> Node:
    return ops.constant(values[None, :, None, None])


def _plus_bias(params: Mapping[str, NDArray[np.float32]], y: Node) -> Node:
    return ops.add(y, _per_channel(params["bias"])) if "bias" in params else y


def _convolution(step: GraphStep, params: Mapping[str, NDArray[np.float32]], x: Node) -> Node:
    stride, padding, dilation = (step.settings[k] for k in ("stride", "padding", "dilation"))
    weight = ops.constant(params["weight"])
    return _plus_bias(params, ops.convolution(x, weight, stride, padding, padding, dilation))


def _transposed(step: GraphStep, params: Mapping[str, NDArray[np.float32]], x: Node) -> Node:
    stride, padding = step.settings["stride"], step.settings["padding"]
    y = ops.convolution_backprop_data(
        x, ops.constant(params["weight"]), stride, pads_begin=padding, pads_end=padding
    )
    return _plus_bias(params, y)


def _batch_norm(step: GraphStep, params: Mapping[str, NDArray[np.float32]], x: Node) -> Node:
    scale = params["weight"] / np.sqrt(params["running_var"] + np.float32(step.settings["eps"]))
    scaled = ops.multiply(x, _per_channel(scale))
    return ops.add(scaled, _per_channel(params["bias"] - params["running_mean"] * scale))


def _max_pool(step: GraphStep, x: Node) -> Node:
    size, stride = ([step.settings[k]] * 2 for k in ("size", "stride"))
    return ops.max_pool(x, stride, [1, 1], [0, 0], [0, 0], size).output(0)


_WITH_WEIGHTS: dict[str, Callable[..., Node]] = {
    "batch_norm": _batch_norm,
    "conv": _convolution,
    "conv_transpose": _transposed,
}
_PLAIN: dict[str, Callable[..., Node]] = {
    "add": lambda _, a, b: ops.add(a, b),
    "concat": lambda _, *parts: ops.concat(list(parts), 1),
    "elu": lambda step, x: ops.elu(x, step.settings["alpha"]),
    "max_pool": _max_pool,
    "multiply": lambda _, a, b: ops.multiply(a, b),
    "relu": lambda _, x: ops.relu(x),
    "sigmoid": lambda _, x: ops.sigmoid(x),
}
