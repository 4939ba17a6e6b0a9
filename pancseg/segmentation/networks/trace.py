"""Trace networks to graphs.

After a change to a network, ``python -m pancseg.segmentation.networks.trace`` writes the files in
``graphs/`` again.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from pancseg.segmentation.networks import NETWORKS, builder_of
from pancseg.segmentation.networks.graph import GraphStep, NetworkGraph

Described = tuple[str, dict[str, Any]]
"""An operation and its settings."""


def trace(network: str) -> NetworkGraph:
    """Return the graph of a network: a key of ``NETWORKS``, or ``module:Class``.

    Raises:
        ValueError: it uses an operation that graphs cannot describe, or torch cannot trace it.
    """
    module = builder_of(network)().eval()
    shapes = {name: tuple(weight.shape) for name, weight in module.state_dict().items()}
    try:
        traced = fx.symbolic_trace(module)
    except Exception as error:  # whatever the network's own code does with what is traced
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"torch cannot trace network {network!r:.100} ({why:.200})") from error
    layers = dict(traced.named_modules())
    steps: list[GraphStep] = []
    names: dict[fx.Node, str] = {}
    for node in traced.graph.nodes:
        if node.op == "output":
            break
        inputs = tuple(names[each] for each in _tensors(node))
        if node.op == "placeholder":
            described: Described = "input", {}
        elif node.op == "call_function":
            described = _known(_FUNCTIONS, node.target), {}
        elif node.op != "call_module":  # a method of a tensor, or a weight
            raise ValueError(f"a graph cannot describe {node.target!s:.100}")
        else:
            layer = layers[node.target]
            described = _known(_LAYERS, type(layer))(node.target, layer)
        if described[0] == "identity":
            names[node] = inputs[0]
        else:
            names[node] = node.name
            steps.append(GraphStep(node.name, described[0], inputs, described[1]))
    return NetworkGraph(shapes, tuple(steps))


def _known(table: dict[Any, Any], key: Any) -> Any:
    if key not in table:
        name = getattr(key, "__name__", key)
        raise ValueError(f"a graph cannot describe {name}; add it to networks/trace.py")
    return table[key]


def _tensors(node: fx.Node) -> list[fx.Node]:
    """Return a step's inputs: tensors, and no other argument than ``dim=1`` (the channels)."""
    tensors: list[Any] = []
    for each in node.args:
        tensors += each if isinstance(each, list | tuple) else [each]
    if dict(node.kwargs) not in ({}, {"dim": 1}) or not all(
        isinstance(t, fx.Node) for t in tensors
    ):
        raise ValueError(f"{node}: a graph can describe only tensor arguments and dim=1")
    return tensors


def _conv(name: str, conv: nn.Conv2d) -> Described:
    if conv.groups != 1 or isinstance(conv.padding, str) or conv.padding_mode != "zeros":
        raise ValueError(f"{name}: a graph can describe only ungrouped, zero-padded convolutions")
    return "conv", {
        "weights": name,
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
    }


def _conv_transpose(name: str, conv: nn.ConvTranspose2d) -> Described:
    if (conv.dilation, conv.output_padding, conv.groups) != ((1, 1), (0, 0), 1):
        raise ValueError(
            f"{name}: a graph can describe only transposed convolutions without groups, dilation "
            "and output padding"
        )
    return "conv_transpose", {"weights": name, "stride": conv.stride, "padding": conv.padding}


def _max_pool(name: str, pool: nn.MaxPool2d) -> Described:
    if pool.padding or pool.ceil_mode or pool.dilation != 1 or isinstance(pool.kernel_size, tuple):
        raise ValueError(
            f"{name}: a graph can describe only square max-pooling without padding and dilation"
        )
    return "max_pool", {"size": pool.kernel_size, "stride": pool.stride}


_LAYERS: dict[type[nn.Module], Callable[[str, Any], Described]] = {
    nn.BatchNorm2d: lambda name, norm: ("batch_norm", {"weights": name, "eps": norm.eps}),
    nn.Conv2d: _conv,
    nn.ConvTranspose2d: _conv_transpose,
    nn.Dropout2d: lambda *_: ("identity", {}),
    nn.ELU: lambda _, elu: ("elu", {"alpha": elu.alpha}),
    nn.MaxPool2d: _max_pool,
    nn.ReLU: lambda *_: ("relu", {}),
}
_FUNCTIONS: dict[Callable[..., Any], str] = {
    operator.add: "add",
    operator.mul: "multiply",
    torch.cat: "concat",
    torch.relu: "relu",
    torch.sigmoid: "sigmoid",
}

if __name__ == "__main__":
    for each in NETWORKS:
        (Path(__file__).parent / "graphs" / f"{each}.json").write_text(trace(each).to_json())
