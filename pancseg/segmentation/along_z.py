"""Smooth probabilities along z, as a network that sees single slices knows nothing of the next.

It loses an organ for a slice or two and finds something else in another, so that the pieces of one
organ do not touch and the largest is half of it (docs/log.md, 2026-12-01). Each slice gets the mean
of the probabilities around it, with the weights of a Gaussian, over the slices that went through
the network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pancseg.scans.bounding_box import box_of
from pancseg.segmentation.preprocess import Floats

SIGMA_MM = 3.0
REACH_MM = 6.0
"""Slices farther away do not count."""
LEAST = 0.01
"""Smaller probabilities count as 0."""


class Part(NamedTuple):
    """The part of a slice whose probabilities are not 0; what lies around it takes no memory.

    Attributes:
        rows, columns: where it lies in the slice.
        values: probabilities ``(y, x)``.
    """

    rows: slice
    columns: slice
    values: NDArray[np.floating]

    @classmethod
    def of(cls, probability: Floats) -> Self:
        """Copy the part of a slice ``(y, x)``, as float16.

        >>> Part.of(np.array([[0, 0.25, 0], [0, 0.5, 0]], np.float32)).values.tolist()
        [[0.25], [0.5]]
        """
        box = box_of((probability >= LEAST)[None])
        if box is None:
            return cls(slice(0, 0), slice(0, 0), np.zeros((0, 0), np.float16))
        _, rows, columns = box.slices
        return cls(rows, columns, probability[rows, columns].astype(np.float16))

    def in_slice(self, shape: tuple[int, ...]) -> Floats:
        """Return the whole slice ``(y, x)`` of ``shape``, as float32."""
        plane = np.zeros(shape, np.float32)
        plane[self.rows, self.columns] = self.values
        return plane


def reach(slice_mm: float) -> int:
    """Return how many slices up and down count, for slices ``slice_mm`` apart.

    >>> reach(1.0), reach(5.0), reach(10.0)
    (6, 1, 0)
    """
    return fitting(REACH_MM, slice_mm)


def fitting(length_mm: float, slice_mm: float) -> int:
    """Return how many slices fit into a length; their distance counts to a micrometre.

    >>> fitting(6.0, 1.0000001), fitting(6.0, 1.001)
    (6, 5)
    """
    return int(length_mm / max(round(slice_mm, 3), 0.001) + 1e-9)


def smoothed(
    seen: Iterable[tuple[int, Part]], wanted: Iterable[int], slice_mm: float
) -> Iterator[tuple[int, Part]]:
    """Yield the smoothed part of each wanted slice that has one, as float32.

    Few slices are in memory at a time.

    Args:
        seen: the slices that went through the network, by number, in order. Between them there may
            be others, which do not count.
        wanted: numbers of slices, in order.
        slice_mm: distance of the slices.

    Example:
        >>> certain, nothing = (Part.of(np.full((1, 1), p, np.float32)) for p in (1, 0))
        >>> seen = [(0, certain), (1, nothing), (2, certain)]
        >>> [(z, round(float(part.values[0, 0]), 2)) for z, part in smoothed(seen, [1], 4.0)]
        [(1, 0.45)]
    """
    most = reach(slice_mm)
    weights = [float(np.exp(-0.5 * (n * slice_mm / SIGMA_MM) ** 2)) for n in range(most + 1)]
    coming = iter(seen)
    near: deque[tuple[int, Part]] = deque()
    following = next(coming, None)
    for z in wanted:
        while following is not None and following[0] <= z + most:
            near.append(following)
            following = next(coming, None)
        while near and near[0][0] < z - most:
            near.popleft()
        part = _mean([(weights[abs(index - z)], part) for index, part in near])
        if part is not None:
            yield z, part


def _mean(weighed: list[tuple[float, Part]]) -> Part | None:
    """Return the weighted mean of several slices' parts; None if all are empty."""
    shown = [(weight, part) for weight, part in weighed if part.values.size]
    if not shown:
        return None
    top = min(part.rows.start for _, part in shown)
    left = min(part.columns.start for _, part in shown)
    bottom = max(part.rows.stop for _, part in shown)
    right = max(part.columns.stop for _, part in shown)
    total = np.zeros((bottom - top, right - left), np.float32)
    for weight, (rows, columns, values) in shown:
        inside = total[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
        inside += np.float32(weight) * values.astype(np.float32)
    total /= np.float32(sum(weight for weight, _ in weighed))
    return Part(slice(top, bottom), slice(left, right), total)
