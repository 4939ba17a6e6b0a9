"""Choose the slices that go through the network: enough to find every tall component whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

LEAST_HEIGHT_MM = 5.0
"""Every connected component at least this high along z is found, and found whole."""


def step_for(slice_spacing_mm: float, least_height_mm: float = LEAST_HEIGHT_MM) -> int:
    """Return the step of the search: every n-th slice is looked at first.

    It is the number of slices that fit into the least height, at least 1.

    >>> step_for(1.5), step_for(2.5), step_for(5.0)
    (3, 2, 1)
    """
    return max(1, int(least_height_mm / slice_spacing_mm + 1e-9))


def search(
    count: int, step: int, look: Callable[[Sequence[int]], Iterable[bool]], reach: int = 1
) -> list[int]:
    """Look at every ``step``-th slice, then at the neighbours of slices that show something.

    A connected component that spans at least ``step`` neighbouring slices meets one of the first
    slices and is followed from there to both its ends, so it is found whole. Only components in
    fewer slices can be missed. If the first slices show nothing, all slices are looked at.

    Args:
        count: number of slices.
        step: distance of the first slices; 1 looks at all.
        look: takes the indices of slices and returns, for each, whether anything is found in it.
        reach: number of neighbours to look at, up and down.

    Returns:
        The indices of the slices that were looked at, in order.
    """
    found: dict[int, bool] = {}
    nearby = [d for d in range(-reach, reach + 1) if d]
    wanted = list(range(min(step // 2, count - 1), count, step))
    while wanted:
        found.update(zip(wanted, look(wanted), strict=True))
        near = {i + d for i, any_found in found.items() if any_found for d in nearby}
        wanted = sorted(i for i in near if 0 <= i < count and i not in found)
        if not near and len(found) < count:
            wanted = [i for i in range(count) if i not in found]
    return sorted(found)
