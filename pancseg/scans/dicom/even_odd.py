"""Turn polygons into pixels: a pixel is inside if its centre is, by the even-odd rule.

No library that pancseg depends on is right to the pixel: Pillow and OpenCV also fill every pixel
that the line touches, and Matplotlib tests each point against each edge and leaves open what a
point on the line is. ``docs/explanation/contours.md`` has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
_DECIMALS = 6
"""Of pixel coordinates: rounding errors must not decide on which side of a line a centre is."""


class Patch(NamedTuple):
    """Pixels of a part of an image.

    Attributes:
        rows, columns: where the part is.
        inside: its pixels, ``(rows, columns)``.
    """

    rows: slice
    columns: slice
    inside: NDArray[np.bool_]


def pixels_inside(polygons: Sequence[Points], rows: int, columns: int) -> Patch | None:
    """Return the pixels whose centres are inside an odd number of polygons.

    So a polygon within another one is a hole, and a polygon that runs along a line to its hole and
    back on the same line (a keyhole) has the hole that it surrounds. Of centres that are on a line
    itself, those with the inside towards higher columns or rows are inside: polygons that share an
    edge share no pixel, and leave none out.

    Args:
        polygons: corners ``(n, 2)`` as (column, row) in pixels; the centre of the first pixel is
            (0, 0). The last corner is joined to the first one.
        rows: number of the image's rows.
        columns: number of its columns.

    Returns:
        The smallest part of the image that holds all these pixels' rows; None if there are none.

    Example:
        >>> import numpy as np
        >>> square = np.array([[0.5, 0.5], [2.5, 0.5], [2.5, 2.5], [0.5, 2.5]])
        >>> pixels_inside([square], 9, 9).inside.astype(int).tolist()
        [[1, 1], [1, 1]]
    """
    starts = np.concatenate([np.empty((0, 2)), *polygons]).round(_DECIMALS)
    ends = np.concatenate([np.empty((0, 2)), *(np.roll(each, -1, 0) for each in polygons)])
    row, column = _crossings(starts, ends.round(_DECIMALS), rows)
    column = np.clip(np.ceil(column.round(_DECIMALS)), 0, columns).astype(np.intp)
    if not len(row):
        return None
    top, left = int(row.min()), int(column.min())
    height, width = int(row.max()) - top + 1, int(column.max()) - left
    places = (row - top) * (width + 1) + column - left
    changes = np.bincount(places, minlength=height * (width + 1)).reshape(height, width + 1) & 1
    inside = np.bitwise_xor.accumulate(changes[:, :-1], axis=1).astype(bool)
    if not inside.any():
        return None
    return Patch(slice(top, top + height), slice(left, left + width), inside)


def _crossings(starts: Points, ends: Points, rows: int) -> tuple[NDArray[np.intp], Points]:
    """Return where edges cross the rows of an image: numbers of rows, and column coordinates.

    An edge crosses the rows from its upper end on, but not that of its lower end. It is followed
    downwards whichever way it was drawn, so that both sides of a keyhole cross at the same place.
    """
    down = starts[:, 1] <= ends[:, 1]
    upper = np.where(down[:, None], starts, ends)
    lower = np.where(down[:, None], ends, starts)
    first = np.clip(np.ceil(upper[:, 1]), 0, rows).astype(np.intp)
    count = np.clip(np.ceil(lower[:, 1]), 0, rows).astype(np.intp) - first
    edge = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    row = first[edge] + within
    step = (lower - upper)[edge]
    share = (row - upper[edge, 1]) / step[:, 1]
    return row, upper[edge, 0] + share * step[:, 0]
