"""Trace a region's contour along the edges of its voxels, so that it shows exactly these."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Runs = NDArray[np.int64]
"""(n, 3): the line, and where along it a run begins and how long it is."""


def edges(inside: NDArray[np.bool_]) -> tuple[Runs, Runs]:
    """Return the straight pieces of a contour: horizontal ones, then vertical ones.

    Args:
        inside: (rows, columns) pixels of the region.

    >>> across, down = edges(np.array([[False, True, True]]))
    >>> across.tolist(), down.tolist()
    ([[0, 1, 2], [1, 1, 2]], [[1, 0, 1], [3, 0, 1]])
    """
    padded = np.pad(inside, 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]
    down = padded[1:-1, 1:] != padded[1:-1, :-1]
    return runs(across), runs(down.T)


def runs(lines: NDArray[np.bool_]) -> Runs:
    """Return the runs of set pixels in each line.

    >>> runs(np.array([[True, True, False, True]])).tolist()
    [[0, 0, 2], [0, 3, 1]]
    """
    steps = np.diff(np.pad(lines, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    line, begin = np.nonzero(steps == 1)
    end = np.nonzero(steps == -1)[1]
    return np.stack([line, begin, end - begin], axis=1)


def path_of(inside: NDArray[np.bool_]) -> str:
    """Return a contour as an SVG path, in pixels from the corner of the first one.

    >>> path_of(np.array([[True]]))
    'M0 0h1M0 1h1M0 0v1M1 0v1'
    """
    across, down = edges(inside)
    lines = [f"M{begin} {line}h{length}" for line, begin, length in across.tolist()]
    lines += [f"M{line} {begin}v{length}" for line, begin, length in down.tolist()]
    return "".join(lines)


def filled_path_of(inside: NDArray[np.bool_]) -> str:
    """Return the pixels of a region as a filled SVG path: one rectangle for each run in a row.

    >>> filled_path_of(np.array([[True, True]]))
    'M0 0h2v1h-2z'
    """
    found = runs(inside).tolist()
    return "".join(f"M{begin} {line}h{n}v1h-{n}z" for line, begin, n in found)
