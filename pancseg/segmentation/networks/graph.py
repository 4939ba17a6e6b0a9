"""Describe a network as a plain list of steps, for engines that work without torch.

For the networks in ``NETWORKS``, :mod:`pancseg.segmentation.networks.trace` writes these lists to
``graphs/``, and a test checks that they are up to date. A network without a file there is traced on
demand.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class GraphStep(NamedTuple):
    """One operation on tensors ``(N, C, H, W)``.

    Attributes:
        name: name of the step, unique in its graph.
        op: ``input``, ``conv``, ``conv_transpose``, ``batch_norm``, ``elu``, ``relu``,
            ``max_pool``, ``add``, ``multiply``, ``concat`` (of channels) or ``sigmoid``.
        inputs: names of the earlier steps whose outputs it takes.
        settings: the operation's settings; ``weights`` is the prefix of its weights' names.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    settings: dict[str, Any]


class NetworkGraph(NamedTuple):
    """A network in evaluation mode, from slices in 0..1 to logits.

    Attributes:
        weights: shape of each weight, by name.
        steps: steps in the order of computation; the last one is the output.
    """

    weights: dict[str, tuple[int, ...]]
    steps: tuple[GraphStep, ...]

    def to_json(self) -> str:
        """Return the graph as JSON, one step per line."""
        lines = [json.dumps(part) for part in (self.weights, *self.steps)]
        return "[\n" + ",\n".join(lines) + "\n]\n"

    @classmethod
    def from_json(cls, text: str) -> NetworkGraph:
        """Read what :meth:`to_json` wrote."""
        weights, *steps = json.loads(text)
        return cls(
            {name: tuple(shape) for name, shape in weights.items()},
            tuple(
                GraphStep(name, op, tuple(inputs), settings) for name, op, inputs, settings in steps
            ),
        )
