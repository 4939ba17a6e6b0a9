"""Choose the slices that go through the network: enough to find every tall component whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Self

from pancseg.segmentation.along_z import fitting

LEAST_HEIGHT_MM = 15.0
"""Every connected component at least this high along z is found, and found whole."""
DENSE_MM = 2.0
"""Slices half as far apart, or nearer, are not all looked at; smoothing along z fills in what is
between them."""


class Steps(NamedTuple):
    """How far apart the slices are that are looked at, in slices.

    Attributes:
        first: at first, anywhere in the scan; a multiple of ``then``.
        then: around what was found.
    """

    first: int
    then: int

    @classmethod
    def of(cls, slice_mm: float, least_height_mm: float = LEAST_HEIGHT_MM) -> Self:
        """Return the steps for slices ``slice_mm`` apart; a least height of 0 skips none.

        >>> [tuple(Steps.of(mm)) for mm in (0.5, 1.0, 1.5, 2.5, 5.0)]
        [(28, 4), (14, 2), (10, 1), (6, 1), (3, 1)]
        """
        if not least_height_mm:
            return cls(1, 1)
        then = _fitting(min(DENSE_MM, least_height_mm), slice_mm)
        return cls(then * _fitting(least_height_mm, then * slice_mm), then)

    def start(self, count: int) -> int:
        """Return the first slice of ``count`` that is looked at."""
        return min(self.first // 2, count - 1)

    def meet(self, index: int, count: int) -> bool:
        """Tell whether a slice of ``count`` is one of those to look at around what was found."""
        return (index - self.start(count)) % self.then == 0


def _fitting(length_mm: float, slice_mm: float) -> int:
    """Return the number of slices that fit into a length, at least 1."""
    return max(1, fitting(length_mm, slice_mm))


def search(
    count: int, steps: Steps, look: Callable[[Sequence[int]], Iterable[bool]], reach: int = 1
) -> list[int]:
    """Look at slices far apart, then at those near slices that show something.

    A connected component that spans at least ``steps.first`` neighbouring slices meets one of the
    first slices and is followed from there to both its ends, so it is found whole, at every
    ``steps.then``-th slice. Only components in fewer slices can be missed. If the first slices show
    nothing, all slices are looked at.

    Args:
        count: number of slices.
        steps: how far apart the slices are; 1 and 1 look at all.
        look: takes the indices of slices and returns, for each, whether anything is found in it.
        reach: number of neighbours to look at, up and down; at least ``steps.then``.

    Returns:
        The indices of the slices that were looked at, in order.
    """
    found: dict[int, bool] = {}
    nearby = [d for d in range(-reach, reach + 1) if d and d % steps.then == 0]
    wanted = list(range(steps.start(count), count, steps.first))
    while wanted:
        found.update(zip(wanted, look(wanted), strict=True))
        near = {i + d for i, any_found in found.items() if any_found for d in nearby}
        wanted = sorted(i for i in near if 0 <= i < count and i not in found)
        if not near and len(found) < count:
            wanted = [i for i in range(count) if i not in found]
    return sorted(found)
