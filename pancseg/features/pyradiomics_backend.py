"""The one door to pyradiomics: region and parameters in, pyradiomics's own numbers out."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pykwalify.core
import radiomics
import SimpleITK as sitk
from pykwalify.errors import PyKwalifyException
from radiomics.featureextractor import RadiomicsFeatureExtractor

from pancseg import scans
from pancseg.unusable import UnusableCase

log = logging.getLogger(__name__)

_LOCAL_SETTINGS = {
    "additionalInfo",
    "binCount",
    "binWidth",
    "distances",
    "force2D",
    "force2Ddimension",
    "gldm_a",
    "label",
    "minimumROIDimensions",
    "minimumROISize",
    "resegmentMode",
    "resegmentRange",
    "resegmentShape",
    "symmetricalGLCM",
    "voxelArrayShift",
    "weightingNorm",
}
"""Settings under which no voxel outside the region's box matters: no resampling, no normalising."""

_REFUSALS = {
    "mask only contains": "too_small",
    "mask has too few": "too_small",
    "Size of the ROI": "too_small",
    "No labels found": "too_small",
    "Label (": "too_small",
    "Resegmentation excluded": "resegmented",
}
"""How pyradiomics's own refusals begin, and the reason code of each."""


def compute(scan: sitk.Image, region: sitk.Image, parameters: dict[str, Any]) -> dict[str, float]:
    """Return pyradiomics's features of one region, under pyradiomics's names.

    Args:
        scan: the volume, HU.
        region: uint8, 1 inside; on the scan's grid unless the parameters say ``correctMask``.
        parameters: a pyradiomics parameter file as a dictionary.

    Raises:
        UnusableCase: ``too_small`` or ``resegmented``, when pyradiomics refuses the region.
        ValueError: the parameters are not valid.
    """
    extractor = _extractor(parameters)
    if _is_local(parameters):
        scan, region = _in_its_box(scan, region)
    with _quiet():
        try:
            result = extractor.execute(scan, region, label=1)
        except ValueError as error:
            message = " ".join(str(error).split())
            for beginning, code in _REFUSALS.items():
                if message.startswith(beginning):
                    raise UnusableCase(code, f"no features from this mask: {message}") from error
            raise
    values = {name: float(value) for name, value in result.items()}
    if failed := [name for name, value in values.items() if not math.isfinite(value)]:
        log.info("pyradiomics could not compute %s", ", ".join(failed))
    return values


def _is_local(parameters: dict[str, Any]) -> bool:
    """Return whether the features depend on nothing outside the region's bounding box."""
    unfiltered = parameters.get("imageType") in ({"Original": {}}, {"Original": None})
    return unfiltered and set(parameters.get("setting") or {}) <= _LOCAL_SETTINGS


def _in_its_box(scan: sitk.Image, region: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """Crop to the region's bounding box, as pyradiomics does itself after slower checks."""
    inside = scans.array(region) != 0
    start, size = [], []
    for others in ((0, 1), (0, 2), (1, 2)):  # x, y, z of an array (z, y, x)
        hit = np.flatnonzero(inside.any(axis=others))
        if not hit.size:
            return scan, region
        start.append(int(hit[0]))
        size.append(int(hit[-1] - hit[0]) + 1)
    return sitk.RegionOfInterest(scan, size, start), sitk.RegionOfInterest(region, size, start)


def check(parameters: dict[str, Any]) -> None:
    """Raise ValueError when pyradiomics would not accept these parameters."""
    _extractor(parameters)


def _extractor(parameters: dict[str, Any]) -> RadiomicsFeatureExtractor:
    with _quiet():
        try:
            extractor = RadiomicsFeatureExtractor(copy.deepcopy(parameters))
        except PyKwalifyException as error:
            reason = " ".join(str(error.msg).split())
            raise ValueError(f"pyradiomics does not accept these settings: {reason}") from error
    extractor.addProvenance(False)
    return extractor


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence pyradiomics's and its validator's loggers for one call."""
    loggers = [radiomics.logger, pykwalify.core.log]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
