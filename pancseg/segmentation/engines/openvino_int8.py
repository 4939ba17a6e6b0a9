"""Round an OpenVINO graph's activations and weights to 8 bits, for the precision ``int8``.

Activations are rounded to 256 levels of a range that was measured on training slices, one for each
tensor; OpenVINO recognises ``FakeQuantize`` there and computes the convolutions with integers.
Weights are rounded to integers from -63 to 63, with a scale for each output channel: 7 bits, not 8,
because CPUs without integer products of AVX-512 or AVX (VNNI) add two products in 16 bits, and two
of 8 bits times 8 do not fit. With 7 bits no sum is cut off, and masks of both kinds of CPU are
nearly the same; floats between the integers still differ in their last bits, and then in a level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation.engines.openvino_import import operations as ops

Node = Any
LEVELS = 256
LARGEST_WEIGHT = 63


def rounded(x: Node, ends: tuple[float, float], *, signed: bool = False) -> Node:
    """Return activations ``(N, C, H, W)`` clipped to a range and rounded to its 256 levels.

    Args:
        x: the activations.
        ends: lowest and highest, around 0.
        signed: round to -128 to 127 times a step, as OpenVINO's transposed convolutions need it.
    """
    low, high = _signed(ends) if signed else with_zero(ends)
    lowest, highest = (ops.constant(np.full((1, 1, 1, 1), end, np.float32)) for end in (low, high))
    return ops.fake_quantize(x, lowest, highest, lowest, highest, LEVELS)


def with_zero(ends: tuple[float, float]) -> tuple[float, float]:
    """Return a range like another one, but with 0 among its 256 levels.

    Example:
        >>> low, high = with_zero((-1.0, 9.0))
        >>> round(low, 4), round(high, 4), round(-low / (high - low) * 255, 6)
        (-1.0218, 9.0, 26.0)
    """
    low, high = ends
    below = round(-low / (high - low) * (LEVELS - 1))
    above = LEVELS - 1 - below
    if not below or not above:
        return (0.0, high) if not below else (low, 0.0)
    step = max(-low / below, high / above)
    return -below * step, above * step


def _signed(ends: tuple[float, float]) -> tuple[float, float]:
    step = max(-ends[0], ends[1]) / (LEVELS // 2 - 1)
    return -LEVELS // 2 * step, (LEVELS // 2 - 1) * step


def rounded_weight(weight: NDArray[np.float32], channel_axis: int) -> Node:
    """Return a convolution's weights as 8-bit integers times a scale for each output channel.

    Args:
        weight: the weights.
        channel_axis: axis of the output channels.
    """
    others = tuple(axis for axis in range(weight.ndim) if axis != channel_axis)
    largest = np.abs(weight).max(axis=others, keepdims=True)
    scale = np.where(largest > 0, largest / np.float32(LARGEST_WEIGHT), np.float32(1))
    integers = np.rint(weight / scale).astype(np.int8)
    as_float = ops.convert(ops.constant(integers), np.float32)
    return ops.multiply(as_float, ops.constant(scale))
