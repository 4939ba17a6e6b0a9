"""Owns which words of a settings file want numbers, and refuses there what is none.

Text in quotes, ``.nan`` and ``true`` are numbers to some. What passes the backends so would fail,
or mean something else, only when a region is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_ONE = frozenset({
    "binCount", "binWidth", "force2Ddimension", "geometryTolerance", "gldm_a", "label",
    "label_channel", "lbp2DRadius", "lbp2DSamples", "lbp3DIcosphereRadius",
    "lbp3DIcosphereSubdivision", "lbp3DLevels", "level", "minimumROIDimensions", "minimumROISize",
    "normalizeScale", "outlier_sigma", "padDistance", "removeOutliers", "start_level",
    "voxelArrayShift",
})  # fmt: skip
_SEVERAL = {
    "distances": (1, math.inf),
    "resampledPixelSpacing": (3, 3),
    "resegmentRange": (1, 2),
    "sigma": (1, math.inf),
}
"""Lists: fewest and most numbers in each."""

_MAY_BE_EMPTY = frozenset({
    "binCount", "geometryTolerance", "label", "minimumROISize", "outlier_sigma", "removeOutliers",
    "resampledPixelSpacing", "resegmentRange",
})  # fmt: skip


def check_numbers(parameters: Mapping[str, Any], additions: Mapping[str, Any]) -> None:
    """Raise ValueError with key and value where a settings file has no number but needs one.

    Args:
        parameters: ``setting``, ``imageType`` and ``featureClass``; what is no mapping is left to
            the backends.
        additions: what stands under ``pancseg.ibsi``.
    """
    for place, values in _places(parameters, additions):
        if isinstance(values, Mapping):
            for key, value in values.items():
                if value is None and key == "binWidth" and values.get("binCount") is not None:
                    continue
                _check(f"{place}.{key}", str(key), value)


def _places(
    parameters: Mapping[str, Any], additions: Mapping[str, Any]
) -> Iterator[tuple[str, object]]:
    yield "setting", parameters.get("setting")
    types = parameters.get("imageType")
    for name, own in types.items() if isinstance(types, Mapping) else ():
        yield f"imageType.{name}", own
    yield "pancseg.ibsi", additions


def _check(place: str, key: str, value: object) -> None:
    if key not in _ONE and key not in _SEVERAL:
        return
    if value is None:
        if key not in _MAY_BE_EMPTY:
            raise ValueError(f"{place} is empty; give a number, or leave it out")
    elif key in _ONE:
        _check_number(place, value)
    elif not isinstance(value, list | tuple):
        raise ValueError(f"{place}: {value!r} is no list of numbers, such as [{value}]")
    else:
        fewest, most = _SEVERAL[key]
        if not fewest <= len(value) <= most:
            wanted = f"{fewest} or more" if most == math.inf else f"{fewest} to {most}"
            wanted = str(fewest) if fewest == most else wanted
            raise ValueError(f"{place}: {value!r} has {len(value)} values and needs {wanted}")
        for each in value:
            _check_number(place, each, endless=key == "resegmentRange")


def _check_number(place: str, value: object, *, endless: bool = False) -> None:
    if isinstance(value, str):
        raise ValueError(f"{place}: {value!r} is text, not a number; {_remedy(value, endless)}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{place}: {value!r} is not a number; give one")
    if math.isnan(value) or (math.isinf(value) and not endless):
        raise ValueError(f"{place}: {value!r} cannot be used; give a finite number")


def _remedy(text: str, endless: bool) -> str:
    """Return what to write instead of a number in quotes."""
    try:
        number = float(text)
    except ValueError:
        return "give a number"
    if math.isnan(number) or (math.isinf(number) and not endless):
        return "give a finite number"
    whole = math.isfinite(number) and number.is_integer()
    return f"write {yaml.safe_dump(int(number) if whole else number).split()[0]}"
