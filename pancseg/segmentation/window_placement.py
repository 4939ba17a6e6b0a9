"""Place a second look's windows: few that show all pieces, and never more than tile the slice."""

from __future__ import annotations

import math
from collections.abc import Sequence

Box = tuple[tuple[int, int], tuple[int, int]]
"""First and last row, first and last column; the last are excluded."""
Window = tuple[slice, slice]
"""Rows and columns of the network's grid."""

MOST_PIECES = 100
"""A slice in more pieces is noise: its windows are placed side by side, whatever the pieces."""
_MARGIN_PX = 16
"""Least margin around several pieces that share a window; a quarter of a smaller window's side."""


def windows_around(
    boxes: Sequence[Box], size: tuple[int, int], whole: tuple[int, int]
) -> list[Window]:
    """Return windows that together show all boxes.

    One window shows as many boxes as fit into it with a margin, the first of those left and then
    the others in order; a box larger than a window gets several, side by side. Boxes that would
    need more windows than tile the whole slice share windows side by side.

    Args:
        boxes: of the pieces, the most important first; at most ``MOST_PIECES``, or one around all.
        size: rows and columns of a window.
        whole: rows and columns of the grid, at least those of a window.

    >>> windows_around([((90, 110), (100, 130)), ((95, 100), (140, 164))], (64, 96), (200, 300))
    [(slice(68, 132, None), slice(84, 180, None))]
    """
    most = math.prod(math.ceil(n / side) for n, side in zip(whole, size, strict=True))
    room = [side - 2 * min(_MARGIN_PX, side // 4) for side in size]
    windows: list[Window] = []
    left = list(boxes)
    while left:
        box, others = left[0], []
        for other in left[1:]:
            both = _around(box, other)
            if all(high - low <= most_px for (low, high), most_px in zip(both, room, strict=True)):
                box = both
            else:
                others.append(other)
        left = others
        windows += _covering(box, size, whole)
        if len(windows) > most:
            joint = boxes[0]
            for each in boxes:
                joint = _around(joint, each)
            return _covering(joint, size, whole)
    return windows


def _around(box: Box, other: Box) -> Box:
    rows, columns = ((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(box, other, strict=True))
    return rows, columns


def _covering(box: Box, size: tuple[int, int], whole: tuple[int, int]) -> list[Window]:
    """Return the fewest windows that cover a box."""
    rows, columns = (
        _sides(low, high, side, n) for (low, high), side, n in zip(box, size, whole, strict=True)
    )
    return [(row, column) for row in rows for column in columns]


def _sides(low: int, high: int, side: int, whole: int) -> list[slice]:
    """Return the fewest slices of length ``side`` within ``whole`` that cover low to high."""
    count = math.ceil((high - low) / side)
    if count <= 1:
        starts = [round((low + high - side) / 2)]
    else:
        starts = [round(low + i * (high - low - side) / (count - 1)) for i in range(count)]
    starts = [min(max(start, 0), whole - side) for start in starts]
    return [slice(start, start + side) for start in starts]
