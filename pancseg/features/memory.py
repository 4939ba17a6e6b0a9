"""Estimate the memory that measuring a region takes beside the scan and its mask.

The numbers of bytes were measured on spheres of 0.1 to 4 million voxels, in both modes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.features.settings import FeatureSettings
from pancseg.scans.arrays import voxel_array
from pancseg.scans.bounding_box import box_of
from pancseg.scans.geometry import slice_spacing_mm

_TEXTURE = frozenset({"glcm", "glrlm", "glszm", "gldm", "ngtdm"})
_BYTES_A_REGION_VOXEL = 400
"""Its intensity, its neighbours in 13 directions and their lines."""
_TEXTURE_BYTES = 400
"""In addition: the grey levels of all neighbours, zones and runs."""
_BYTES_A_BOX_VOXEL = 40
"""The box around the region: resampled scan and mask, and one filtered image."""
_WHOLE_BYTES = 32
"""The same for filters that need the whole scan."""
_IMAGES_A_LEVEL = 8
"""Images of a wavelet's level that exist at the same time, as float64."""
_BYTES_A_SCAN_VOXEL = 24
"""Normalised intensities."""
_BYTES_A_CELL = 5 * 13 * 8
"""Of a co-occurrence matrix: 13 directions, and the arrays that are made of it."""
_SOFT_TISSUE_HU = 500.0
_MOST_LEVELS = 2_200
"""More are refused."""
_MOST_SIGMAS = {"ibsi": 4.0, "pyradiomics": 20.0}
"""Reach of a Laplacian of Gaussian."""

_TYPICAL_MM3, _TYPICAL_BOX_MM = 100_000.0, (180.0, 100.0, 100.0)
"""A large pancreas (62.6 ± 19.1 mL, n=1,003) and the box around it."""


class RegionSize(NamedTuple):
    """What the memory depends on, in voxels of the grid that features are computed on.

    Attributes:
        voxels: number of voxels of the region.
        box: number of voxels of the box around it, along x, y, z.
        spacing_mm: voxel size (x, y, z).
        whole: number of voxels of the whole scan along each axis, on the same grid.
        scan_voxels: number of voxels of the scan itself.
    """

    voxels: float
    box: Sequence[float]
    spacing_mm: Sequence[float]
    whole: Sequence[float]
    scan_voxels: float


def typical_bytes(settings: FeatureSettings, scan_voxels: int) -> int:
    """Return the memory, in bytes, for a pancreas on a scan of which only the header was read.

    Where the settings keep the scan's own voxels, they are taken as 1 mm wide.

    >>> from pancseg import load_feature_settings
    >>> round(typical_bytes(load_feature_settings("pancreas_ct"), 10_000_000) / 1e6)
    250
    """
    setting = settings.parameters.get("setting") or {}
    grids = [setting.get("resampledPixelSpacing") or (1, 1, 1)]
    if settings.thick_slices:
        grids.append(settings.thick_slices.spacing_mm)
    sizes = []
    for grid in grids:
        spacing_mm = [float(side) or 1.0 for side in grid]
        box = [length / side for length, side in zip(_TYPICAL_BOX_MM, spacing_mm, strict=True)]
        whole = [scan_voxels ** (1 / 3)] * 3
        voxels = _TYPICAL_MM3 / math.prod(spacing_mm)
        sizes.append(RegionSize(voxels, box, spacing_mm, whole, scan_voxels))
    return max(needed_bytes(size, settings) for size in sizes)


def size_of(scan: sitk.Image, region: sitk.Image, settings: FeatureSettings) -> RegionSize | None:
    """Return the size of a region on the grid of its features; None if it is empty."""
    inside = voxel_array(region) != 0
    box = box_of(inside)
    if box is None:
        return None
    own = np.array(region.GetSpacing())
    wanted = np.array(settings.resampled_mm(slice_spacing_mm(scan)) or (0, 0, 0))
    spacing = np.where(wanted == 0, own, wanted)
    whole = np.array(scan.GetSize()) * scan.GetSpacing() / spacing
    return RegionSize(
        voxels=np.count_nonzero(inside) * float(np.prod(own / spacing)),
        box=(np.array(box.size[::-1]) * own / spacing).tolist(),
        spacing_mm=spacing.tolist(),
        whole=whole.tolist(),
        scan_voxels=math.prod(scan.GetSize()),
    )


def check_memory(
    scan: sitk.Image, region: sitk.Image, settings: FeatureSettings, free_bytes: int
) -> None:
    """Refuse a region whose features do not fit into the memory, before they are computed.

    Args:
        scan: the volume.
        region: 0 outside; on any grid.
        settings: of the features.
        free_bytes: the most memory that features may take.

    Raises:
        UnusableCase: ``memory``.
    """
    size = size_of(scan, region, settings)
    if size is None or (needed := needed_bytes(size, settings)) <= free_bytes:
        return
    sides = "×".join(f"{side:.4g}" for side in size.spacing_mm)
    raise UnusableCase(
        "memory",
        f"features of about {size.voxels:,.0f} voxels of {sides} mm need about "
        f"{needed / 1e9:.1f} GB, but only {max(free_bytes, 0) / 1e9:.1f} GB are left of "
        "`memory_bytes`; raise it, or choose larger voxels (resampledPixelSpacing)",
    )


def needed_bytes(size: RegionSize, settings: FeatureSettings) -> int:
    """Return the memory, in bytes, that features of one region take beside scan and mask."""
    parameters = settings.parameters
    setting = parameters.get("setting") or {}
    types: dict[str, Any] = parameters.get("imageType") or {"Original": {}}
    classes = set(parameters.get("featureClass") or _TEXTURE)
    a_voxel = _BYTES_A_REGION_VOXEL + _TEXTURE_BYTES * bool(_TEXTURE & classes)
    total = a_voxel * size.voxels
    if setting.get("normalize"):
        total += _BYTES_A_SCAN_VOXEL * size.scan_voxels
    resampled = any(setting.get("resampledPixelSpacing") or ())
    box_bytes, levels = 0.0, 0.0
    for kind, own in types.items():
        merged = {**setting, **(own or {})}
        levels = max(levels, _levels(merged))
        margin, each = _filter(kind, merged, size.spacing_mm, settings.mode)
        if settings.mode == "pyradiomics" and resampled:  # its filters see no more of the scan
            margin = [float(setting.get("padDistance", 5))] * 3
        sides = zip(size.box, margin, size.whole, strict=True)
        box_bytes = max(box_bytes, each * math.prod(min(n + 2 * m, w) for n, m, w in sides))
    if _TEXTURE & classes:
        slices = size.box[2] if settings.ibsi.get("by_slice") else 1
        total += _BYTES_A_CELL * slices * min(levels, size.voxels, _MOST_LEVELS) ** 2
    return int(total + box_bytes)


def _levels(own: dict[str, Any]) -> float:
    """Return a number of grey levels; with bins of one width, of intensities in soft tissue."""
    if (count := own.get("binCount")) is not None:
        return float(count)
    return _SOFT_TISSUE_HU / float(own.get("binWidth") or 25)


def _filter(
    kind: str, own: dict[str, Any], spacing_mm: Sequence[float], mode: str
) -> tuple[list[float], float]:
    """Return a filter's margin along x, y, z in voxels, and its bytes for each voxel of the box."""
    if kind == "LoG":
        sigma_mm = max(own.get("sigma") or [0.0])
        return [_MOST_SIGMAS[mode] * sigma_mm / side + 4 for side in spacing_mm], _BYTES_A_BOX_VOXEL
    if kind == "Wavelet":
        import pywt  # 0.1 s, which processes that only distribute scans need not wait for

        levels = int(own.get("level", 1))
        taps = pywt.Wavelet(own.get("wavelet", "coif1")).dec_len
        margin = float(taps * 2 ** (levels + int(own.get("start_level", 0)) - 1))
        return [margin] * 3, _BYTES_A_BOX_VOXEL + 8.0 * _IMAGES_A_LEVEL * levels
    if kind == "Original":
        return [0.0] * 3, _BYTES_A_BOX_VOXEL
    return [math.inf] * 3, _WHOLE_BYTES  # scaled by the whole image's range
