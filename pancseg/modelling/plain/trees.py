"""Decision trees as plain arrays, whose indices are checked before any tree is followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.modelling.plain.arrays import Floats, check_floats, check_indices

Indices = NDArray[np.int64]
MOST_LEVELS = 10_000
"""Most levels of a tree; a fitted one rarely has more than a hundred."""


@dataclass(frozen=True)
class Trees:
    """Trees, one after the other; each node comes after its parent.

    Attributes:
        roots: (trees,) index of each tree's first node; a tree ends where the next one begins.
        feature: (nodes,) column that an inner node looks at; 0 in a leaf.
        threshold: (nodes,) a row goes left if its value is at most this; 0 in a leaf.
        left, right: (nodes,) indices of the children; 0 in a leaf.
        value: (nodes,) value of a leaf; of an inner node, not used.
    """

    roots: Indices
    feature: Indices
    threshold: Floats
    left: Indices
    right: Indices
    value: Floats

    def __post_init__(self) -> None:
        count = len(self.value)
        if not count or not len(self.roots):
            raise ValueError("trees: there is no tree")
        check_indices("trees: roots", self.roots, None, count - 1)
        for name in ("feature", "left", "right"):
            most = count - 1 if name != "feature" else np.iinfo(np.int64).max
            check_indices(f"trees: {name}", getattr(self, name), count, most)
        for name in ("threshold", "value"):
            check_floats(f"trees: {name}", getattr(self, name), count)
        if self.roots[0] or (np.diff(self.roots) <= 0).any():
            raise ValueError("trees: the roots are not in rising order from 0")
        self._check_children()

    def _check_children(self) -> None:
        """Refuse children before their parent, in another tree, or of two parents; and depth."""
        inner = np.flatnonzero(self.left | self.right)
        ends = np.append(self.roots[1:], len(self.value))
        end = ends[np.searchsorted(self.roots, inner, side="right") - 1]
        children = np.stack([self.left[inner], self.right[inner]])
        if ((children <= inner) | (children >= end)).any():
            raise ValueError("trees: a node's child is not a later node of the same tree")
        if len(inner) and np.bincount(children.ravel()).max() > 1:
            raise ValueError("trees: a node has two parents")
        level = self.roots
        for _ in range(MOST_LEVELS):
            level = level[self.left[level] > 0]
            if not len(level):
                return
            level = np.concatenate([self.left[level], self.right[level]])
        raise ValueError(f"trees: a tree has more than {MOST_LEVELS} levels")

    def columns(self) -> int:
        """Return the smallest number of columns that rows must have."""
        return int(self.feature.max()) + 1

    def values_of(self, x: NDArray[Any]) -> Iterator[Floats]:
        """Yield, for each tree, the value of the leaf that each row of ``x`` (n, columns) gets."""
        for root in self.roots:
            node = np.full(len(x), root)
            rows = np.arange(len(x))
            while len(rows):
                at = node[rows]
                inner = self.left[at] > 0
                rows, at = rows[inner], at[inner]
                goes_left = x[rows, self.feature[at]] <= self.threshold[at]
                node[rows] = np.where(goes_left, self.left[at], self.right[at])
            yield self.value[node]
