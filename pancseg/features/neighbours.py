"""Find, once per region, the neighbours of its voxels and the lines that run through it.

All texture matrices of all filtered images are counted on the region's voxels alone, numbered in
C order; the box around them is not visited again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Offset = tuple[int, int, int]


@dataclass(frozen=True)
class Lines:
    """The region's voxels along all lines of one direction, line after line.

    Attributes:
        order: (n,) voxel numbers.
        broken: (n - 1,) whether an entry and the one after it are not neighbours.
        lone: whether no line holds more than one voxel.
    """

    order: NDArray[np.int32]
    broken: NDArray[np.bool_]
    lone: bool


@dataclass(frozen=True)
class Neighbours:
    """A region's voxels and their neighbours at a Chebyshev distance of one.

    Attributes:
        count: number of voxels, n.
        steps: one of each pair of opposite directions (z, y, x), 13 in 3-D, 4 in a plane.
        table: (2 * len(steps), n) number of the voxel one step further, n where that is outside
            the region; the second half is for the opposite steps.
        lines: the region along each of the steps.
        slice_of: (n,) index of the slice that a voxel is counted in; 0 if slices are not counted
            separately.
        slices: number of slices that are counted separately.
    """

    count: int
    steps: tuple[Offset, ...]
    table: NDArray[np.int32]
    lines: tuple[Lines, ...]
    slice_of: NDArray[np.int64]
    slices: int


def neighbours(
    inside: NDArray[np.bool_], *, plane: int | None = None, by_slice: bool = False
) -> Neighbours:
    """Number a region's voxels and find their neighbours.

    Args:
        inside: (z, y, x); at least one voxel is set.
        plane: only look for neighbours within planes across this axis (0: axial slices).
        by_slice: number the planes, so that each can be counted separately.
    """
    steps = _steps(inside, plane)
    voxels = np.argwhere(inside)
    n = len(voxels)
    numbers = np.full(np.add(inside.shape, 2), n, np.int32)
    numbers[1:-1, 1:-1, 1:-1][inside] = np.arange(n, dtype=np.int32)
    strides = np.array(numbers.strides) // numbers.itemsize
    flat, position = numbers.ravel(), (voxels + 1) @ strides
    table = np.empty((2 * len(steps), n), np.int32)
    for i, step in enumerate(steps):
        table[i] = flat[position + step @ strides]
        table[i + len(steps)] = flat[position - step @ strides]
    slice_of = np.zeros(n, np.int64)
    if plane is not None and by_slice:
        slice_of = np.unique(voxels[:, plane], return_inverse=True)[1].reshape(-1)
    return Neighbours(
        count=n,
        steps=tuple((int(z), int(y), int(x)) for z, y, x in steps),
        table=table,
        lines=tuple(_lines(voxels, step, inside.shape) for step in steps),
        slice_of=slice_of,
        slices=int(slice_of.max()) + 1,
    )


def _steps(inside: NDArray[np.bool_], plane: int | None) -> list[NDArray[np.int64]]:
    """Return the directions, in pyradiomics's order; none along an axis that is one voxel deep."""
    deep = [np.flatnonzero(inside.any(axis=_others(a))).size > 1 for a in range(3)]
    return [
        np.array(step)
        for step in product((1, 0, -1), repeat=3)
        if step > (0, 0, 0)
        and all(deep[axis] or not step[axis] for axis in range(3))
        and (plane is None or step[plane] == 0)
    ]


def _others(axis: int) -> tuple[int, ...]:
    return tuple(a for a in range(3) if a != axis)


def _lines(voxels: NDArray[np.int64], step: NDArray[np.int64], shape: tuple[int, ...]) -> Lines:
    axis = int(np.flatnonzero(step)[0])  # the step's entry here is 1: steps point forward
    position = voxels[:, axis]
    start = voxels - position[:, None] * step  # where the voxel's line meets the first plane
    start -= start.min(axis=0)
    extent = start.max(axis=0) + 1
    line = (start[:, 0] * extent[1] + start[:, 1]) * extent[2] + start[:, 2]
    key = line * (shape[axis] + 1) + position  # + 1, so that lines never touch
    order = np.argsort(key, kind="stable")
    lone = not (np.diff(line[order]) == 0).any()
    return Lines(order.astype(np.int32), np.diff(key[order]) != 1, lone)
