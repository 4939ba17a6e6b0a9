"""pyradiomics's feature classes, given a region's voxels and grey levels instead of an image.

The formulas are inherited from pyradiomics. The matrices that they read are counted once for all
of them by ``features.texture_matrices``. Nothing in pyradiomics is replaced or patched.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from radiomics.base import RadiomicsFeaturesBase
from radiomics.firstorder import RadiomicsFirstOrder
from radiomics.glcm import RadiomicsGLCM
from radiomics.gldm import RadiomicsGLDM
from radiomics.glrlm import RadiomicsGLRLM
from radiomics.glszm import RadiomicsGLSZM
from radiomics.ngtdm import RadiomicsNGTDM

from pancseg.features.texture_matrices import (
    GreyLevels,
    co_occurrence,
    dependence,
    run_lengths,
    tone_difference,
    zone_sizes,
)

_SILENT = logging.Logger("pyradiomics's formulas", logging.CRITICAL + 1)
"""Swallows the tracebacks of failing formulas: they give NaN, which is reported."""


@dataclass(frozen=True)
class Texture:
    """How texture is counted.

    Attributes:
        symmetrical: count each pair of neighbours both ways in the GLCM.
        gldm_tolerance: levels that differ by no more than this depend on each other.
        isolated: treat isolated voxels as pyradiomics does: voxels without a neighbour count in
            the NGTDM, and directions in which no line has two voxels do not count in the GLRLM.
            IBSI does the opposite.
        merge_directions: add up the directions' matrices before features are computed; otherwise
            features are averaged over directions. Slices are always averaged.
    """

    symmetrical: bool = True
    gldm_tolerance: float = 0.0
    isolated: bool = True
    merge_directions: bool = False


@dataclass(frozen=True)
class RegionVoxels:
    """One image within one region.

    Attributes:
        intensities: (n,) values, in the order of the region's voxels.
        levels: grey levels of the same voxels.
        spacing_mm: voxel size (x, y, z).
    """

    intensities: NDArray[np.float64]
    levels: GreyLevels
    spacing_mm: tuple[float, float, float]


class _OnVoxels(RadiomicsFeaturesBase):  # type: ignore[misc] # pyradiomics is not typed
    """Base of the feature classes: set up without an image."""

    def __init__(self, voxels: RegionVoxels, texture: Texture) -> None:
        self.logger = _SILENT
        self.settings: dict[str, Any] = {}
        self.voxelBased = False
        self.weightingNorm = None
        present = voxels.levels.present
        self.coefficients: dict[str, Any] = {"grayLevels": present, "Ng": int(present[-1])}
        self.enabledFeatures: dict[str, bool] = {}
        self.featureValues: dict[str, Any] = {}
        self.featureNames = _feature_names(type(self))  # type: ignore[arg-type]
        self._voxels, self._texture = voxels, texture
        self.symmetricalGLCM = texture.symmetrical

    def _merged(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up the directions (axis 3)."""
        return counts.sum(axis=3, keepdims=True) if self._texture.merge_directions else counts


class FirstOrder(_OnVoxels, RadiomicsFirstOrder):  # type: ignore[misc]
    """First-order statistics."""

    def _initCalculation(self, voxelCoordinates: None = None) -> None:  # noqa: N802,N803
        self.pixelSpacing, self.voxelArrayShift = self._voxels.spacing_mm, 0
        self.targetVoxelArray = self._voxels.intensities.reshape(1, -1)
        levels = self._voxels.levels
        shares = np.bincount(levels.rows) / len(levels.rows)
        self.coefficients["p_i"] = shares.reshape(1, -1)


class Glcm(_OnVoxels, RadiomicsGLCM):  # type: ignore[misc]
    """Grey-level co-occurrence."""

    def _calculateMatrix(self, voxelCoordinates: None = None) -> NDArray[np.float64]:  # noqa: N802,N803
        counts = co_occurrence(self._voxels.levels)
        if self._texture.symmetrical:
            counts += counts.transpose(0, 2, 1, 3).copy()
        counts, total = _without_empty_directions(self._merged(counts))
        return counts / total[:, None, None, :]

    def getJointAverageFeatureValue(self) -> NDArray[np.float64]:  # noqa: N802
        """Return the joint average of each slice over the directions that have pairs.

        pyradiomics's own formula gives no value for a slice in which a direction has no pair.
        """
        average: NDArray[np.float64] = np.nanmean(self.coefficients["ux"], axis=(1, 2, 3))
        return average

    def getMCCFeatureValue(self) -> NDArray[np.float64]:  # noqa: N802
        """Return the maximal correlation coefficient of each slice; NaN for one without pairs.

        pyradiomics's formula needs full matrices. It is given one slice at a time, with only the
        directions that have pairs.
        """
        if len(self.P_glcm) == 1:
            only: NDArray[np.float64] = super().getMCCFeatureValue()
            return only
        whole: NDArray[np.float64] = self.P_glcm
        coefficients = self.coefficients
        found = np.full(len(whole), np.nan)
        for i, matrix in enumerate(whole):
            full = np.isfinite(matrix).all(axis=(0, 1))
            if full.any():
                self.P_glcm: NDArray[np.float64] = matrix[None, ..., full]
                sides = {k: coefficients[k][i : i + 1, ..., full] for k in ("px", "py")}
                self.coefficients = {**coefficients, **sides}
                found[i] = np.mean(super().getMCCFeatureValue())
        self.P_glcm, self.coefficients = whole, coefficients
        return found


class Glrlm(_OnVoxels, RadiomicsGLRLM):  # type: ignore[misc]
    """Grey-level run lengths."""

    def _calculateMatrix(self, voxelCoordinates: None = None) -> NDArray[np.float64]:  # noqa: N802,N803
        counts = run_lengths(self._voxels.levels, lone=not self._texture.isolated)
        counts, self.coefficients["Nr"] = _without_empty_directions(self._merged(counts))
        return counts


class Glszm(_OnVoxels, RadiomicsGLSZM):  # type: ignore[misc]
    """Grey-level size zones."""

    def _calculateMatrix(self, voxelCoordinates: None = None) -> NDArray[np.float64]:  # noqa: N802,N803
        counts, self._sizes = zone_sizes(self._voxels.levels)
        return counts

    def _calculateCoefficients(self) -> None:  # noqa: N802
        counts, sizes = self.P_glszm, self._sizes
        by_size, zones = counts.sum(axis=1), counts.sum(axis=(1, 2))
        self.coefficients.update(
            Np=by_size @ sizes,
            Nz=zones,
            ps=by_size,
            pg=counts.sum(axis=2),
            ivector=self.coefficients["grayLevels"].astype(float),
            jvector=sizes,
        )


class Gldm(_OnVoxels, RadiomicsGLDM):  # type: ignore[misc]
    """Grey-level dependence; IBSI's neighbouring grey-level dependence."""

    def _calculateMatrix(self, voxelCoordinates: None = None) -> NDArray[np.float64]:  # noqa: N802,N803
        counts, sizes = dependence(self._voxels.levels, self._texture.gldm_tolerance)
        self.coefficients.update(
            Nz=counts.sum(axis=(1, 2)),
            pd=counts.sum(axis=1),
            pg=counts.sum(axis=2),
            ivector=self.coefficients["grayLevels"].astype(float),
            jvector=sizes,
        )
        return counts


class Ngtdm(_OnVoxels, RadiomicsNGTDM):  # type: ignore[misc]
    """Neighbouring grey-tone difference."""

    def _calculateMatrix(self, voxelCoordinates: None = None) -> NDArray[np.float64]:  # noqa: N802,N803
        isolated = self._texture.isolated
        counts = tone_difference(self._voxels.levels, isolated=isolated)
        return counts[:, counts[..., 0].sum(axis=0) > 0]

    def getContrastFeatureValue(self) -> NDArray[np.float64]:  # noqa: N802
        """Return the contrast; NaN, as the others, of a slice in which no voxel has a neighbour."""
        return self._where_neighbours(super().getContrastFeatureValue())

    def getStrengthFeatureValue(self) -> NDArray[np.float64]:  # noqa: N802
        """Return the strength; NaN, as the others, of a slice in which no voxel has a neighbour."""
        return self._where_neighbours(super().getStrengthFeatureValue())

    def _where_neighbours(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.where(self.coefficients["Nvp"] > 0, values, np.nan)
        return found


CLASSES: dict[str, type[_OnVoxels]] = {
    "firstorder": FirstOrder,
    "glcm": Glcm,
    "glrlm": Glrlm,
    "glszm": Glszm,
    "gldm": Gldm,
    "ngtdm": Ngtdm,
}
"""The classes that use intensities, by pyradiomics's names."""


def compute(
    voxels: RegionVoxels, texture: Texture, wanted: Mapping[str, Sequence[str] | None]
) -> dict[str, float]:
    """Return the features of one image within one region as ``<class>_<Feature>``.

    Args:
        voxels: the image within the region.
        texture: how texture is counted.
        wanted: feature names by class, None or an empty list for all of a class; classes that do
            not use intensities are skipped.

    Returns:
        Values in pyradiomics's order; NaN where a feature has no value.
    """
    found = {}
    for name, features in wanted.items():
        if name in CLASSES:
            values = execute(CLASSES[name](voxels, texture), features)
            found.update({f"{name}_{feature}": value for feature, value in values.items()})
    return found


def names_of(wanted: Mapping[str, Sequence[str] | None]) -> list[str]:
    """Return the names of the features that :func:`compute` returns, ``<class>_<Feature>``."""
    found = []
    for name, features in wanted.items():
        if name in CLASSES:
            known = _feature_names(CLASSES[name])  # type: ignore[arg-type]
            usual = [feature for feature, deprecated in known.items() if not deprecated]
            found += [f"{name}_{feature}" for feature in features or usual]
    return found


def execute(feature_class: Any, features: Sequence[str] | None) -> dict[str, float]:
    """Return the values of a feature class by feature, averaged over slices if it has several.

    A formula that fails gives NaN.
    """
    for feature in features or ():
        feature_class.enableFeatureByName(feature)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about NaN, the intended result of a failing formula
        values = feature_class.execute()
    return {feature: _mean(value) for feature, value in values.items()}


def _mean(value: Any) -> float:
    values = np.asarray(value, dtype=float).ravel()
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan


@cache
def _feature_names(feature_class: type[Any]) -> dict[str, bool]:
    names: dict[str, bool] = feature_class.getFeatureNames()
    return names


def _without_empty_directions(
    counts: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (slice, level, x, direction) counts and their totals; NaN for an empty matrix."""
    total = counts.sum(axis=(1, 2))
    if counts.shape[3] > 1:
        full = total.sum(axis=0) > 0
        counts, total = counts[..., full], total[:, full]
    return counts, np.where(total == 0, np.nan, total)
