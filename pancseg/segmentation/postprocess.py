"""Clean a thresholded mask: keep the largest 3-D component and fill its small holes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancseg.scans.bounding_box import box_of

Voxels = NDArray[np.bool_]

LARGEST_HOLE_ML = 1.0
"""Enclosed cavities up to this volume count as noise and are filled."""


def one_organ(found: Voxels, voxel_ml: float) -> Voxels:
    """Return the largest 26-connected component with its small holes filled.

    Args:
        found: thresholded voxels ``(z, y, x)``.
        voxel_ml: volume of one voxel in mL.

    Returns:
        A new array of the same shape; empty when ``found`` is empty.
    """
    result = np.zeros_like(found)
    around = box_of(found)
    if around is None:
        return result
    box = around.slices
    labels, count = _components(found[box])
    sizes = np.zeros(count + 1, np.int64)
    for slab in labels:
        sizes += np.bincount(slab.ravel(), minlength=count + 1)
    largest = 1 + int(np.argmax(sizes[1:]))
    inner = ndimage.find_objects(labels, max_label=largest)[largest - 1]
    organ = labels[inner] == largest
    result[box][inner] = organ | _small_holes(organ, LARGEST_HOLE_ML / voxel_ml)
    return result


def _components(found: Voxels) -> tuple[NDArray[np.integer[Any]], int]:
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
