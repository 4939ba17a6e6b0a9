"""Where in a body a pancreas can be: a map in the frame of the body, learnt from training slices.

What a network finds elsewhere is bowel or a kidney. Knows arrays only: the network's own slices
``(n, size, size)`` in 0..1, and probabilities of the same shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Map = NDArray[np.bool_]

BODY_ABOVE = 0.1
"""Pixels above this share of the window are body: skin, muscle, organs, the table; not fat, air."""
OUTSIDE_SHARE = 0.01
"""The frame leaves out this share of the body's pixels on each of its four sides: table, arms."""
CELLS = 64
"""Rows and columns of a map."""
CUT_OFF_SHARE = 0.1
"""A body that fills so much of a scan's first or last column is cut off there."""
ALL = slice(None)


class _Frame(NamedTuple):
    top: int
    bottom: int
    left: int
    right: int

    def cells(self, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the map's row of each of a slice's rows and its column of each column.

        Both count from 1; 0 and ``CELLS + 1`` are outside.
        """
        sides = ((self.top, self.bottom, shape[0]), (self.left, self.right, shape[1]))
        rows, columns = (
            np.clip(np.floor((np.arange(n) - a) / max(b - a, 1) * CELLS), -1, CELLS) + 1
            for a, b, n in sides
        )
        return rows.astype(np.intp), columns.astype(np.intp)

    def cut_off(self, shown: Floats) -> bool:
        """Return whether the body goes on beyond both sides of what the scan shows."""
        edges = shown[self.top : self.bottom + 1, [0, -1]] > BODY_ABOVE
        return bool((edges.mean(axis=0) > CUT_OFF_SHARE).all())


def within(places: Map, slices: Floats, probabilities: Floats, shown: slice = ALL) -> Floats:
    """Return probabilities that are 0 wherever the map says that no pancreas can be.

    A slice whose body is cut off at the left and the right, or that shows none, is left alone:
    there the frame means nothing.

    Args:
        places: ``(CELLS, CELLS)``, from :func:`learn`.
        slices: ``(n, size, size)`` in 0..1, as the network saw them.
        probabilities: of the same shape.
        shown: the columns that the scan covers; the others were added.
    """
    padded = np.pad(places, 1)
    result = probabilities.copy()
    for picture, found in zip(slices, result, strict=True):
        frame = _frame_of(picture)
        if frame is None or frame.cut_off(picture[:, shown]):
            continue
        rows, columns = frame.cells(picture.shape)
        found[~padded[np.ix_(rows, columns)]] = 0
    return result


def learn(pairs: Iterable[tuple[Floats, NDArray[np.bool_]]], widen: float) -> Map:
    """Return where any of the slices has pancreas, widened.

    Args:
        pairs: whole slices ``(size, size)`` in 0..1 and their masks.
        widen: by this share of the body's width and height, on all sides.
    """
    seen = np.zeros((CELLS + 2, CELLS + 2), dtype=bool)
    for picture, mask in pairs:
        if mask.any() and (frame := _frame_of(picture)):
            rows, columns = frame.cells(picture.shape)
            y, x = np.nonzero(mask)
            seen[rows[y], columns[x]] = True
    reach = round(widen * CELLS)
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach
    found: Map = ndimage.binary_dilation(ndimage.binary_closing(seen[1:-1, 1:-1]), disc)
    return found


def _frame_of(picture: Floats) -> _Frame | None:
    """Return the box around all but the outermost pixels of the body."""
    body = picture > BODY_ABOVE
    if not body.any():
        return None
    return _Frame(*_middle(body.sum(axis=1)), *_middle(body.sum(axis=0)))


def _middle(counts: NDArray[np.int_]) -> tuple[int, int]:
    """Return the first and last index between which all but a share at each end lies."""
    share = np.cumsum(counts) / counts.sum()
    first, last = np.searchsorted(share, (OUTSIDE_SHARE, 1 - OUTSIDE_SHARE))
    return int(first), int(last)
