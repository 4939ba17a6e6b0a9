"""Measure a mask against its reference: Dice, HD95, surface Dice and volumes.

Surface distances are computed by MONAI. A mask's boundary consists of its voxels that have a face
neighbour outside the mask (the edge of the array counts as outside). Distances are between centres
of boundary voxels, in mm.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from monai.metrics.utils import get_edge_surface_distance
from numpy.typing import NDArray

from pancseg.segmentation.overlap import dice

TOLERANCE_MM = 2.0
PERCENTILE = 95

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


class MaskMeasures(NamedTuple):
    """The agreement of a predicted mask with its reference.

    Attributes:
        dice: hard Dice on all voxels, 0..1.
        hd95_mm: the larger of two 95th percentiles: of the distances from the prediction's boundary
            voxels to the reference's boundary, and of those in the other direction. NaN when
            exactly one of the masks is empty.
        surface_dice_2mm: share of both masks' boundary voxels that are at most 2 mm from the other
            boundary, 0..1.
        volume_ml: volume of the prediction.
        reference_volume_ml: volume of the reference.
        volume_error_ml: prediction minus reference.
        volume_error_percent: the same in per cent of the reference; NaN when the reference is
            empty.
    """

    dice: float
    hd95_mm: float
    surface_dice_2mm: float
    volume_ml: float
    reference_volume_ml: float
    volume_error_ml: float
    volume_error_percent: float


def mask_measures(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> MaskMeasures:
    """Compare two masks on one grid.

    If both masks are empty, they agree fully: Dice and surface Dice are 1, HD95 is 0. If only one
    is empty, Dice and surface Dice are 0, and HD95 is NaN, because no distance exists.

    Args:
        prediction: mask, ``(z, y, x)``.
        reference: mask of the same shape.
        spacing_mm: voxel size along ``(z, y, x)``, in mm.

    Raises:
        ValueError: the shapes differ.
    """
    overlap = dice(prediction, reference)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    volume = int(np.count_nonzero(prediction)) * voxel_ml
    reference_volume = int(np.count_nonzero(reference)) * voxel_ml
    error = volume - reference_volume
    if volume and reference_volume:
        hd95, surface_dice = _surface_measures(prediction, reference, spacing_mm)
    elif volume or reference_volume:
        hd95, surface_dice = float("nan"), 0.0
    else:
        hd95, surface_dice = 0.0, 1.0
    percent = 100 * error / reference_volume if reference_volume else float("nan")
    return MaskMeasures(overlap, hd95, surface_dice, volume, reference_volume, error, percent)


def crop_to_both(first: Mask, second: Mask, margin: int = 1) -> tuple[Mask, Mask]:
    """Crop two masks to the box around their union, plus a margin; this changes no distance.

    At least one of them must have a voxel.
    """
    union = first | second
    box = []
    for axis in range(union.ndim):
        others = tuple(a for a in range(union.ndim) if a != axis)
        inside = np.flatnonzero(union.any(axis=others))
        box.append(slice(max(int(inside[0]) - margin, 0), int(inside[-1]) + 1 + margin))
    return first[tuple(box)], second[tuple(box)]


def _surface_measures(prediction: Mask, reference: Mask, spacing: Spacing) -> tuple[float, float]:
    """Return HD95 in mm and surface Dice of two masks that are not empty."""
    cropped = crop_to_both(prediction, reference)
    masks = [torch.from_numpy(mask.copy()) for mask in cropped]
    with _quiet_monai():
        _, distances, _ = get_edge_surface_distance(*masks, spacing=spacing, symmetric=True)
    both_ways = [d.numpy().astype(np.float64) for d in distances]
    hd95 = max(np.percentile(d, PERCENTILE) for d in both_ways)
    near = np.concatenate(both_ways) <= TOLERANCE_MM
    return float(hd95), float(near.mean())


@contextmanager
def _quiet_monai() -> Iterator[None]:
    """Silence a warning of MONAI 1.5 and 1.6 about an argument that only MONAI itself passes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        yield
