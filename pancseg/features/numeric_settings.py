"""Check that a settings file has numbers under the keys that need them, and possible ones.

Some libraries take quoted text, ``.nan`` and ``true`` for numbers. Such a value would pass the
backends' own checks, and fail or mean something else only when a region is measured. So would a
number that fills the memory or never ends; the ranges are far wider than any published protocol.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pancseg.system.ranges import span
from pancseg.system.text.excerpt import excerpt

SPACING_MM = (0.001, 1000.0)
"""The smallest and the largest possible voxel side."""

_SINGLE = frozenset({
    "binCount", "binWidth", "force2Ddimension", "geometryTolerance", "gldm_a", "initValue",
    "kernelRadius", "label", "label_channel", "lbp2DRadius", "lbp2DSamples", "lbp3DIcosphereRadius",
    "lbp3DIcosphereSubdivision", "lbp3DLevels", "level", "minimumROIDimensions", "minimumROISize",
    "normalizeScale", "outlier_sigma", "padDistance", "removeOutliers", "start_level",
    "voxelArrayShift", "voxelBatch",
})  # fmt: skip
_LISTS = {
    "distances": (1, 20),
    "resampledPixelSpacing": (3, 3),
    "resegmentRange": (1, 2),
    "sigma": (1, 100),
}
"""Keys of lists, with the smallest and the largest number of values."""
_MM = {"resampledPixelSpacing": "mm, or 0 for the scan's", "sigma": "mm"}
_RANGES: dict[str, tuple[float, float]] = {
    "binCount": (1, 10_000),
    "binWidth": (1e-6, 10**9),
    "distances": (1, 20),
    "force2Ddimension": (0, 2),
    "kernelRadius": (1, 100),
    "label": (1, 2**31 - 1),
    "lbp2DRadius": (0.01, 1000),
    "lbp2DSamples": (1, 1000),
    "lbp3DIcosphereRadius": (0.01, 1000),
    "lbp3DIcosphereSubdivision": (0, 6),
    "lbp3DLevels": (1, 50),
    "level": (1, 20),
    "minimumROIDimensions": (1, 3),
    "normalizeScale": (1e-9, 10**9),
    "padDistance": (0, 10_000),
    "resampledPixelSpacing": SPACING_MM,
    "resegmentRange": (-1e300, 1e300),
    "sigma": (0.01, 1000),
    "start_level": (0, 20),
}
"""The smallest and the largest value of keys on which time and memory depend."""
_LISTED = 6
"""A message shows a list of up to so many values."""
_LARGEST = 10**12
"""The largest value of any other key."""

_MAY_BE_ZERO = frozenset({"resampledPixelSpacing"})
_MAY_BE_EMPTY = frozenset({
    "binCount", "geometryTolerance", "label", "minimumROISize", "outlier_sigma", "removeOutliers",
    "resampledPixelSpacing", "resegmentRange",
})  # fmt: skip


def check_sections(parameters: Mapping[str, Any]) -> None:
    """Raise ValueError where a parameter file cannot even be described: before it is checked.

    Args:
        parameters: the keys of a parameter file at its top level.
    """
    for section in ("setting", "featureClass", "imageType", "voxelSetting"):
        value = parameters.get(section)
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(
                f"{section}: {excerpt(repr(value))} is no settings (expected 'key: value' lines "
                "under it)"
            )
    setting = parameters.get("setting") or {}
    for key in ("label", "resegmentRange"):  # which the plan of a run looks at
        _check(f"setting.{key}", key, setting.get(key))
    if (label := setting.get("label")) is not None and label != int(label):
        raise ValueError(f"setting.label: {label!r} is not a whole number; give one")


def check_numbers(parameters: Mapping[str, Any], additions: Mapping[str, Any]) -> None:
    """Raise ValueError, with key and value, where a settings file needs a number and has none.

    Args:
        parameters: ``setting``, ``imageType`` and ``featureClass``; anything that is not a mapping
            is left to the backends.
        additions: the keys under ``pancseg.ibsi``.
    """
    for section, values in _sections(parameters, additions):
        if isinstance(values, Mapping):
            for key, value in values.items():
                if value is None and key == "binWidth" and values.get("binCount") is not None:
                    continue
                _check(f"{section}.{key}", str(key), value)


def _sections(
    parameters: Mapping[str, Any], additions: Mapping[str, Any]
) -> Iterator[tuple[str, object]]:
    for section in ("setting", "voxelSetting"):
        yield section, parameters.get(section)
    types = parameters.get("imageType")
    for name, own in types.items() if isinstance(types, Mapping) else ():
        yield f"imageType.{name}", own
    yield "pancseg.ibsi", additions


def _check(path: str, key: str, value: object) -> None:
    if key not in _SINGLE and key not in _LISTS:
        return
    if value is None:
        if key not in _MAY_BE_EMPTY:
            raise ValueError(f"{path} is empty; give a number, or leave it out")
    elif key in _SINGLE:
        _check_number(path, key, value)
    elif not isinstance(value, list | tuple):
        raise ValueError(f"{path}: {value!r} is not a list of numbers; write [{value}]")
    else:
        fewest, most = _LISTS[key]
        if not fewest <= len(value) <= most:
            expected = str(fewest) if fewest == most else f"{fewest}–{most}"
            listed = repr(value) if len(value) <= _LISTED else f"a list from {value[0]!r}"
            raise ValueError(f"{path}: {listed} has {len(value)} values, expected {expected}")
        for each in value:
            _check_number(path, key, each)


def _check_number(path: str, key: str, value: object) -> None:
    may_be_infinite = key == "resegmentRange"
    if isinstance(value, str):
        remedy = _remedy(value, may_be_infinite)
        raise ValueError(f"{path}: {value!r} is text, not a number; {remedy}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{path}: {value!r} is not a number; give one")
    if value != value or (value in (math.inf, -math.inf) and not may_be_infinite):
        raise ValueError(f"{path}: {value!r} cannot be used; give a finite number")
    low, high = _RANGES.get(key, (-_LARGEST, _LARGEST))
    exempt = (value == 0 and key in _MAY_BE_ZERO) or value in (math.inf, -math.inf)
    if not low <= value <= high and not exempt:
        expected = span(low, high, _MM.get(key, ""))
        raise ValueError(f"{path}: {_shown(value)} is out of range (expected {expected})")


def _shown(value: float) -> str:
    """Return a number in few characters, however many digits a whole number has."""
    try:
        return f"{value:g}" if abs(value) >= 1e9 else repr(value)
    except OverflowError:
        return f"{'-' * (value < 0)}1e+{int(math.log10(abs(value)))}"


def _remedy(text: str, may_be_infinite: bool) -> str:
    """Return what to write instead of a number in quotes."""
    try:
        number = float(text)
    except ValueError:
        return "give a number"
    if math.isnan(number) or (math.isinf(number) and not may_be_infinite):
        return "give a finite number"
    whole = math.isfinite(number) and number.is_integer()
    return f"write {yaml.safe_dump(int(number) if whole else number).split()[0]}"
