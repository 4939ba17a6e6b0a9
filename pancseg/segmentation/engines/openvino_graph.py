"""A torch network rebuilt, operation by operation, as an OpenVINO graph.

Not by ``openvino.convert_model``, which reports its use over the network (see ``openvino_silent``)
and traces the network for seconds; this takes 0.03 s.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from pancseg.segmentation.engines.openvino_silent import openvino
from pancseg.segmentation.engines.openvino_silent import operations as ops

Node = Any
"""``openvino.Node``: an operation's output, ``(N, C, H, W)``."""


def openvino_graph(network: nn.Module, shape: tuple[int, int, int, int]) -> openvino.Model:
    """Return a graph from slices ``(N, 1, H, W)`` float32 to probabilities of that shape.

    Args:
        network: in evaluation mode; its output is taken as logits.
        shape: the input's fixed shape.

    Raises:
        ValueError: the network uses an operation without a counterpart here.
    """
    traced = fx.symbolic_trace(network)
    modules = dict(traced.named_modules())
    slices = ops.parameter(shape, np.float32)
    values: dict[fx.Node, Node] = {}
    for step in traced.graph.nodes:
        if step.op == "placeholder":
            values[step] = slices
            continue
        arguments = fx.map_arg(step.args, values.__getitem__)
        if step.op == "output":
            return openvino.Model([ops.sigmoid(arguments[0])], [slices])
        options = fx.map_arg(step.kwargs, values.__getitem__)
        if step.op == "call_module":
            module = modules[step.target]
            values[step] = _counterpart(_MODULES, type(module))(module, *arguments)
        else:
            values[step] = _counterpart(_FUNCTIONS, step.target)(*arguments, **options)
    raise ValueError("the network has no output")


def _counterpart(table: dict[Any, Callable[..., Node]], key: Any) -> Callable[..., Node]:
    if key not in table:
        name = getattr(key, "__name__", key)
        raise ValueError(f"the engine openvino does not know {name}; use --engine torch")
    return table[key]


def _per_channel(values: Tensor) -> Node:
    return ops.constant(values.detach().numpy()[None, :, None, None])


def _convolution(conv: nn.Conv2d, x: Node) -> Node:
    weight, padding = ops.constant(conv.weight.detach().numpy()), list(conv.padding)
    y = ops.convolution(x, weight, list(conv.stride), padding, padding, list(conv.dilation))
    return y if conv.bias is None else ops.add(y, _per_channel(conv.bias))


def _transposed(conv: nn.ConvTranspose2d, x: Node) -> Node:
    if conv.dilation != (1, 1) or conv.output_padding != (0, 0) or conv.groups != 1:
        raise ValueError("the engine openvino knows plain transposed convolutions only")
    weight, padding = ops.constant(conv.weight.detach().numpy()), list(conv.padding)
    y = ops.convolution_backprop_data(
        x, weight, list(conv.stride), pads_begin=padding, pads_end=padding
    )
    return y if conv.bias is None else ops.add(y, _per_channel(conv.bias))


def _batch_norm(norm: nn.BatchNorm2d, x: Node) -> Node:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    scaled = ops.multiply(x, _per_channel(scale))
    return ops.add(scaled, _per_channel(norm.bias - norm.running_mean * scale))


def _max_pool(pool: nn.MaxPool2d, x: Node) -> Node:
    size, step = ([side, side] for side in (pool.kernel_size, pool.stride))
    return ops.max_pool(x, step, [1, 1], [0, 0], [0, 0], size).output(0)


_MODULES: dict[type[nn.Module], Callable[..., Node]] = {
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _transposed,
    nn.Dropout2d: lambda _, x: x,
    nn.ELU: lambda elu, x: ops.elu(x, elu.alpha),
    nn.Identity: lambda _, x: x,
    nn.MaxPool2d: _max_pool,
    nn.ReLU: lambda _, x: ops.relu(x),
}
_FUNCTIONS: dict[Callable[..., Any], Callable[..., Node]] = {
    operator.add: ops.add,
    operator.mul: ops.multiply,
    torch.cat: lambda parts, dim: ops.concat(parts, dim),
    torch.relu: ops.relu,
    torch.sigmoid: ops.sigmoid,
}
