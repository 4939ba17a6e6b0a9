"""Bounding boxes of regions, in voxels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class BoundingBox(NamedTuple):
    """A box-shaped part of a volume, axes (z, y, x).

    Attributes:
        start: index of its first voxel.
        size: number of voxels along each axis.
    """

    start: tuple[int, ...]
    size: tuple[int, ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        """Slices that cut the box out of an array."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.size, strict=True))

    def within(self, other: BoundingBox) -> BoundingBox:
        """Return this box relative to the first voxel of another box that contains it."""
        return BoundingBox(
            tuple(a - b for a, b in zip(self.start, other.start, strict=True)), self.size
        )

    def grown(self, margin: Sequence[int], shape: Sequence[int]) -> BoundingBox:
        """Return the box with a margin on all sides, clipped to a volume of the given shape.

        >>> BoundingBox((2, 0, 0), (1, 4, 4)).grown((1, 1, 1), (9, 9, 9))
        BoundingBox(start=(1, 0, 0), size=(3, 5, 5))
        """
        low = [max(a - m, 0) for a, m in zip(self.start, margin, strict=True)]
        ends = zip(self.start, self.size, margin, shape, strict=True)
        high = [min(a + n + m, limit) for a, n, m, limit in ends]
        return BoundingBox(tuple(low), tuple(b - a for a, b in zip(low, high, strict=True)))


def box_of(inside: NDArray[Any]) -> BoundingBox | None:
    """Return the smallest box around all set voxels of a (z, y, x) array; None if none is set."""
    start, size = [], []
    along_z = inside.any(axis=(1, 2))
    hit = np.flatnonzero(along_z)
    if not hit.size:
        return None
    some: Any = inside[hit[0] : hit[-1] + 1].any(axis=0)
    for line in (along_z, some.any(axis=1), some.any(axis=0)):
        hit = np.flatnonzero(line)
        start.append(int(hit[0]))
        size.append(int(hit[-1] - hit[0]) + 1)
    return BoundingBox(tuple(start), tuple(size))
