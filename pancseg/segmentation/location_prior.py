"""Restrict a network to where in a body a pancreas can be: a map learnt from training slices.

The map, called location prior, is drawn in the frame of the body, so that it fits patients of any
size. Elsewhere the network would only find bowel or a kidney. Slices and probabilities are those of
the network: ``(n, size, size)`` float32 in 0..1.
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
"""Pixels above this share of the window count as body (and the table); fat and air do not."""
OUTSIDE_SHARE = 0.01
"""The frame excludes this share of the body's pixels on each of its four sides: table, arms."""
CELLS = 64
"""Rows and columns of a map."""
CUT_OFF_SHARE = 0.1
"""A body that fills more than this share of a scan's first or last column is cut off there."""
ALL = slice(None)
_ROWS, _COLUMNS = 192 / 256, 224 / 256
"""Height and width of the network's window as shares of a slice: ``crop`` of the recipe."""
_MARGIN = 32 / 256
"""Least margin around the prior, as a share of a slice; half of it cost 1.2 points of Dice."""


class _Frame(NamedTuple):
    """The body's box in a slice, in pixels; the coordinate system of the map."""

    top: int
    bottom: int
    left: int
    right: int

    def cells(self, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return, for each row and each column of a slice, the row or column of the map.

        Both count from 1; 0 and ``CELLS + 1`` are outside the map.
        """
        sides = ((self.top, self.bottom, shape[0]), (self.left, self.right, shape[1]))
        rows, columns = (
            np.clip(np.floor((np.arange(n) - a) / max(b - a, 1) * CELLS), -1, CELLS) + 1
            for a, b, n in sides
        )
        return rows.astype(np.intp), columns.astype(np.intp)

    def cut_off(self, shown: Floats) -> bool:
        """Return whether the body extends beyond both sides of the scan."""
        edges = shown[self.top : self.bottom + 1, [0, -1]] > BODY_ABOVE
        return bool((edges.mean(axis=0) > CUT_OFF_SHARE).all())


class _View(NamedTuple):
    """The part of a slice that the network sees, and which of its pixels may be pancreas."""

    rows: slice
    columns: slice
    allowed: Map

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def look(
    location_prior: Map | None, network: Network, slices: Floats, shown: slice = ALL
) -> Floats:
    """Run a network, with probability 0 wherever the location prior excludes a pancreas.

    The network sees only a window around the allowed pixels, as large as the windows that it was
    trained on, which saves a third of its work. There are three exceptions:

    * where the allowed pixels and their margin do not fit into the window, it sees the whole slice;
    * where the body is cut off at the left and at the right, it sees the whole slice, and every
      pixel is allowed, because the body's frame is unknown;
    * a slice without body is not computed; its probabilities are 0.

    Args:
        location_prior: ``(CELLS, CELLS)``, from :func:`learn`; None: anywhere.
        network: from slices ``(n, H, W)`` in 0..1 to probabilities of the same shape.
        slices: ``(n, size, size)`` in 0..1.
        shown: the columns that the scan covers; the others are padding.

    Returns:
        Probabilities ``(n, size, size)``.
    """
    if location_prior is None:
        return network(slices)
    padded = np.pad(location_prior, 1)
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
    window_rows = _window(np.asarray(allowed.any(axis=1)), _ROWS)
    window_columns = _window(np.asarray(allowed.any(axis=0)), _COLUMNS)
    if window_rows and window_columns:
        rows, columns = window_rows, window_columns
    return _View(rows, columns, allowed)


def _window(allowed: Map, share: float) -> slice | None:
    """Return a window centred on the allowed rows or columns; None when they do not fit.

    Its length is this share of the side, rounded to a multiple of 16, and it starts at a multiple
    of 4, because networks halve their slices.
    """
    size = len(allowed)
    inside = np.flatnonzero(allowed)
    length = round(share * size / 16) * 16
    if not inside.size or inside[-1] + 1 - inside[0] + 2 * _MARGIN * size > length:
        return None
    middle = (inside[0] + inside[-1] + 1 - length) / 2
    first = min(max(0, round(middle / 4) * 4), size - length)
    return slice(first, first + length)


def learn(pairs: Iterable[tuple[Floats, NDArray[np.bool_]]], widen: float) -> Map:
    """Return the location prior: where any of the slices shows pancreas, widened.

    Args:
        pairs: whole slices ``(size, size)`` in 0..1 and their masks.
        widen: widen by this share of the body's width and height, on all sides.

    Returns:
        A map ``(CELLS, CELLS)`` in the frame of the body.

    Raises:
        ValueError: no slice shows pancreas in a body.
    """
    seen = np.zeros((CELLS + 2, CELLS + 2), dtype=bool)
    for picture, mask in pairs:
        if mask.any() and (frame := _frame_of(picture)):
            rows, columns = frame.cells(picture.shape)
            y, x = np.nonzero(mask)
            seen[rows[y], columns[x]] = True
    if not seen.any():
        raise ValueError(
            "no whole training slice shows pancreas, so the location prior cannot be learnt; "
            "leave `places` out of the recipe"
        )
    reach = round(widen * CELLS)
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach
    found: Map = ndimage.binary_dilation(ndimage.binary_closing(seen[1:-1, 1:-1]), disc)
    return found


def _frame_of(picture: Floats) -> _Frame | None:
    """Return the box around the body without its outermost pixels; None without a body."""
    body = picture > BODY_ABOVE
    if not body.any():
        return None
    return _Frame(*_middle(body.sum(axis=1)), *_middle(body.sum(axis=0)))


def _middle(counts: NDArray[np.int_]) -> tuple[int, int]:
    """Return the first and last index of a profile, with ``OUTSIDE_SHARE`` cut off at each end."""
    share = np.cumsum(counts) / counts.sum()
    first, last = np.searchsorted(share, (OUTSIDE_SHARE, 1 - OUTSIDE_SHARE))
    return int(first), int(last)
