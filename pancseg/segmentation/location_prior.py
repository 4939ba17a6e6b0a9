"""Where in a body a pancreas can be: a map in the frame of the body, learnt from training slices.

What a network finds elsewhere is bowel or a kidney. Knows arrays only: the network's own slices
``(n, size, size)`` in 0..1, and probabilities of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Map = NDArray[np.bool_]
Network = Callable[[Floats], Floats]

BODY_ABOVE = 0.1
"""Pixels above this share of the window are body: skin, muscle, organs, the table; not fat, air."""
OUTSIDE_SHARE = 0.01
"""The frame leaves out this share of the body's pixels on each of its four sides: table, arms."""
CELLS = 64
"""Rows and columns of a map."""
CUT_OFF_SHARE = 0.1
"""A body that fills so much of a scan's first or last column is cut off there."""
ALL = slice(None)
_ROWS, _COLUMNS = 192 / 256, 224 / 256
"""Sides of the window that the network looks at, as shares of a slice: those of the recipe."""
_AROUND = 32 / 256
"""So much is seen around the places at least, with half of it 1.2 points of Dice were lost."""


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


class _View(NamedTuple):
    """What of a slice the network looks at, and which of its pixels may be pancreas."""

    rows: slice
    columns: slice
    allowed: Map

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def look(places: Map | None, network: Network, slices: Floats, shown: slice = ALL) -> Floats:
    """Return the network's probabilities; 0 wherever the map says that no pancreas can be.

    The network sees a window around those places, as large as the windows that it was trained on,
    which saves a third of its work. A slice whose places, with some of what surrounds them, do not
    fit into the window is shown whole. One whose body is cut off at the left and the right is shown
    whole and left alone: there the frame means nothing. One without body is 0.

    Args:
        places: ``(CELLS, CELLS)``, from :func:`learn`; None: anywhere.
        network: from slices ``(n, H, W)`` in 0..1 to probabilities of the same shape.
        slices: ``(n, size, size)``.
        shown: the columns that the scan covers; the others were added.
    """
    if places is None:
        return network(slices)
    padded = np.pad(places, 1)
    views = {
        i: _view(padded, picture, frame, shown)
        for i, picture in enumerate(slices)
        if (frame := _frame_of(picture))
    }
    result = np.zeros_like(slices)
    for shape in dict.fromkeys(view.shape for view in views.values()):
        alike = {i: view for i, view in views.items() if view.shape == shape}
        parts = np.stack([slices[i, view.rows, view.columns] for i, view in alike.items()])
        for (i, view), found in zip(alike.items(), network(parts), strict=True):
            result[i, view.rows, view.columns] = found
            result[i][~view.allowed] = 0
    return result


def _view(padded: Map, picture: Floats, frame: _Frame, shown: slice) -> _View:
    rows, columns = (slice(0, n) for n in picture.shape)
    if frame.cut_off(picture[:, shown]):
        return _View(rows, columns, np.ones(picture.shape, bool))
    allowed: Map = padded[np.ix_(*frame.cells(picture.shape))]
    some_rows = _around(np.asarray(allowed.any(axis=1)), _ROWS)
    some_columns = _around(np.asarray(allowed.any(axis=0)), _COLUMNS)
    if some_rows and some_columns:
        rows, columns = some_rows, some_columns
    return _View(rows, columns, allowed)


def _around(allowed: Map, share: float) -> slice | None:
    """Return a window of this share of a side with what is allowed in its middle; None: too wide.

    Sides are multiples of 16, the beginning is one of 4: networks halve their slices.
    """
    size = len(allowed)
    inside = np.flatnonzero(allowed)
    length = round(share * size / 16) * 16
    if not inside.size or inside[-1] + 1 - inside[0] + 2 * _AROUND * size > length:
        return None
    middle = (inside[0] + inside[-1] + 1 - length) / 2
    first = min(max(0, round(middle / 4) * 4), size - length)
    return slice(first, first + length)


def learn(pairs: Iterable[tuple[Floats, NDArray[np.bool_]]], widen: float) -> Map:
    """Return where any of the slices has pancreas, widened.

    Args:
        pairs: whole slices ``(size, size)`` in 0..1 and their masks.
        widen: by this share of the body's width and height, on all sides.

    Raises:
        ValueError: no slice shows pancreas in a body: it could then be nowhere.
    """
    seen = np.zeros((CELLS + 2, CELLS + 2), dtype=bool)
    for picture, mask in pairs:
        if mask.any() and (frame := _frame_of(picture)):
            rows, columns = frame.cells(picture.shape)
            y, x = np.nonzero(mask)
            seen[rows[y], columns[x]] = True
    if not seen.any():
        raise ValueError(
            "no whole training slice shows pancreas, so the map of places cannot be learnt; "
            "leave places out of the recipe"
        )
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
