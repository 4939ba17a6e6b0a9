"""Make up scans to measure a machine's speed on: a body of noise, and a region like a pancreas."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.scans.writing import write_scan
from pancseg.segmentation.slice_search import LEAST_HEIGHT_MM

NETWORK_SLICES = 8
_NETWORK_SIZE, _REGION_SIZE, _REGION_HEIGHT_MM = 512, 256, 80.0
_PIXEL_MM = 0.75
_THICK = (_PIXEL_MM, _PIXEL_MM, LEAST_HEIGHT_MM)
"""Voxel size at which every slice goes through the network."""
_HALF_AXES_MM = (16.0, 18.0, 65.0)
"""Of a region of 78 mL, along z, y, x before it is turned."""
_TURNED_BY = 0.35
"""About two axes, in radians: a pancreas lies aslant, so the box around it is large."""


class MadeUp(NamedTuple):
    """Files to measure on.

    Attributes:
        warm_up: a scan of two slices, as the first batch of a network takes longer.
        slices: a scan of a few slices for the network.
        scan: a scan for the features.
        mask: its region.
        region_ml: volume of the region.
    """

    warm_up: Path
    slices: Path
    scan: Path
    mask: Path
    region_ml: float


def make_up(folder: Path, slice_mm: float) -> MadeUp:
    """Write a scan of a few slices for the network, and a scan with a mask for the features.

    Args:
        folder: to write to.
        slice_mm: distance of slices of the scan for the features.
    """
    rng = np.random.default_rng(0)
    warm_up, slices, scan, mask = (
        folder / f"{name}.nii.gz" for name in ("warm_up", "slices", "scan", "mask")
    )
    voxels = _body((NETWORK_SLICES, _NETWORK_SIZE, _NETWORK_SIZE), _PIXEL_MM, rng)
    write_scan(_image(voxels[:2], _THICK), warm_up)
    write_scan(_image(voxels, _THICK), slices)
    shape = (max(6, round(_REGION_HEIGHT_MM / slice_mm)), _REGION_SIZE, _REGION_SIZE)
    spacing_mm = (_PIXEL_MM, _PIXEL_MM, slice_mm)
    region, voxels = region_in(shape, spacing_mm), _body(shape, _PIXEL_MM, rng)
    voxels[region] += 40
    write_scan(_image(voxels, spacing_mm), scan)
    write_scan(_image(region.astype(np.uint8), spacing_mm), mask)
    region_ml = float(region.sum() * np.prod(spacing_mm)) / 1000
    return MadeUp(warm_up, slices, scan, mask, region_ml)


def _image(voxels: NDArray[np.generic], spacing_mm: tuple[float, float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing_mm)
    return image


def _body(
    shape: tuple[int, int, int], pixel_mm: float, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Return noise around 50 HU in an ellipse, with air around it."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape[1:])
    inside = (y[:, None] * pixel_mm / 120) ** 2 + (x * pixel_mm / 165) ** 2 < 1
    noise = rng.normal(50, 25, shape)
    return np.where(inside, noise, -1000).astype(np.int16)


def region_in(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Return an ellipsoid in the middle, turned about two axes: a region like a pancreas.

    Args:
        shape: of the scan ``(z, y, x)``.
        spacing_mm: of its voxels (x, y, z).
    """
    sides = zip(shape, spacing_mm[::-1], strict=True)
    axes = [(np.arange(n) - (n - 1) / 2) * side for n, side in sides]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    c, s = np.cos(_TURNED_BY), np.sin(_TURNED_BY)
    x, z = c * x + s * z, c * z - s * x
    x, y = c * x + s * y, c * y - s * x
    half_z, half_y, half_x = _HALF_AXES_MM
    return np.asarray((z / half_z) ** 2 + (y / half_y) ** 2 + (x / half_x) ** 2 < 1)
