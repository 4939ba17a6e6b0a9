"""Settings that pyradiomics has and mode ``pyradiomics`` does not follow, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class _NotFollowed(NamedTuple):
    """One setting: values that ask for what is done anyway, and what is done."""

    usual: tuple[object, ...]
    instead: str


_SETTINGS = {
    "additionalInfo": _NotFollowed((False,), "the table has its own columns for it"),
    "geometryTolerance": _NotFollowed((), "it is always a tenth of a voxel"),
    "label_channel": _NotFollowed((0,), "masks have one channel"),
}


def not_followed(parameters: Mapping[str, Any]) -> list[str]:
    """Return the settings of a parameter file that change nothing, each with what is done instead.

    Args:
        parameters: a pyradiomics parameter file as a dictionary.

    Example:
        >>> not_followed({"setting": {"binWidth": 25, "geometryTolerance": 1e-3}})
        ['geometryTolerance (it is always a tenth of a voxel)']
    """
    setting = parameters.get("setting") or {}
    named = [
        f"{name} ({_SETTINGS[name].instead})"
        for name, value in setting.items()
        if name in _SETTINGS and value is not None and value not in _SETTINGS[name].usual
    ]
    if parameters.get("voxelSetting"):
        named.append("voxelSetting (features are those of whole regions)")
    return named
