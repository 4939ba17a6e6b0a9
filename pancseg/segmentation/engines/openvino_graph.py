"""Build an OpenVINO model from a network's stored steps and weights, without torch.

``openvino.convert_model`` is not used, because it reports its use over the internet (see
``openvino_import``) and spends seconds on tracing; building the graph here takes 0.03 s. OpenVINO
itself folds BatchNorm into convolutions, in 8 bits too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.engines.openvino_import import openvino
from pancseg.segmentation.engines.openvino_import import operations as ops
from pancseg.segmentation.engines.openvino_int8 import rounded, rounded_weight
from pancseg.segmentation.networks.activation_ranges import Ranges, convolutions_in_int8
from pancseg.segmentation.networks.graph import GraphStep, NetworkGraph

Node = Any
"""An ``openvino.Node``: an operation's output, ``(N, C, H, W)``."""
Params = Mapping[str, NDArray[np.float32]]
"""A step's weights, by their names in the layer."""


def openvino_graph(
    graph: NetworkGraph,
    weights: Mapping[str, NDArray[Any]],
    shape: tuple[int, int, int, int],
    ranges: Ranges | None = None,
) -> openvino.Model:
    """Return a model from slices ``(N, 1, H, W)`` float32 to probabilities of that shape.

    Args:
        graph: the network; its last step gives the logits.
        weights: arrays by the names that the graph uses.
        shape: the input's fixed shape.
        ranges: ranges of the activations, for 8-bit arithmetic; None: single precision.

    Raises:
        KeyError: a range that the graph needs is missing.
    """
    slices = ops.parameter(shape, np.float32)
    nodes: dict[str, Node] = {}
    activations = _Activations(nodes, ranges)
    in_int8 = set(convolutions_in_int8(graph)) if ranges is not None else set()
    for step in graph.steps:
        inputs = activations.taken_by(step, step.name in in_int8)
        if step.op == "input":
            nodes[step.name] = slices
        elif step.op in _PLAIN:
            nodes[step.name] = _PLAIN[step.op](step, *inputs)
        else:
            prefix = f"{step.settings['weights']}."
            params = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
            nodes[step.name] = _with_weights(step, params, *inputs, in_int8=step.name in in_int8)
    return openvino.Model([ops.sigmoid(nodes[graph.steps[-1].name])], [slices])


class _Activations:
    """What steps take: results of earlier steps, rounded where 8-bit arithmetic needs it."""

    def __init__(self, nodes: Mapping[str, Node], ranges: Ranges | None) -> None:
        self._nodes, self._ranges = nodes, ranges
        self._rounded: dict[tuple[str, bool], Node] = {}

    def taken_by(self, step: GraphStep, in_int8: bool) -> list[Node]:
        """Return the inputs of a step; each tensor is rounded once, however many steps take it."""
        if self._ranges is None or not (in_int8 or step.op == "add"):
            return [self._nodes[name] for name in step.inputs]
        return [self._once(name, step.op == "conv_transpose") for name in step.inputs]

    def _once(self, name: str, signed: bool) -> Node:
        assert self._ranges is not None
        if (name, signed) not in self._rounded:
            made = rounded(self._nodes[name], self._ranges[name], signed=signed)
            self._rounded[name, signed] = made
        return self._rounded[name, signed]


def _per_channel(values: NDArray[np.float32]) -> Node:
    return ops.constant(values[None, :, None, None])


def _plus_bias(params: Params, y: Node) -> Node:
    return ops.add(y, _per_channel(params["bias"])) if "bias" in params else y


def _with_weights(step: GraphStep, params: Params, x: Node, *, in_int8: bool) -> Node:
    if step.op == "batch_norm":
        return _batch_norm(step, params, x)
    make, channel_axis = _CONVOLUTIONS[step.op]
    weight = params["weight"]
    node = rounded_weight(weight, channel_axis) if in_int8 else ops.constant(weight)
    return _plus_bias(params, make(step, node, x))


def _convolution(step: GraphStep, weight: Node, x: Node) -> Node:
    stride, padding, dilation = (step.settings[k] for k in ("stride", "padding", "dilation"))
    return ops.convolution(x, weight, stride, padding, padding, dilation)


def _transposed(step: GraphStep, weight: Node, x: Node) -> Node:
    stride, padding = step.settings["stride"], step.settings["padding"]
    return ops.convolution_backprop_data(x, weight, stride, pads_begin=padding, pads_end=padding)


def _batch_norm(step: GraphStep, params: Params, x: Node) -> Node:
    scale = params["weight"] / np.sqrt(params["running_var"] + np.float32(step.settings["eps"]))
    scaled = ops.multiply(x, _per_channel(scale))
    return ops.add(scaled, _per_channel(params["bias"] - params["running_mean"] * scale))


def _max_pool(step: GraphStep, x: Node) -> Node:
    size, stride = ([step.settings[k]] * 2 for k in ("size", "stride"))
    return ops.max_pool(x, stride, [1, 1], [0, 0], [0, 0], size).output(0)


_CONVOLUTIONS: dict[str, tuple[Callable[[GraphStep, Node, Node], Node], int]] = {
    "conv": (_convolution, 0),
    "conv_transpose": (_transposed, 1),
}
"""How to build each kind of convolution, and the axis of its weights' output channels."""
_PLAIN: dict[str, Callable[..., Node]] = {
    "add": lambda _, a, b: ops.add(a, b),
    "concat": lambda _, *parts: ops.concat(list(parts), 1),
    "elu": lambda step, x: ops.elu(x, step.settings["alpha"]),
    "max_pool": _max_pool,
    "multiply": lambda _, a, b: ops.multiply(a, b),
    "relu": lambda _, x: ops.relu(x),
    "sigmoid": lambda _, x: ops.sigmoid(x),
}
