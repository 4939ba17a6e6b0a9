"""What mode ``ibsi`` understands of a settings file: pyradiomics's own words, read the IBSI way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pywt
from pydantic import (
    BaseModel,
    ConfigDict,
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

_INTERPOLATIONS: dict[str, Interpolation] = {"sitkLinear": "linear", "sitkBSpline": "cubic"}
MOST_LEVELS = 1000
"""Grey levels; texture matrices grow with the square of their number."""

_KNOWN_CLASSES = ("shape", *CLASSES)

Aggregation = Literal["average", "merged"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Binning(_Frozen):
    """How intensities become grey levels: bins of one width, or a number of bins.

    Attributes:
        width: bin width; bins start at the lower end of the re-segmentation range, or, without one
            and for filtered images, at the region's minimum (IBSI code Q3RU).
        count: number of bins between the region's minimum and maximum (IBSI code K15C).
    """

    width: PositiveFloat | None = Field(None, alias="binWidth")
    count: PositiveInt | None = Field(None, alias="binCount", le=MOST_LEVELS)

    @model_validator(mode="after")
    def _one_of_both(self) -> Binning:
        if (self.width is None) == (self.count is None):
            raise ValueError("give either binWidth or binCount")
        return self


class FilterSettings(_Frozen):
    """One filter with its own binning.

    Attributes:
        kind: which filter.
        sigma_mm: of a Laplacian of Gaussian.
        wavelet: PyWavelets's name.
        binning: of the filtered images.
    """

    kind: Literal["Original", "LoG", "Wavelet"]
    sigma_mm: tuple[PositiveFloat, ...] = ()
    wavelet: str = "coif1"
    binning: Binning

    @field_validator("wavelet")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in pywt.wavelist(kind="discrete"):
            raise ValueError(f"there is no wavelet {name!r}")
        return name


class IbsiSettings(_Frozen):
    """All that decides a value in mode ``ibsi``.

    Attributes:
        spacing_mm: voxel size (x, y, z) to resample to, 0 keeps the scan's; none: no resampling.
        interpolation: of the scan; masks are always interpolated linearly.
        hu: the scan is in HU: refuse what cannot be, and round to whole HU after resampling.
        range_hu: re-segmentation range, both ends included.
        outlier_sigma: leave out what lies more than so many standard deviations from the region's
            mean, whatever the range leaves of it.
        planar: look for texture within axial slices only.
        by_slice: take texture of each slice on its own and average (2D), instead of counting all
            slices together (2.5D); with ``planar``.
        aggregation: average features over directions, or merge the directions' matrices first.
        gldm_tolerance: IBSI's coarseness parameter alpha of the NGLDM.
        label: the mask's label; whoever makes the region knows what to do with it.
        filters: the images to take features of.
        classes: feature names by class, none for all of a class.
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
            raise ValueError("wavelets are three-dimensional; leave them or force2D out")
        return self


_SETTING = {
    "resampledPixelSpacing": "spacing_mm",
    "resegmentRange": "range_hu",
    "force2D": "planar",
    "gldm_a": "gldm_tolerance",
    "label": "label",
}
"""pyradiomics's names of settings, and ours."""
_ADDITIONS = ("hu", "outlier_sigma", "by_slice", "aggregation")


def read(parameters: Mapping[str, Any], additions: Mapping[str, Any]) -> IbsiSettings:
    """Translate a parameter file.

    Args:
        parameters: ``setting``, ``imageType`` and ``featureClass`` as pyradiomics knows them.
        additions: what pyradiomics has no word for: ``hu``, ``outlier_sigma``, ``by_slice``,
            ``aggregation``.

    Raises:
        ValueError: an unknown word, or one that mode ``ibsi`` has no counterpart of.
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
    """Return where a value is wrong, why, and the value."""
    value = error["input"]
    told = "" if isinstance(value, Mapping) else f", not {value!r}"
    return f"{_where(error['loc'], kinds)}: {error['msg']}{told}"


def _where(place: Sequence[int | str], kinds: Sequence[str]) -> str:
    """Return the words of the settings file for where a value is wrong."""
    if not place:
        return "settings"
    first, *rest = place
    if first == "filters" and rest:
        inside = [str(part) for part in rest[1:] if not isinstance(part, int)]
        inside = [{"sigma_mm": "sigma"}.get(part, part) for part in inside if part != "binning"]
        return ".".join(["imageType", kinds[int(rest[0])], *inside])
    if first == "classes":
        return ".".join(map(str, ("featureClass", *rest)))
    named = {ours: theirs for theirs, ours in _SETTING.items()}.get(str(first))
    return f"setting.{named}" if named else ".".join(map(str, ("pancseg.ibsi", *place)))


def _filter(kind: str, own: object, binning: Mapping[str, Any]) -> dict[str, Any]:
    if kind not in ("Original", "LoG", "Wavelet"):
        raise ValueError(f"mode ibsi has no imageType {kind!r}; it has Original, LoG, Wavelet")
    if not isinstance(own, Mapping):
        raise ValueError(f"imageType {kind} must be a mapping, such as {{sigma: [2.0]}}")
    rest = dict(own)
    mine = {k: rest.pop(k) for k in ("binWidth", "binCount") if rest.get(k) is not None}
    found: dict[str, Any] = {"kind": kind, "binning": mine or dict(binning) or {"binWidth": 25}}
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
            raise ValueError(f"featureClass {name} must be a list of features, or nothing for all")
    return {
        n: tuple(f) if f else None for n, f in (wanted or dict.fromkeys(_KNOWN_CLASSES)).items()
    }
