"""One scan and one mask → one row of features. Owns ``BACKENDS``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk

from pancseg import scans
from pancseg.features import pyradiomics_backend
from pancseg.settings import DEFAULT_PRESET, FeatureSettings, load_feature_settings
from pancseg.unusable import UnusableCase

Backend = Callable[[sitk.Image, sitk.Image, dict[str, Any]], dict[str, float]]

BACKENDS: dict[str, Backend] = {"pyradiomics": pyradiomics_backend.compute}
"""To add a backend: one module beside this one, one entry here."""

_PANCREAS_AND_TUMOUR = {1, 2}


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
        label: which label of the mask; by default the one that the settings name, or else the
            only one there is, or 1 and 2 (pancreas and tumour) together.

    Returns:
        pyradiomics's feature names and values, in pyradiomics's order.

    Raises:
        UnusableCase: ``empty_mask``, ``no_label``, ``several_labels``, ``not_labels``,
            ``geometry``, ``too_small`` or ``resegmented``.
    """
    if not isinstance(settings, FeatureSettings):
        settings = load_feature_settings(settings)
    region = region_of(mask, label if label is not None else settings.label).image
    return measure(scan, region, settings)


def measure(scan: sitk.Image, region: sitk.Image, settings: FeatureSettings) -> dict[str, float]:
    """Compute the features of a region that :func:`region_of` made; as :func:`extract`."""
    parameters = parameters_for(scan, settings)
    if not (parameters.get("setting") or {}).get("correctMask"):
        region = scans.on_grid_of(scan, region)
    return BACKENDS[settings.backend](scan, region, parameters)


class Region(NamedTuple):
    """One region of a label map.

    Attributes:
        image: uint8 mask, 1 inside.
        labels: the label values it is made of.
    """

    image: sitk.Image
    labels: tuple[int, ...]


def region_of(mask: sitk.Image, label: int | None) -> Region:
    """Return the region of a label; without a label, what the mask holds if that is clear.

    Clear is a single label, or 1 and 2 (pancreas and tumour), which are joined.

    Raises:
        UnusableCase: ``not_labels`` for fractional values, ``empty_mask``, ``no_label``, or
            ``several_labels`` where a label must be named.
    """
    voxels = scans.labels(mask)
    present = tuple(int(v) for v in np.unique(voxels[voxels != 0]))
    listed = ", ".join(map(str, present[:10])) + ", …" * (len(present) > 10)
    if not present:
        raise UnusableCase("empty_mask", f"none of the mask's {voxels.size} voxels is set")
    if label is not None and label not in present:
        raise UnusableCase("no_label", f"the mask has no label {label}; it has {listed}")
    if label is None and len(present) > 1 and not set(present) <= _PANCREAS_AND_TUMOUR:
        raise UnusableCase(
            "several_labels", f"the mask has labels {listed}; name one by mask_label or --label"
        )
    inside = voxels != 0 if label is None else voxels == label
    labels = present if label is None else (label,)
    return Region(scans.like(inside.astype(np.uint8), mask), labels)


def parameters_for(scan: sitk.Image, settings: FeatureSettings) -> dict[str, Any]:
    """Return the pyradiomics parameters for one scan, with the grid that its slices call for."""
    parameters = copy.deepcopy(settings.parameters)
    if settings.thick_slices:
        spacing = settings.resampled_mm(scans.slice_spacing_mm(scan))
        parameters.setdefault("setting", {})["resampledPixelSpacing"] = spacing
    return parameters


def check(settings: FeatureSettings) -> None:
    """Raise ValueError when these settings name an unknown backend or one does not accept them."""
    if settings.backend not in BACKENDS:
        raise ValueError(f"unknown backend {settings.backend!r}; known: {', '.join(BACKENDS)}")
    pyradiomics_backend.check(settings.parameters)
