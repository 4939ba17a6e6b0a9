"""Count the texture matrices of a region from its grey levels, exactly as pyradiomics does.

Every matrix has the axes (slice, level, …): a single slice if the region is counted as a whole,
or one for each. Levels that do not occur have no row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pancseg.features.neighbours import Neighbours

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class GreyLevels:
    """The discretised grey levels of a region's voxels.

    Attributes:
        values: (n,) levels from 1 up, voxels in the order of ``around``.
        present: the levels that occur, ascending.
        rows: (n,) position of each voxel's level in ``present``.
        next_to: (directions, n) the neighbour's level, 0 where that is outside the region.
        around: the neighbours of the region's voxels.
    """

    values: NDArray[np.int64]
    present: NDArray[np.int64]
    rows: NDArray[np.int64]
    next_to: NDArray[np.int32]
    around: Neighbours


def grey_levels(values: NDArray[np.int64], around: Neighbours) -> GreyLevels:
    """Look up the levels of all neighbours; ``values`` are (n,), from 1 up."""
    present = np.flatnonzero(np.bincount(values))
    row_of = np.zeros(int(present[-1]) + 1, np.int64)
    row_of[present] = np.arange(len(present))
    padded = np.append(values, 0).astype(np.int32)
    next_to = np.empty(around.table.shape, np.int32)
    for i, numbers in enumerate(around.table):
        padded.take(numbers, out=next_to[i])
    return GreyLevels(values, present, row_of[values], next_to, around)


def co_occurrence(levels: GreyLevels) -> Counts:
    """Return the GLCM, (slice, level, level, direction): each pair of neighbours counted once."""
    around, k = levels.around, len(levels.present)
    top = int(levels.present[-1]) + 1
    row = (around.slice_of * k + levels.rows) * top
    counts = np.empty((around.slices, k, k, len(around.steps)))
    for i in range(len(around.steps)):
        pairs = np.bincount(row + levels.next_to[i], minlength=around.slices * k * top)
        counts[..., i] = pairs.reshape(around.slices, k, top)[:, :, levels.present]
    return counts


def run_lengths(levels: GreyLevels, *, lone: bool) -> Counts:
    """Return the GLRLM, (slice, level, length from 1, direction).

    Args:
        levels: grey levels.
        lone: also count directions in which no line has two voxels, as IBSI does and pyradiomics
            does not.
    """
    around, k = levels.around, len(levels.present)
    row = around.slice_of * k + levels.rows
    found = []
    for line in around.lines:
        along = row[line.order]
        ends = np.flatnonzero(np.append(line.broken | (along[1:] != along[:-1]), True))
        found.append((along[ends], np.diff(ends, prepend=-1)))
    longest = max((int(lengths.max()) for _, lengths in found), default=1)
    counts = np.empty((around.slices, k, longest, len(found)))
    for i, (rows, lengths) in enumerate(found):
        if around.lines[i].lone and not lone:
            counts[..., i] = 0
            continue
        runs = np.bincount(rows * longest + lengths - 1, minlength=around.slices * k * longest)
        counts[..., i] = runs.reshape(around.slices, k, longest)
    return counts


def zone_sizes(levels: GreyLevels) -> tuple[Counts, NDArray[np.float64]]:
    """Return the GLSZM, (slice, level, size), and the zone sizes that occur."""
    around, k = levels.around, len(levels.present)
    half = len(around.steps)
    same = np.ascontiguousarray((levels.next_to[:half] == levels.values).T)
    starts = np.append(0, np.cumsum(same.sum(axis=1))).astype(np.int32)
    ends = np.ascontiguousarray(around.table[:half].T)[same]
    edges = csr_array((np.ones(len(ends)), ends, starts), (around.count,) * 2)
    zones, zone_of = connected_components(edges, directed=False)
    sizes, column = np.unique(np.bincount(zone_of, minlength=zones), return_inverse=True)
    row = np.empty(zones, np.int64)
    row[zone_of] = around.slice_of * k + levels.rows
    counts = np.bincount(row * len(sizes) + column, minlength=around.slices * k * len(sizes))
    return counts.reshape(around.slices, k, -1).astype(float), sizes.astype(float)


def dependence(levels: GreyLevels, tolerance: float) -> tuple[Counts, NDArray[np.float64]]:
    """Return the GLDM (IBSI's NGLDM), (slice, level, dependence), and the dependences that occur.

    A voxel depends on itself and on each neighbour whose level differs by ``tolerance`` or less.
    """
    around, k = levels.around, len(levels.present)
    if tolerance == 0:
        alike = levels.next_to == levels.values
    else:
        alike = (np.abs(levels.next_to - levels.values) <= tolerance) & (levels.next_to > 0)
    number = 1 + np.count_nonzero(alike, axis=0)
    most = len(levels.next_to) + 1
    cell = (around.slice_of * k + levels.rows) * most + number - 1
    counts = np.bincount(cell, minlength=around.slices * k * most).astype(float)
    counts = counts.reshape(around.slices, k, most)
    occurring = np.flatnonzero(counts.any(axis=(0, 1)))
    return counts[:, :, occurring], (occurring + 1).astype(float)


def tone_difference(levels: GreyLevels, *, isolated: bool) -> Counts:
    """Return the NGTDM, (slice, level, 3): number of voxels, sum of their differences, the level.

    Args:
        levels: grey levels.
        isolated: also count voxels without any neighbour, as pyradiomics does and IBSI does not.
    """
    around, k = levels.around, len(levels.present)
    number = np.count_nonzero(around.table < around.count, axis=0)
    has = number > 0
    total = levels.next_to.sum(axis=0, dtype=np.int64)
    difference = np.abs(levels.values - total / np.maximum(number, 1)) * has
    row, size = around.slice_of * k + levels.rows, around.slices * k
    counted = row if isolated else row[has]
    result = np.empty((around.slices, k, 3))
    result[..., 0] = np.bincount(counted, minlength=size).reshape(-1, k)
    result[..., 1] = np.bincount(row, difference, minlength=size).reshape(-1, k)
    result[..., 2] = levels.present
    return result
