"""Join segments that may overlap into one label map while they are read, one after another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.scans.arrays import new_image, writable
from pancseg.scans.segments import MOST_COMBINATIONS, too_many_combinations

Piece = tuple[Any, NDArray[np.bool_]]
"""A part of a map, as an index of its array ``(z, y, x)``, and the voxels of a segment in it."""


class OverlapMap:
    """A label map in which each combination of segments that occurs has one value, from 1.

    Attributes:
        image: the map, without a geometry.

    Example:
        >>> joined = OverlapMap((3, 2, 1))
        >>> joined.add([(0, np.array([[1, 1, 0], [0, 0, 0]], bool))])
        >>> joined.add([(0, np.array([[0, 1, 1], [0, 0, 0]], bool))])
        >>> joined.values_of(0), joined.values_of(1)
        ((1, 3), (2, 3))
    """

    def __init__(self, size: Sequence[int]) -> None:
        """Start without a segment.

        Args:
            size: number of voxels along x, y, z.

        Raises:
            UnusableCase: ``memory``.
        """
        self.image = new_image(size, np.dtype(np.uint16))
        self._codes = writable(self.image)
        self._meaning: list[tuple[int, ...]] = [()]
        self._count = 0

    def add(self, pieces: Iterable[Piece]) -> None:
        """Add a segment, whose number is how many were added before.

        Args:
            pieces: its voxels; no piece overlaps another.

        Raises:
            UnusableCase: ``several_labels``, for more combinations than a map can have values.
        """
        after = np.zeros(len(self._meaning), np.uint16)
        for where, inside in pieces:
            hit = np.flatnonzero(inside.reshape(len(inside), -1).any(axis=1))
            if not hit.size:
                continue
            rows = slice(hit[0], hit[-1] + 1)
            inside, part = inside[rows], self._codes[where][rows]
            before = part[inside]
            for code in np.flatnonzero(np.bincount(before)):
                if not after[code]:
                    after[code] = self._joined(int(code))
            part[inside] = after[before]
        self._count += 1

    def values_of(self, segment: int) -> tuple[int, ...]:
        """Return the values of the voxels of a segment, by its number."""
        return tuple(code for code, these in enumerate(self._meaning) if segment in these)

    def _joined(self, code: int) -> int:
        """Return the new value of voxels that had another one, and are in this segment too."""
        self._meaning.append((*self._meaning[code], self._count))
        if len(self._meaning) - 1 > MOST_COMBINATIONS:
            raise too_many_combinations(len(self._meaning) - 1)
        return len(self._meaning) - 1
