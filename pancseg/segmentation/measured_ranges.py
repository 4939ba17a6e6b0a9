"""Measure the ranges of a network's activations, for its arithmetic in 8 bits.

The ends of a range are the means, over slices, of the lowest and the highest activation in each
slice. Few slices reach far beyond them; a range that took those in would have coarser levels for
all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from pancseg.segmentation.checkpoint import Checkpoint
from pancseg.segmentation.networks.activation_ranges import (
    LARGEST,
    MOST_STEPS,
    Ranges,
    rounded_steps,
)
from pancseg.segmentation.networks.stored_graphs import graph_of

_DIGITS = 4
"""Significant digits that are kept: enough for 256 levels, and alike on any machine."""


def measured_ranges(checkpoint: Checkpoint, slices: NDArray[np.float32]) -> Ranges:
    """Return the range of each activation that int8 rounds.

    Args:
        checkpoint: the network, run on the CPU in single precision.
        slices: what it sees, ``(n, H, W)`` in 0..1.

    Raises:
        ValueError: no slices, the network cannot be described as a graph or has no activation that
            int8 rounds, or an activation is not finite or larger than a checkpoint may say.

    Example:
        >>> from pancseg.segmentation.checkpoint import load_checkpoint
        >>> noise = np.random.default_rng(0).random((2, 32, 32), dtype=np.float32)
        >>> len(measured_ranges(load_checkpoint("monet_phantom"), noise))
        38
    """
    if not len(slices):
        raise ValueError("ranges of activations need slices to be measured on; there are none")
    recorder = _Recorder(checkpoint)
    with torch.inference_mode():
        for one in slices:
            recorder.run(torch.from_numpy(np.ascontiguousarray(one))[None, None])
    return {name: _range(name, np.array(ends)) for name, ends in recorder.ends.items()}


class _Recorder(fx.Interpreter):
    """Runs a network step by step, and notes the extremes of what is rounded."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        wanted = rounded_steps(graph_of(checkpoint.network))  # or says why there is no graph
        if not wanted:
            raise ValueError("int8 rounds no activation of this network, so it needs no ranges")
        if len(wanted) > MOST_STEPS:
            raise ValueError(
                f"int8 would round {len(wanted)} activations (expected {MOST_STEPS} at most)"
            )
        super().__init__(fx.symbolic_trace(checkpoint.build()))
        self.ends: dict[str, list[tuple[float, float]]] = {name: [] for name in wanted}

    def run_node(self, n: fx.Node) -> Any:
        """See torch."""
        value = super().run_node(n)
        if n.name in self.ends:
            assert isinstance(value, Tensor)
            low, high = value.aminmax()
            self.ends[n.name].append((float(low), float(high)))
        return value


def _range(name: str, ends: NDArray[np.float64]) -> tuple[float, float]:
    low, high = ends.mean(axis=0)
    low, high = (float(f"{end:.{_DIGITS}g}") for end in (min(low, 0.0), max(high, 0.0)))
    if not np.isfinite((low, high)).all():
        raise ValueError(f"the activations of {name:.100} are not finite")
    if max(-low, high) > LARGEST:
        raise ValueError(
            f"the activations of {name:.100} are {low:g} to {high:g} (expected ±{LARGEST:,.0f} at "
            "most)"
        )
    return (low, high) if low < high else (low, 1.0)  # a step that is always 0
