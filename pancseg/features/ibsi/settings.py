"""Settings of mode ``ibsi``: pyradiomics's keys, translated to IBSI's terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pywt
from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    StrictBool,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from pancseg.features.ibsi.grid import Interpolation
from pancseg.features.pyradiomics.classes import CLASSES
from pancseg.system.yaml_file import FrozenModel

_INTERPOLATIONS: dict[str, Interpolation] = {"sitkLinear": "linear", "sitkBSpline": "cubic"}
MOST_LEVELS = 1000
"""Largest number of grey levels; texture matrices grow with its square."""

_KNOWN_CLASSES = ("shape", *CLASSES)

Aggregation = Literal["average", "merged"]


class Binning(FrozenModel):
    """How intensities become grey levels: either bins of one width, or a number of bins.

    Attributes:
        width: bin width; bins start at the lower end of the re-segmentation range or, for filtered
            images and without a range, at the region's minimum (IBSI code Q3RU).
        count: number of bins between the region's minimum and maximum (IBSI code K15C).
    """

    width: PositiveFloat | None = Field(None, alias="binWidth")
    count: PositiveInt | None = Field(None, alias="binCount", le=MOST_LEVELS)

    @model_validator(mode="after")
    def _one_of_both(self) -> Binning:
        if (self.width is None) == (self.count is None):
            raise ValueError("give either binWidth or binCount")
        return self


class FilterSettings(FrozenModel):
    """One filter with its own binning.

    Attributes:
        kind: image type in pyradiomics's terms.
        sigma_mm: widths of a Laplacian of Gaussian.
        wavelet: PyWavelets's name of a wavelet.
        binning: binning of the filtered images.
    """

    kind: Literal["Original", "LoG", "Wavelet"]
    sigma_mm: tuple[PositiveFloat, ...] = ()
    wavelet: str = "coif1"
    binning: Binning

    @field_validator("wavelet")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in pywt.wavelist(kind="discrete"):
            raise ValueError(f"unknown wavelet {name!r}; pywt.wavelist(kind='discrete') lists all")
        return name


class IbsiSettings(FrozenModel):
    """Every setting that affects a value in mode ``ibsi``.

    Attributes:
        spacing_mm: voxel size (x, y, z) to resample to, 0 keeps the scan's; None: no resampling.
        interpolation: interpolation of the scan; masks are always interpolated linearly.
        hu: the scan is in HU: refuse one that cannot be, and round to whole HU after resampling.
        range_hu: re-segmentation range, both ends included.
        outlier_sigma: exclude voxels more than this number of standard deviations from the mean;
            both are of the whole region, whatever the range excludes.
        planar: look for texture within axial slices only.
        by_slice: compute texture of each slice separately and average (2D), instead of counting
            all slices together (2.5D); with ``planar``.
        aggregation: average features over directions, or merge the directions' matrices first.
        gldm_tolerance: IBSI's coarseness parameter alpha of the NGLDM.
        label: the mask's label; used by the caller that makes the region, not here.
        filters: the images to compute features of.
        classes: feature names by class, None for all of a class.
    """

    spacing_mm: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] | None = None
    interpolation: Interpolation = "linear"
    hu: StrictBool = True
    range_hu: tuple[float, float] | None = None
    outlier_sigma: PositiveFloat | None = None
    planar: StrictBool = False
    by_slice: StrictBool = False
    aggregation: Aggregation = "average"
    gldm_tolerance: NonNegativeFloat = 0
    label: PositiveInt | None = None
    filters: tuple[FilterSettings, ...]
    classes: dict[str, tuple[str, ...] | None]

    @model_validator(mode="after")
    def _sense(self) -> IbsiSettings:
        if self.by_slice and not self.planar:
            raise ValueError("by_slice needs force2D")
        if self.range_hu and self.range_hu[0] >= self.range_hu[1]:
            raise ValueError("resegmentRange must be a lower and a higher value")
        widths = any(f.kind == "Original" and f.binning.width for f in self.filters)
        if self.range_hu and self.range_hu[0] == -math.inf and widths:
            raise ValueError(
                "resegmentRange: bins of one width start at its lower end, which is -inf; give a "
                "finite one, or binCount"
            )
        if self.planar and any(each.kind == "Wavelet" for each in self.filters):
            raise ValueError("wavelets are three-dimensional; omit either them or force2D")
        return self


_SETTING = {
    "resampledPixelSpacing": "spacing_mm",
    "resegmentRange": "range_hu",
    "force2D": "planar",
    "gldm_a": "gldm_tolerance",
    "label": "label",
}
"""Names of settings: pyradiomics's, and the fields above."""
_ADDITIONS = ("hu", "outlier_sigma", "by_slice", "aggregation")


def read(parameters: Mapping[str, Any], additions: Mapping[str, Any]) -> IbsiSettings:
    """Translate a parameter file.

    Args:
        parameters: ``setting``, ``imageType`` and ``featureClass`` as pyradiomics knows them.
        additions: keys that pyradiomics lacks: ``hu``, ``outlier_sigma``, ``by_slice``,
            ``aggregation``.

    Raises:
        ValueError: an unknown key or value, or one without a counterpart in mode ``ibsi``.
    """
    if unknown := [str(name) for name in additions if name not in _ADDITIONS]:
        raise ValueError(
            f"pancseg.ibsi has no {', '.join(unknown)}; it has {', '.join(_ADDITIONS)}"
        )
    setting = _mapping(parameters, "setting")
    binning = {k: setting.pop(k) for k in ("binWidth", "binCount") if setting.get(k) is not None}
    setting = {key: value for key, value in setting.items() if value is not None}
    values: dict[str, Any] = dict(additions)
    if (interpolator := setting.pop("interpolator", None)) is not None:
        if str(interpolator) not in _INTERPOLATIONS:
            raise ValueError(
                f"interpolator {interpolator!r}: mode ibsi has {', '.join(_INTERPOLATIONS)}"
            )
        values["interpolation"] = _INTERPOLATIONS[interpolator]
    for name, value in setting.items():
        if name not in _SETTING:
            raise ValueError(
                f"mode ibsi has no setting {name!r}; it has interpolator, binWidth, binCount, "
                f"{', '.join(_SETTING)}"
            )
        values[_SETTING[name]] = value
    if others := set(parameters) - {"setting", "imageType", "featureClass"}:
        raise ValueError(f"mode ibsi has no key {', '.join(sorted(map(str, others)))}")
    values["filters"] = [
        _filter(kind, own or {}, binning)
        for kind, own in (_mapping(parameters, "imageType") or {"Original": {}}).items()
    ]
    values["classes"] = _classes(_mapping(parameters, "featureClass"))
    try:
        return IbsiSettings.model_validate(values)
    except ValidationError as error:
        kinds = [each["kind"] for each in values["filters"]]
        raise ValueError("; ".join(_problem(each, kinds) for each in error.errors())) from error


def _mapping(parameters: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = parameters.get(key) or {}
    if not isinstance(found, Mapping):
        raise ValueError(f"{key} must be a mapping, as in pyradiomics's parameter files")
    return dict(found)


def _problem(error: ErrorDetails, kinds: Sequence[str]) -> str:
    """Return the key of a wrong value, the problem, and the value."""
    value = error["input"]
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] != "value_error" and not isinstance(value, Mapping):  # ours name the value
        message += f", not {value!r}"
    return f"{_key_path(error['loc'], kinds)}: {message}"


def _key_path(location: Sequence[int | str], kinds: Sequence[str]) -> str:
    """Return the key of a wrong value as it is in the settings file."""
    if not location:
        return "settings"
    first, *rest = location
    if first == "filters" and rest:
        inside = [str(part) for part in rest[1:] if not isinstance(part, int)]
        inside = [{"sigma_mm": "sigma"}.get(part, part) for part in inside if part != "binning"]
        return ".".join(["imageType", kinds[int(rest[0])], *inside])
    if first == "classes":
        return ".".join(map(str, ("featureClass", *rest)))
    named = {ours: theirs for theirs, ours in _SETTING.items()}.get(str(first))
    return f"setting.{named}" if named else ".".join(map(str, ("pancseg.ibsi", *location)))


def _filter(kind: str, own: object, binning: Mapping[str, Any]) -> dict[str, Any]:
    if kind not in ("Original", "LoG", "Wavelet"):
        raise ValueError(f"mode ibsi has no imageType {kind!r}; it has Original, LoG, Wavelet")
    if not isinstance(own, Mapping):
        raise ValueError(f"imageType {kind} must be a mapping, such as {{sigma: [2.0]}}")
    rest = dict(own)
    own_bins = {k: rest.pop(k) for k in ("binWidth", "binCount") if rest.get(k) is not None}
    found: dict[str, Any] = {"kind": kind, "binning": own_bins or dict(binning) or {"binWidth": 25}}
    if kind == "LoG":
        found["sigma_mm"] = rest.pop("sigma", ())
        widths = found["sigma_mm"]
        if not isinstance(widths, list | tuple) or not widths or len(set(widths)) < len(widths):
            raise ValueError("imageType LoG needs sigma: a list of different widths in mm")
    if kind == "Wavelet" and "wavelet" in rest:
        found["wavelet"] = rest.pop("wavelet")
    if rest:
        raise ValueError(f"mode ibsi has no {', '.join(map(repr, rest))} for imageType {kind}")
    return found


def _classes(wanted: Mapping[str, Any]) -> dict[str, tuple[str, ...] | None]:
    if unknown := [name for name in wanted if name not in _KNOWN_CLASSES]:
        raise ValueError(
            f"mode ibsi has no featureClass {unknown[0]!r}; it has {', '.join(_KNOWN_CLASSES)}"
        )
    for name, features in wanted.items():
        if features is not None and not isinstance(features, list | tuple):
            raise ValueError(f"featureClass {name} must be a list of features, or empty for all")
    return {
        n: tuple(f) if f else None for n, f in (wanted or dict.fromkeys(_KNOWN_CLASSES)).items()
    }
