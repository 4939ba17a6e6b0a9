"""Which slices go through the network: enough to find every organ of some height, whole.

Knows nothing about networks or pixels, only in which slices something was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

LEAST_HEIGHT_MM = 5.0
"""Whatever is found and is at least as high as this is found whole."""


def step_for(slice_spacing_mm: float, least_height_mm: float = LEAST_HEIGHT_MM) -> int:
    """Return how many slices a height holds, at least 1: every how manieth slice to look at.

    >>> step_for(1.5), step_for(2.5), step_for(5.0)
    (3, 2, 1)
    """
    return max(1, int(least_height_mm / slice_spacing_mm + 1e-9))


def search(count: int, step: int, look: Callable[[Sequence[int]], Iterable[bool]]) -> list[int]:
    """Look at every ``step``-th slice, then at all neighbours of slices with a find.

    A connected component that spans ``step`` or more neighbouring slices meets one of those looked
    at first, and from there it is followed to both its ends. So the slices looked at hold it whole;
    only components in fewer slices can be missed. Where the first look finds nothing, all slices
    are looked at.

    Args:
        count: number of slices.
        step: 1 looks at all of them.
        look: looks at slices by their numbers and says for each whether something is there.

    Returns:
        The numbers of the slices looked at, in order.
    """
    found: dict[int, bool] = {}
    wanted = list(range(min(step // 2, count - 1), count, step))
    while wanted:
        found.update(zip(wanted, look(wanted), strict=True))
        near = {i + d for i, there in found.items() if there for d in (-1, 1)}
        wanted = sorted(i for i in near if 0 <= i < count and i not in found)
        if not near and len(found) < count:
            wanted = [i for i in range(count) if i not in found]
    return sorted(found)
