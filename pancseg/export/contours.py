"""Trace a region of a slice as closed polygons along the edges of its pixels.

No edge passes through a pixel's centre, so that a reader who takes the pixels whose centres are
inside gets exactly the region back. A hole is joined to what surrounds it by a channel of no width
along such edges: the keyhole that RTSTRUCT asks for (PS3.3, C.8.8.6.3).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]
"""Column and row of a pixel's corner; the pixel (0, 0) lies between (0, 0) and (1, 1)."""
Loop = list[Corner]

_TURNS = {  # direction of travel → directions to try: towards the region first
    (1, 0): ((0, 1), (1, 0), (0, -1)),
    (0, 1): ((-1, 0), (0, 1), (1, 0)),
    (-1, 0): ((0, -1), (-1, 0), (0, 1)),
    (0, -1): ((1, 0), (0, -1), (-1, 0)),
}


def polygons_of(inside: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Return closed polygons around the set pixels, holes joined by keyholes.

    Pixels that touch at a corner alone are apart. Polygons may share corners, but no area.

    Args:
        inside: (rows, columns).

    Returns:
        For each polygon (n, 2) corners as column and row in pixels, where (0, 0) is the centre of
        the first pixel. The last corner is not the first one again.

    >>> polygons_of(np.array([[True, True]]))[0].tolist()
    [[-0.5, -0.5], [1.5, -0.5], [1.5, 0.5], [-0.5, 0.5]]
    """
    loops = _loops(inside)
    outer = [loop for loop in loops if _area(loop) > 0]
    holes = sorted((loop for loop in loops if _area(loop) < 0), key=min)
    for hole in holes:
        _join(outer, hole)
    return [np.array(_corners_only(loop), np.float64) - 0.5 for loop in outer]


def _loops(inside: NDArray[np.bool_]) -> list[Loop]:
    """Return all boundaries, corner by corner, with the region to the right of the way.

    Rows count downwards, so that outer boundaries have a positive area by the usual formula.
    """
    onward = _steps(inside)
    loops = []
    while onward:
        start = min(onward)
        step = min(onward[start])
        loop, at = [], start
        while True:
            loop.append(at)
            onward[at].remove(step)
            if not onward[at]:
                del onward[at]
            at = (at[0] + step[0], at[1] + step[1])
            if at == start:
                break
            step = next(turn for turn in _TURNS[step] if turn in onward[at])
        loops.append(loop)
    return loops


def _steps(inside: NDArray[np.bool_]) -> dict[Corner, set[Corner]]:
    """Return corner → directions in which the boundary leaves it."""
    padded = np.pad(inside, 1)
    here = padded[1:-1, 1:-1]
    found: dict[Corner, set[Corner]] = {}
    sides: tuple[tuple[NDArray[Any], Corner, Corner], ...] = (
        (here & ~padded[:-2, 1:-1], (0, 0), (1, 0)),  # above: to the right
        (here & ~padded[1:-1, 2:], (1, 0), (0, 1)),  # at the right: downwards
        (here & ~padded[2:, 1:-1], (1, 1), (-1, 0)),  # below: to the left
        (here & ~padded[1:-1, :-2], (0, 1), (0, -1)),  # at the left: upwards
    )
    for edge, (column, row), step in sides:
        for y, x in np.argwhere(edge).tolist():
            found.setdefault((x + column, y + row), set()).add(step)
    return found


def _area(loop: Loop) -> int:
    """Return twice the signed area."""
    corners = np.array([*loop, loop[0]])
    x, y = corners.T
    return int(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))


def _join(outer: list[Loop], hole: Loop) -> None:
    """Join a hole to the loop at its left, of which holes further left are part already."""
    first = hole.index(min(hole))
    hole = hole[first:] + hole[:first]
    column, row = hole[0]
    while column >= 0:
        for loop in outer:
            if (column, row) in loop:
                at = loop.index((column, row))
                loop[at:at] = [(column, row), *hole, hole[0]]
                return
        column -= 1
    raise AssertionError("a hole has something around it")


def _corners_only(loop: Loop) -> Loop:
    """Return a loop without points in the middle of a straight piece."""
    points = [p for n, p in enumerate(loop) if p != loop[n - 1]]
    kept = []
    for n, point in enumerate(points):
        before, after = points[n - 1], points[(n + 1) % len(points)]
        if _heading(before, point) != _heading(point, after):
            kept.append(point)
    return kept


def _heading(start: Corner, end: Corner) -> Corner:
    return int(np.sign(end[0] - start[0])), int(np.sign(end[1] - start[1]))
