"""Compute the part of a scan that pyradiomics's filters need around a region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pywt

from pancseg.scans.bounding_box import BoundingBox

_WHOLE = 2**30
_RECURSIVE_SIGMAS = 20
"""ITK's recursive Gaussian decays as exp(-1.7 x/sigma): 2e-15 after 20 sigmas."""


def reached(
    image_types: Mapping[str, Mapping[str, Any] | None],
    settings: Mapping[str, Any],
    box: BoundingBox,
    shape: Sequence[int],
    spacing_mm: Sequence[float],
) -> BoundingBox:
    """Return the part of a scan that decides the filters' values in a region.

    Args:
        image_types: pyradiomics's ``imageType``.
        settings: pyradiomics's ``setting``.
        box: the box around the region.
        shape: number of voxels of the scan, (z, y, x).
        spacing_mm: voxel size, (z, y, x).
    """
    reach = np.zeros(3, int)
    low, high = np.array(box.start), np.array(shape) - box.start - box.size
    for name, custom in image_types.items():
        own = {**settings, **(custom or {})}
        if name == "LoG":
            sigma_mm = max(own.get("sigma") or [0.0])
            sigma = sigma_mm / np.array(spacing_mm)
            needed = np.ceil(_RECURSIVE_SIGMAS * sigma).astype(int) + 4  # ITK needs 4 voxels
        elif name == "Wavelet":
            taps = pywt.Wavelet(own.get("wavelet", "coif1")).dec_len
            levels = own.get("start_level", 0) + own.get("level", 1)
            needed = np.full(3, taps * 2**levels)
            needed[(low < needed) | (high < needed)] = _WHOLE  # wavelets wrap around at the edges
        elif name == "Original":
            continue
        else:  # the other filters scale by the whole image's range
            needed = np.full(3, _WHOLE)
        reach = np.maximum(reach, needed)
    return box.grown([int(n) for n in reach], shape)
