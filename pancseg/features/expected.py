"""Owns which features settings give, for tables in which no row has any."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from pancseg import scans
from pancseg.features.extract import measure
from pancseg.settings import FeatureSettings
from pancseg.unusable import UnusableCase

_SIDE = 24


def feature_names(settings: FeatureSettings) -> list[str]:
    """Return the names of all features in their order, as the backend itself gives them.

    It measures a small block, so that whatever the settings ask for is there under its own name.

    Returns:
        The names; none when these settings refuse the block, as a large smallest region does.
    """
    scan, region = _block(settings)
    try:
        return list(measure(scan, region, settings).values)
    except UnusableCase:
        return []


def _block(settings: FeatureSettings) -> tuple[sitk.Image, sitk.Image]:
    """Return a cube of noise on the settings' own grid, within their HU range, and its inside."""
    setting = settings.parameters.get("setting") or {}
    low, *high = setting.get("resegmentRange") or (0, 100)
    noise = np.random.default_rng(0).uniform(low, high[0] if high else low + 100, (_SIDE,) * 3)
    noise[0, 0, 0] = -1000  # air: it is a CT
    scan = sitk.GetImageFromArray(np.rint(noise).astype(np.int16))
    scan.SetSpacing([spacing or 1.0 for spacing in settings.resampled_mm(1.0) or (1.0,) * 3])
    inside = np.zeros((_SIDE,) * 3, np.uint8)
    classes = settings.parameters.get("featureClass")
    region = [slice(4, -4)] * 3
    if setting.get("force2D") and (not classes or "shape2D" in classes):
        region[setting.get("force2Ddimension", 0)] = slice(_SIDE // 2, _SIDE // 2 + 1)
    inside[*region] = 1
    return scan, scans.like(inside, scan)
