"""Compute the features of one region of one scan, in the mode that the settings name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import SimpleITK as sitk

from pancseg.features import DEFAULT_PRESET
from pancseg.features.numeric_settings import check_numbers
from pancseg.features.result import FeatureResult
from pancseg.features.settings import FeatureSettings, as_feature_settings
from pancseg.scans.conversion import ArrayGeometry, VolumeLike, as_mask, as_scan
from pancseg.scans.geometry import slice_spacing_mm
from pancseg.system.text.excerpt import excerpt

Parameters = dict[str, Any]
_LONGEST_MESSAGE = 500


class Backend(NamedTuple):
    """The functions of one mode.

    Attributes:
        compute: returns the features, given the scan, the region on the scan's grid, pyradiomics's
            parameters and the settings under ``pancseg: ibsi``.
        check: raises ValueError for parameters and ``ibsi`` settings that the mode cannot use.
    """

    compute: Callable[[sitk.Image, sitk.Image, Parameters, Parameters], FeatureResult]
    check: Callable[[Parameters, Parameters], None]


def _ibsi() -> Backend:
    from pancseg.features.ibsi.compute import check, compute_from

    return Backend(compute_from, check)


def _pyradiomics() -> Backend:
    from pancseg.features.pyradiomics.extractor import check, compute

    return Backend(compute, check)


BACKENDS: dict[str, Callable[[], Backend]] = {"ibsi": _ibsi, "pyradiomics": _pyradiomics}
"""To add a backend, add a module beside this one and an entry here. A backend is imported when it
is first used, because SciPy and pyradiomics outweigh the rest of a process that writes tables."""


def check_values(settings: FeatureSettings) -> None:
    """Raise ValueError, in one line, for settings with a mode, key or value that cannot be."""
    try:
        if settings.mode not in BACKENDS:
            raise ValueError(f"unknown mode {settings.mode!r}; known: {', '.join(BACKENDS)}")
        check_numbers(settings.parameters, settings.ibsi)
        BACKENDS[settings.mode]().check(settings.parameters, settings.ibsi)
    except ValueError as error:  # which may quote a value of any length
        raise ValueError(excerpt(error, _LONGEST_MESSAGE)) from error


def extract_features(
    scan: VolumeLike,
    mask: VolumeLike,
    settings: FeatureSettings | str | Path = DEFAULT_PRESET,
    *,
    label: int | str | None = None,
    **geometry: Unpack[ArrayGeometry],
) -> dict[str, float]:
    """Compute the features of one region of one scan, without judging scan or region.

    :func:`pancseg.measure` judges them too, and leaves empty what the table leaves empty.

    Args:
        scan: a 3-D volume in HU: a path, a ``SimpleITK.Image``, a nibabel image, or an array
            ``(z, y, x)`` with ``spacing``.
        mask: labels in the same space, given in the same ways; re-ordered when its axes run
            otherwise, and completed by zeros when it covers a box of the scan's grid. Mode
            ``pyradiomics`` resamples masks on other grids if the settings name a voxel size or
            ``correctMask``. An array of the scan's shape is on the scan's grid.
        settings: a preset's name, a pyradiomics parameter file, or loaded settings.
        label: which label of the mask, or an expression such as ``ring(1,2;5mm)``
            (:func:`pancseg.cohort.roi.parse_roi`); by default the label that the settings name,
            or else the only one in the mask, or 1 and 2 (pancreas and tumour) together.
        geometry: ``spacing``, ``origin`` and ``direction`` where the scan is an array.

    Returns:
        pyradiomics's feature names and values, in pyradiomics's order; NaN where a feature has no
        value in this region.

    Raises:
        UnusableCase: ``empty_mask``, ``no_label``, ``several_labels``, ``not_labels``,
            ``empty_region``, ``geometry``, ``not_hu``, ``too_small``, ``not_flat``,
            ``fine_grid``, ``resegmented`` or ``many_levels``; or scan or mask cannot be read.
        ValueError: ``label`` is not an expression.

    Example:
        >>> import numpy as np
        >>> from pancseg import extract_features
        >>> scan = np.random.default_rng(0).normal(60, 20, (20, 30, 30)).astype(np.float32)
        >>> mask = np.zeros(scan.shape, np.uint8)
        >>> mask[5:15, 10:20, 10:20] = 1
        >>> row = extract_features(scan, mask, "pyradiomics_default", spacing=(1, 1, 1))
        >>> round(row["original_shape_VoxelVolume"])
        1000
    """
    from pancseg.features.regions import region_by_settings

    settings = as_feature_settings(settings)
    check_values(settings)
    image = as_scan(scan, **geometry)
    labels = as_mask(mask, image)
    region = region_by_settings(labels, label, settings.label, image).image
    return compute_features(image, region, settings).values


def compute_features(
    scan: sitk.Image, region: sitk.Image, settings: FeatureSettings
) -> FeatureResult:
    """Compute the features of one region, with the reasons for values that are missing.

    Args:
        scan: a 3-D volume in HU.
        region: uint8 mask (1 inside) from :func:`pancseg.features.regions.region_of`.
        settings: of the features.

    Raises:
        UnusableCase: as for :func:`extract_features`.
    """
    parameters = parameters_for(scan, settings)
    region = settings.placed(scan, region).image
    return BACKENDS[settings.mode]().compute(scan, region, parameters, settings.ibsi)


def region_on_grid(
    scan: sitk.Image, region: sitk.Image, settings: FeatureSettings
) -> sitk.Image | None:
    """Return a region on the features' grid (:class:`FeatureResult`), without its features.

    Grid and re-segmentation depend on neither filters nor feature classes, so that the quickest
    feature of the unfiltered scan is computed alone.

    Args:
        scan: as for :func:`compute_features`.
        region: as for :func:`compute_features`.
        settings: of the features.

    Raises:
        UnusableCase: as for :func:`extract_features`.
    """
    quick = {"imageType": {"Original": {}}, "featureClass": {"firstorder": ["Mean"]}}
    eased = settings.model_copy(update={"parameters": {**settings.parameters, **quick}})
    return compute_features(scan, region, eased).measured


def parameters_for(scan: sitk.Image, settings: FeatureSettings) -> dict[str, Any]:
    """Return the pyradiomics parameters for one scan, with the grid that its slices call for."""
    parameters = copy.deepcopy(settings.parameters)
    if settings.thick_slices:
        spacing = settings.resampled_mm(slice_spacing_mm(scan))
        setting = parameters.get("setting") or {}
        parameters["setting"] = {**setting, "resampledPixelSpacing": spacing}
    return parameters
