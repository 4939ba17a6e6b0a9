"""Check that a settings file has numbers under the keys that need them.

Some libraries take quoted text, ``.nan`` and ``true`` for numbers. Such a value would pass the
backends' own checks, and fail or mean something else only when a region is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_SINGLE = frozenset({
    "binCount", "binWidth", "force2Ddimension", "geometryTolerance", "gldm_a", "label",
    "label_channel", "lbp2DRadius", "lbp2DSamples", "lbp3DIcosphereRadius",
    "lbp3DIcosphereSubdivision", "lbp3DLevels", "level", "minimumROIDimensions", "minimumROISize",
    "normalizeScale", "outlier_sigma", "padDistance", "removeOutliers", "start_level",
    "voxelArrayShift",
})  # fmt: skip
_LISTS = {
    "distances": (1, math.inf),
    "resampledPixelSpacing": (3, 3),
    "resegmentRange": (1, 2),
    "sigma": (1, math.inf),
}
"""Keys of lists, with the smallest and the largest number of values."""

_MAY_BE_EMPTY = frozenset({
    "binCount", "geometryTolerance", "label", "minimumROISize", "outlier_sigma", "removeOutliers",
    "resampledPixelSpacing", "resegmentRange",
})  # fmt: skip


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
    yield "setting", parameters.get("setting")
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
        _check_number(path, value)
    elif not isinstance(value, list | tuple):
        raise ValueError(f"{path}: {value!r} is not a list of numbers; write [{value}]")
    else:
        fewest, most = _LISTS[key]
        if not fewest <= len(value) <= most:
            expected = f"at least {fewest}" if most == math.inf else f"{fewest}–{most}"
            expected = str(fewest) if fewest == most else expected
            raise ValueError(f"{path}: {value!r} has {len(value)} values, expected {expected}")
        for each in value:
            _check_number(path, each, may_be_infinite=key == "resegmentRange")


def _check_number(path: str, value: object, *, may_be_infinite: bool = False) -> None:
    if isinstance(value, str):
        remedy = _remedy(value, may_be_infinite)
        raise ValueError(f"{path}: {value!r} is text, not a number; {remedy}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{path}: {value!r} is not a number; give one")
    if math.isnan(value) or (math.isinf(value) and not may_be_infinite):
        raise ValueError(f"{path}: {value!r} cannot be used; give a finite number")


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
