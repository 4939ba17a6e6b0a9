"""One scan and one mask → one row of features. Owns ``BACKENDS``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from pancseg import scans
from pancseg.features import pyradiomics_backend
from pancseg.scans import UnusableCase
from pancseg.settings import DEFAULT_PRESET, FeatureSettings, load_feature_settings

Backend = Callable[[sitk.Image, sitk.Image, dict[str, Any]], dict[str, float]]

BACKENDS: dict[str, Backend] = {"pyradiomics": pyradiomics_backend.compute}
"""To add a backend: one module beside this one, one entry here."""


def extract(
    scan: sitk.Image,
    mask: sitk.Image,
    settings: FeatureSettings | str | Path = DEFAULT_PRESET,
    *,
    label: int | None = None,
) -> dict[str, float]:
    """Compute the features of one region of one scan.

    Args:
        scan: a 3-D volume in HU.
        mask: labels in the same space; re-ordered when its axes run otherwise.
        settings: a preset's name, a pyradiomics parameter file, or loaded settings.
        label: which label of the mask; by default the one that the settings name, or else
            everything that is not zero.

    Returns:
        pyradiomics's feature names and values, in pyradiomics's order.

    Raises:
        UnusableCase: ``empty_mask``, ``no_label``, ``not_labels``, ``geometry``, ``too_small`` or
            ``resegmented``.
    """
    if not isinstance(settings, FeatureSettings):
        settings = load_feature_settings(settings)
    region = region_of(mask, label if label is not None else settings.label)
    parameters = parameters_for(scan, settings)
    if not (parameters.get("setting") or {}).get("correctMask"):
        region = scans.on_grid_of(scan, region)
    return BACKENDS[settings.backend](scan, region, parameters)


def region_of(mask: sitk.Image, label: int | None) -> sitk.Image:
    """Return a uint8 mask with 1 where ``mask`` has the label (None: any label).

    Raises:
        UnusableCase: ``not_labels`` for fractional values, ``empty_mask``, or ``no_label``.
    """
    voxels = scans.array(mask)
    if np.issubdtype(voxels.dtype, np.floating) and not np.array_equal(voxels, np.rint(voxels)):
        raise UnusableCase(
            "not_labels",
            f"the mask holds fractions ({voxels.min():.3g} to {voxels.max():.3g}), not labels; "
            "threshold it first",
        )
    if not voxels.any():
        raise UnusableCase("empty_mask", f"none of the mask's {voxels.size} voxels is set")
    inside = voxels != 0 if label is None else voxels == label
    if not inside.any():
        present = np.unique(voxels[voxels != 0])
        listed = ", ".join(str(int(v)) for v in present[:10]) + (", …" if present.size > 10 else "")
        raise UnusableCase("no_label", f"the mask has no label {label}; it has {listed}")
    return scans.like(inside.astype(np.uint8), mask)


def parameters_for(scan: sitk.Image, settings: FeatureSettings) -> dict[str, Any]:
    """Return the pyradiomics parameters for one scan, with the grid that its slices call for."""
    parameters = copy.deepcopy(settings.parameters)
    if settings.thick_slices:
        slice_spacing_mm = scans.orient(scan).GetSpacing()[2]
        parameters.setdefault("setting", {})["resampledPixelSpacing"] = settings.resampled_mm(
            slice_spacing_mm
        )
    return parameters
