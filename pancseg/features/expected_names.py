"""List the features that settings yield, even if no row of a table could be computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.features.extract import compute_features
from pancseg.features.settings import FeatureSettings
from pancseg.scans.arrays import image_like

_SIDE = 24
_NO_NAMES = frozenset({
    "binCount", "binWidth", "minimumROIDimensions", "minimumROISize", "resampledPixelSpacing",
    "resegmentMode", "resegmentRange",
})  # fmt: skip
"""Settings that change values but not the list of features."""


def feature_names(settings: FeatureSettings) -> list[str]:
    """Return the names of all features in order; none if the backend refuses the test block."""
    try:
        return on_a_block(settings)
    except UnusableCase:
        return []


def on_a_block(settings: FeatureSettings) -> list[str]:
    """Return the names of all features in order, as the backend itself gives them.

    The backend measures a small block, so every feature that the settings ask for appears under
    its name. Settings that could refuse the block or fill the memory (grid, bins, ranges) are
    replaced by harmless ones.

    Raises:
        UnusableCase: the backend refuses the block nevertheless.
    """
    eased = settings.model_copy(
        update={"parameters": _eased(settings.parameters), "thick_slices": None}
    )
    scan, region = _block(eased.parameters)
    return list(compute_features(scan, region, eased).values)


def _eased(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with eight bins and without all settings that change no name."""
    types = parameters.get("imageType") or {"Original": {}}
    return {
        **parameters,
        "setting": {**_named(parameters.get("setting")), "binCount": 8},
        "imageType": {kind: _named(own) for kind, own in types.items()},
    }


def _named(setting: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (setting or {}).items() if key not in _NO_NAMES}


def _block(parameters: dict[str, Any]) -> tuple[sitk.Image, sitk.Image]:
    """Return a cube of noise that is wide enough for every LoG, and a region inside it."""
    setting, classes = parameters["setting"], parameters.get("featureClass")
    noise = np.random.default_rng(0).uniform(0, 100, (_SIDE,) * 3)
    noise[0, 0, 0] = -1000  # air, so that the block passes for a CT
    scan = sitk.GetImageFromArray(np.rint(noise).astype(np.int16))
    log = parameters["imageType"].get("LoG") or {}
    scan.SetSpacing((max([1.0, *log.get("sigma", setting.get("sigma") or ())]),) * 3)
    inside = np.zeros((_SIDE,) * 3, np.uint8)
    region = [slice(4, -4)] * 3
    if setting.get("force2D") and (not classes or "shape2D" in classes):
        region[setting.get("force2Ddimension", 0)] = slice(_SIDE // 2, _SIDE // 2 + 1)
    inside[*region] = 1
    return scan, image_like(inside, scan)
