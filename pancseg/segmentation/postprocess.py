"""Clean a thresholded mask: keep the pieces of one organ and fill their small holes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from pancseg.scans.bounding_box import box_of

Voxels = NDArray[np.bool_]
Levels = NDArray[np.uint8]
"""What each voxel is: 0, ``BRIDGE`` or ``FOUND``."""
BRIDGE, FOUND = 1, 2
"""Voxels that only connect pieces of an organ, and voxels of it."""

LARGEST_HOLE_ML = 1.0
"""Enclosed cavities up to this volume count as noise and are filled."""
LEAST_PIECE = 0.2
"""A piece of the organ has at least this share of the largest one's volume."""
MOST_PIECES = 20
"""At most so many components are looked at beside the largest; more are noise."""
LONGEST_WAY = 30
"""Most steps from voxel to voxel between two pieces that are joined."""
WIDEST_GAP_MM = 3.0
"""A piece of the organ is at most this far from the largest one, between centres of voxels."""


def one_organ(found: Voxels | Levels, spacing_mm: Sequence[float]) -> Voxels:
    """Return the largest 26-connected component and large ones near it, with small holes filled.

    A network often loses the pancreas for a slice or two, so that its largest component is half of
    an organ. Voxels of which it is nearly sure therefore connect (hysteresis). They have no volume,
    and are part of the result only in slices that would be a gap otherwise, and where they are the
    shortest way between two pieces. Components of at least
    ``LEAST_PIECE`` of the largest one's volume within ``WIDEST_GAP_MM`` of it stay too. How these
    were chosen: docs/log.md, 2026-11-30 and 2026-12-01.

    Args:
        found: thresholded voxels ``(z, y, x)``, or the levels of all voxels.
        spacing_mm: of the voxels (x, y, z), as images have it.

    Returns:
        A new array of the same shape; empty when nothing is found.
    """
    result = np.zeros(found.shape, bool)
    around = box_of(found)
    if around is None:
        return result
    box = around.slices
    levels = found[box]
    certain = True if found.dtype == bool else FOUND
    labels, count = _components(levels)
    sizes = np.zeros(count + 1, np.int64)
    for slab, plane in zip(labels, levels, strict=True):
        sizes += np.bincount(slab[plane == certain], minlength=count + 1)
    largest = int(np.argmax(sizes))
    if not sizes[largest]:
        return result
    least = LEAST_PIECE * sizes[largest]
    sizes[largest] = 0
    large = np.flatnonzero(sizes >= least)
    large = large[np.argsort(-sizes[large], kind="stable")][:MOST_PIECES]
    wanted = np.zeros(count + 1, np.uint8)
    wanted[[largest, *large]] = np.arange(1, 2 + len(large))
    few = _each(wanted, labels)
    del labels
    sure = few if certain is True else np.where(levels == certain, few, np.uint8(0))
    boxes = ndimage.find_objects(sure)
    kept = [1, *_near(sure, boxes, range(2, 2 + len(large)), spacing_mm)]
    inner = _joint([boxes[i - 1] for i in kept])
    is_kept = np.zeros(2 + len(large), dtype=bool)
    is_kept[kept] = True
    organ = _each(is_kept, sure[inner])
    gaps = ~organ.any(axis=(1, 2))
    kept_levels = _each(is_kept, few[inner])
    organ[gaps] = kept_levels[gaps]
    if certain is not True:
        organ = _joined(organ, kept_levels & ~organ)
    del few, sure
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    result[box][inner] = organ | _small_holes(organ, LARGEST_HOLE_ML / voxel_ml)
    return result


def _joined(organ: Voxels, bridges: Voxels) -> Voxels:
    """Return the organ with the shortest ways, through bridges, from its largest piece to others.

    What no way of ``LONGEST_WAY`` voxels reaches stays apart, and so do more than ``MOST_PIECES``
    pieces: they are noise, in which looking for ways would take minutes.
    """
    around = np.ones((3, 3, 3), bool)
    for _ in range(MOST_PIECES):
        labels, count = ndimage.label(organ, structure=around)
        if not 1 < count <= MOST_PIECES:
            return organ
        largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
        others, reached = organ & ~largest, largest
        steps: list[Voxels] = []
        while not (steps and (steps[-1] & others).any()):
            grown = ndimage.binary_dilation(reached, around) & (organ | bridges)
            new = grown & ~reached
            if len(steps) == LONGEST_WAY or not new.any():
                return organ
            steps.append(new)
            reached = grown
        way = steps.pop() & others
        while steps:
            way = ndimage.binary_dilation(way, around) & steps.pop()
            organ = organ | way
    return organ


def _each(values: NDArray[Any], labels: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Return the value of each voxel's label, ``values[labels]``."""
    found = np.empty(labels.shape, values.dtype)
    for plane, slab in zip(found, labels, strict=True):  # an index takes 8 bytes a voxel
        plane[:] = values[slab]
    return found


def _near(
    labels: NDArray[np.uint8],
    boxes: Sequence[tuple[slice, ...]],
    others: Sequence[int],
    spacing_mm: Sequence[float],
) -> list[int]:
    """Return those of the other components that are near enough to the first, the largest."""
    if not others:
        return []
    zyx_mm = np.array(spacing_mm[::-1])
    tree = KDTree(_surface(labels, boxes[0], 1) * zyx_mm)
    near = []
    for other in others:
        points = _surface(labels, boxes[other - 1], other) * zyx_mm
        distances, _ = tree.query(points, distance_upper_bound=WIDEST_GAP_MM * (1 + 1e-6))
        if np.isfinite(distances).any():
            near.append(other)
    return near


def _surface(labels: NDArray[np.uint8], box: tuple[slice, ...], label: int) -> NDArray[np.int64]:
    """Return the indices ``(n, 3)`` of a component's voxels that have a neighbour outside of it."""
    part = labels[box] == label
    edge = part & ~ndimage.binary_erosion(part)
    found: NDArray[np.int64] = np.argwhere(edge) + [side.start for side in box]
    return found


def _joint(boxes: Sequence[tuple[slice, ...]]) -> tuple[slice, ...]:
    """Return the smallest box around several."""
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*boxes, strict=True)
    )


def _components(found: Voxels | Levels) -> tuple[NDArray[np.integer[Any]], int]:
    """Label the 26-connected components, with two bytes per voxel where their count allows."""
    neighbours = np.ones((3, 3, 3))
    labels: NDArray[np.integer[Any]] = np.empty(found.shape, np.uint16)
    try:
        count = ndimage.label(found, structure=neighbours, output=labels)
    except RuntimeError:  # more than 65,535 components
        labels = np.empty(found.shape, np.int32)
        count = ndimage.label(found, structure=neighbours, output=labels)
    return labels, int(count)


def _small_holes(organ: Voxels, most_voxels: float) -> Voxels:
    cavities = ndimage.binary_fill_holes(organ) & ~organ
    labels, _ = ndimage.label(cavities)
    sizes = np.bincount(labels.ravel())
    small = sizes <= most_voxels
    small[0] = False
    holes: Voxels = small[labels]
    return holes
