"""Feature settings: YAML files and presets as frozen objects that refuse unknown keys."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import SimpleITK as sitk
from pydantic import Field, PositiveFloat, field_serializer

from pancseg.features import DEFAULT_PRESET
from pancseg.features.extending import OWN, read_extended
from pancseg.features.numeric_settings import SPACING_MM, check_sections
from pancseg.features.pyradiomics.not_followed import not_followed
from pancseg.quality.limits import QualityLimits
from pancseg.scans.geometry import axes_of, slice_spacing_mm
from pancseg.scans.placement import PlacedMask, placed
from pancseg.system.ranges import within
from pancseg.system.text.excerpt import excerpt
from pancseg.system.yaml_file import (
    FrozenModel,
    settings_of,
    shipped_names,
    shipped_or_own,
)

_LONGEST_MESSAGE = 300
_SideMm = Annotated[PositiveFloat, within(*SPACING_MM, "mm")]


class ThickSlices(FrozenModel):
    """Another resampling grid for scans with thick slices, which hold less detail.

    Attributes:
        above_mm: applies to scans with a slice spacing above this.
        spacing_mm: voxel size (x, y, z) to resample them to.
    """

    above_mm: _SideMm
    spacing_mm: tuple[_SideMm, _SideMm, _SideMm]


class FeatureSettings(FrozenModel):
    """How features are computed: a pyradiomics parameter file, and what pancseg adds to it.

    Attributes:
        name: the preset's name, or ``custom``.
        mode: a key of ``features.extract.BACKENDS``: ``ibsi`` or ``pyradiomics``.
        parameters: the pyradiomics parameter file, unchanged (``imageType``, ``featureClass``,
            ``setting``, ``voxelSetting``).
        thick_slices: grid for thick slices; None means one grid for all.
        ibsi: keys that only the mode ``ibsi`` understands: ``hu``, ``outlier_sigma``,
            ``by_slice``, ``aggregation``.
        quality: limits of the verdict on scans and masks.
        extends: name of the preset that a file extends, or ``a file``; empty if it extends nothing.

    Example:
        >>> from pancseg import FeatureSettings
        >>> settings = FeatureSettings(name="mine", parameters={"setting": {"binWidth": 25}})
        >>> settings.mode
        'pyradiomics'
    """

    name: str
    mode: str = "pyradiomics"
    parameters: dict[str, Any]
    thick_slices: ThickSlices | None = None
    ibsi: dict[str, Any] = Field(default_factory=dict)
    quality: QualityLimits = QualityLimits()
    extends: str = ""

    @field_serializer("parameters", when_used="json")
    def _without_infinity(self, parameters: dict[str, Any]) -> Any:
        """Write infinity as YAML does, because JSON has none."""
        return _json(parameters)

    @property
    def described(self) -> str:
        """What these settings are, without any path: ``pancreas_ct``, ``a file extending …``."""
        named = self.name if self.name in preset_names() else "a file"
        return f"{named} extending {self.extends}" if self.extends else named

    @property
    def not_followed(self) -> list[str]:
        """The settings of pyradiomics that change nothing here, each with what is done instead."""
        return not_followed(self.parameters)

    @property
    def limits(self) -> QualityLimits:
        """The limits of the verdict; what re-segmentation removes is no failure.

        Whether enough of the region is left for the features is judged by ``resegmented_share``.
        """
        setting = self.parameters.get("setting") or {}
        kept = setting.get("resegmentRange") or ()
        absolute = setting.get("resegmentMode", "absolute") == "absolute"
        if len(kept) < 2 or not absolute or max(kept) > self.quality.dense_above_hu:
            return self.quality
        return self.quality.model_copy(update={"dense_share": self.quality.dense_share.advising})

    @property
    def label(self) -> int | None:
        """The mask label that the parameter file asks for, or None."""
        value = (self.parameters.get("setting") or {}).get("label")
        return None if value is None else int(value)

    def placed(self, scan: sitk.Image, mask: sitk.Image) -> PlacedMask:
        """Return a mask on the scan's grid, or as it is if pyradiomics will resample it.

        pyradiomics takes masks on other grids with ``correctMask``, or when scan and mask are
        resampled anyway. With ``correctMask`` it resamples along the mask's axes.

        Raises:
            UnusableCase: ``geometry``.
        """
        setting = self.parameters.get("setting") or {}
        corrected = self.mode == "pyradiomics" and bool(setting.get("correctMask"))
        if corrected and axes_of(mask) != axes_of(scan):
            return PlacedMask(mask)
        grid = setting.get("interpolator", True) and self.resampled_mm(slice_spacing_mm(scan))
        resampled = self.mode == "pyradiomics" and bool(corrected or grid)
        found = placed(scan, mask, resampled=resampled)
        return PlacedMask(found.image) if corrected else found

    def resampled_mm(self, slice_spacing_mm: float) -> list[float] | None:
        """Return the voxel size (x, y, z) that a scan is resampled to; None: not resampled."""
        if self.thick_slices and slice_spacing_mm > self.thick_slices.above_mm:
            return list(self.thick_slices.spacing_mm)
        spacing = (self.parameters.get("setting") or {}).get("resampledPixelSpacing")
        return None if not spacing else [float(s) for s in spacing]


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    if isinstance(value, float) and math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    return value


class _Additions(FrozenModel):
    """The ``pancseg`` key of a settings file: every setting that pyradiomics does not know."""

    mode: str = "pyradiomics"
    thick_slices: ThickSlices | None = None
    ibsi: dict[str, Any] = Field(default_factory=dict)
    quality: QualityLimits = QualityLimits()


def as_feature_settings(settings: FeatureSettings | str | Path) -> FeatureSettings:
    """Return settings that are loaded: themselves, or those of a preset's name or a file."""
    if isinstance(settings, FeatureSettings):
        return settings
    if not isinstance(settings, str | Path):
        kind = type(settings).__name__
        raise TypeError(f"{kind} is not settings; give a preset's name, a file or FeatureSettings")
    return load_feature_settings(settings)


def preset_folder() -> Path:
    """Return the folder with the shipped presets, installed or in a source checkout."""
    package = Path(__file__).parents[1]
    installed = package / "radiomics_cfg"
    return installed if installed.is_dir() else package.parent / "radiomics_cfg"


def preset_names() -> list[str]:
    """Return the names of the shipped presets.

    Example:
        >>> from pancseg import preset_names
        >>> "pancreas_ct" in preset_names()
        True
    """
    return shipped_names(preset_folder())


def load_feature_settings(name_or_path: str | Path = DEFAULT_PRESET) -> FeatureSettings:
    """Load a preset by name, or any pyradiomics parameter file (YAML or JSON) by path.

    A file may have two more top-level keys: ``pancseg``, with ``mode``, ``thick_slices``, ``ibsi``
    and ``quality``, and ``extends``, the name of a preset or of a file in the same folder, whose
    settings it changes. Mappings are merged key by key; other values replace those of the base, as
    do ``featureClass`` and ``imageType`` as a whole. A file with nothing but limits (``quality``)
    extends the default preset. A file without both keys is plain pyradiomics and yields
    pyradiomics's own values.

    Args:
        name_or_path: name of a preset (:func:`preset_names`), or path of a file.

    Raises:
        FileNotFoundError: there is neither a preset nor a file of that name.
        ValueError: the file is not a YAML mapping, has a key twice, extends something that does not
            exist, or has an unknown key or an impossible value under ``pancseg``; or a section of
            pyradiomics's, such as ``setting``, is not a mapping, or ``label`` not a whole number.

    Example:
        >>> from pancseg import load_feature_settings
        >>> load_feature_settings("pancreas_ct").mode
        'ibsi'
    """
    name = str(name_or_path)
    is_preset = name in preset_names()
    path = shipped_or_own(name, preset_folder(), "preset")
    what = f"the preset {name}" if is_preset else "the settings file"  # whose path may tell a name
    content, base = read_extended(path, what, preset_folder())
    own = content.pop(OWN, None) or {}
    if not isinstance(own, dict):
        raise ValueError(f"{what}: {OWN} holds no settings (expected 'key: value' lines under it)")
    try:
        check_sections(content)
    except ValueError as error:
        raise ValueError(f"{what}: {excerpt(error, _LONGEST_MESSAGE)}") from error
    additions = settings_of(_Additions, own, what, under=[OWN])
    return FeatureSettings(
        name=name if is_preset else "custom",
        mode=additions.mode,
        parameters=content,
        thick_slices=additions.thick_slices,
        ibsi=additions.ibsi,
        quality=additions.quality,
        extends=base,
    )
