"""Say which activations are rounded to 8 bits, and what a checkpoint stores of them.

In the precision ``int8`` every convolution takes 8-bit integers but the first and the last: the one
that sees the slices, and the one that makes the logits. These two have a hundredth of MoNet's
operations, and would change more voxels than any others (docs/log.md, 2026-12-01).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from pancseg.segmentation.networks.graph import NetworkGraph

CONVOLUTIONS = ("conv", "conv_transpose")
LARGEST = 1e6
"""Largest end of a range."""
MOST_STEPS = 1000
"""Most ranges of a network."""


def _around_zero(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    if not (-LARGEST <= low <= 0 <= high <= LARGEST and low < high):
        raise ValueError(
            f"{low:g} to {high:g} is no range of activations (expected one that holds 0, within "
            f"±{LARGEST:,.0f})"
        )
    return ends


Range = Annotated[tuple[float, float], AfterValidator(_around_zero)]
"""Lowest and highest activation; 0 lies between them, as convolutions are padded with it."""

Ranges = dict[str, tuple[float, float]]
"""Range of each activation that is rounded, by the name of the step that computes it."""

StoredRanges = Annotated[dict[str, Range], Field(min_length=1, max_length=MOST_STEPS)]
"""Ranges as a checkpoint's header has them."""


def convolutions_in_int8(graph: NetworkGraph) -> list[str]:
    """Return the names of the convolutions that ``int8`` computes in 8 bits.

    Example:
        >>> from pancseg.segmentation.networks.stored_graphs import graph_of
        >>> graph = graph_of("monet")
        >>> len([s for s in graph.steps if s.op in CONVOLUTIONS]), len(convolutions_in_int8(graph))
        (30, 28)
    """
    slices = {step.name for step in graph.steps if step.op == "input"}
    all_of_them = [step for step in graph.steps if step.op in CONVOLUTIONS]
    return [step.name for step in all_of_them[:-1] if not slices & set(step.inputs)]


def rounded_steps(graph: NetworkGraph) -> list[str]:
    """Return the names of the steps whose results are rounded, in the order of computation.

    They are what the 8-bit convolutions and the additions take. Additions lie between convolutions,
    and would otherwise need single precision on both sides.
    """
    eight_bit = set(convolutions_in_int8(graph))
    taken = {
        name
        for step in graph.steps
        if step.name in eight_bit or step.op == "add"
        for name in step.inputs
    }
    return [step.name for step in graph.steps if step.name in taken]
