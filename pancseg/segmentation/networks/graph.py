"""A network as a plain list of steps, for engines that do without torch.

The steps of the networks of ``NETWORKS`` are stored in ``graphs/``, made from their modules by
:mod:`pancseg.segmentation.networks.trace`; a test compares them. A network that has no file there
is traced when it is asked for.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class GraphStep(NamedTuple):
    """One operation on tensors ``(N, C, H, W)``.

    Attributes:
        name: unique in its graph.
        op: ``input``, ``conv``, ``conv_transpose``, ``batch_norm``, ``elu``, ``relu``,
            ``max_pool``, ``add``, ``multiply``, ``concat`` (of channels) or ``sigmoid``.
        inputs: names of earlier steps.
        settings: of the operation; ``weights`` is the prefix of its weights' names.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    settings: dict[str, Any]


class NetworkGraph(NamedTuple):
    """A network in evaluation mode, from slices in 0..1 to logits.

    Attributes:
        weights: shape of each of its weights, by name.
        steps: in the order of their computation; the last one is the output.
    """

    weights: dict[str, tuple[int, ...]]
    steps: tuple[GraphStep, ...]

    def to_json(self) -> str:
        """Return the graph as JSON, one step per line."""
        rows = [json.dumps(part) for part in (self.weights, *self.steps)]
        return "[\n" + ",\n".join(rows) + "\n]\n"

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
