"""Feature settings: YAML files and presets as frozen objects that refuse unknown keys."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, PositiveFloat, ValidationError, field_serializer

from pancseg.quality.limits import QualityLimits
from pancseg.system.yaml_file import Yaml12Loader

DEFAULT_PRESET = "pancreas_ct"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


class ThickSlices(_Frozen):
    """Another resampling grid for scans with thick slices, which hold less detail.

    Attributes:
        above_mm: applies to scans with a slice spacing above this.
        spacing_mm: voxel size (x, y, z) to resample them to.
    """

    above_mm: PositiveFloat
    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class FeatureSettings(_Frozen):
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
    """

    name: str
    mode: str = "pyradiomics"
    parameters: dict[str, Any]
    thick_slices: ThickSlices | None = None
    ibsi: dict[str, Any] = {}
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


class _Additions(_Frozen):
    """The ``pancseg`` key of a settings file: every setting that pyradiomics does not know."""

    mode: str = "pyradiomics"
    thick_slices: ThickSlices | None = None
    ibsi: dict[str, Any] = {}
    quality: QualityLimits = QualityLimits()


def preset_folder() -> Path:
    """Return the folder with the shipped presets, installed or in a source checkout."""
    package = Path(__file__).parents[1]
    installed = package / "radiomics_cfg"
    return installed if installed.is_dir() else package.parent / "radiomics_cfg"


def preset_names() -> list[str]:
    """Return the names of the shipped presets."""
    return sorted(path.stem for path in preset_folder().glob("*.yaml"))


def load_feature_settings(name_or_path: str | Path = DEFAULT_PRESET) -> FeatureSettings:
    """Load a preset by name, or any pyradiomics parameter file (YAML or JSON) by path.

    A file may carry one more top-level key, ``pancseg``, with ``mode``, ``thick_slices`` and
    ``ibsi``; without it the file is plain pyradiomics and gives pyradiomics's own numbers.

    Raises:
        FileNotFoundError: neither a preset nor a file.
        ValueError: not a mapping, or an unknown or impossible value under ``pancseg``.
    """
    name = str(name_or_path)
    is_preset = name in preset_names()
    path = preset_folder() / f"{name}.yaml" if is_preset else Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no such preset or file; presets are {', '.join(preset_names())}, or give a YAML file"
        )
    what = f"the preset {name}" if is_preset else "the settings file"  # whose path may tell a name
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Yaml12Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{what} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{what} holds no settings (a mapping is expected)")
    if others := [key for key in content if not isinstance(key, str)]:
        raise ValueError(f"{what}: {others[0]!r} is no key of settings; keys are words")
    try:
        additions = _Additions.model_validate(content.pop("pancseg", None) or {})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, ('pancseg', *e['loc'])))}: {e['msg']}" for e in error.errors()
        )
        raise ValueError(f"{what}: {problems}") from error
    return FeatureSettings(
        name=name if is_preset else "custom",
        mode=additions.mode,
        parameters=content,
        thick_slices=additions.thick_slices,
        ibsi=additions.ibsi,
        quality=additions.quality,
    )
