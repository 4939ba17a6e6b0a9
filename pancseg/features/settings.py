"""Feature settings: YAML files and presets as frozen objects that refuse unknown keys."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveFloat, field_serializer

from pancseg.features import DEFAULT_PRESET
from pancseg.quality.limits import QualityLimits
from pancseg.system.yaml_file import (
    FrozenModel,
    read_yaml_mapping,
    settings_of,
    shipped_names,
    shipped_or_own,
)


class ThickSlices(FrozenModel):
    """Another resampling grid for scans with thick slices, which hold less detail.

    Attributes:
        above_mm: applies to scans with a slice spacing above this.
        spacing_mm: voxel size (x, y, z) to resample them to.
    """

    above_mm: PositiveFloat
    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat]


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

    @field_serializer("parameters", when_used="json")
    def _without_infinity(self, parameters: dict[str, Any]) -> Any:
        """Write infinity as YAML does, because JSON has none."""
        return _json(parameters)

    @property
    def label(self) -> int | None:
        """The mask label that the parameter file asks for, or None."""
        value = (self.parameters.get("setting") or {}).get("label")
        return None if value is None else int(value)

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

    A file may have one more top-level key, ``pancseg``, with ``mode``, ``thick_slices``, ``ibsi``
    and ``quality``. Without it the file is plain pyradiomics and yields pyradiomics's own values.

    Args:
        name_or_path: name of a preset (:func:`preset_names`), or path of a file.

    Raises:
        FileNotFoundError: there is neither a preset nor a file of that name.
        ValueError: the file is not a YAML mapping, has a key twice, or has an unknown key or an
            impossible value under ``pancseg``.

    Example:
        >>> from pancseg import load_feature_settings
        >>> load_feature_settings("pancreas_ct").mode
        'ibsi'
    """
    name = str(name_or_path)
    is_preset = name in preset_names()
    path = shipped_or_own(name, preset_folder(), "preset")
    what = f"the preset {name}" if is_preset else "the settings file"  # whose path may tell a name
    content = read_yaml_mapping(path, what)
    own = content.pop("pancseg", None) or {}
    additions = settings_of(_Additions, own, what, under=["pancseg"])
    return FeatureSettings(
        name=name if is_preset else "custom",
        mode=additions.mode,
        parameters=content,
        thick_slices=additions.thick_slices,
        ibsi=additions.ibsi,
        quality=additions.quality,
    )
