"""Read the segments that 3D Slicer describes in the header of a ``.seg.nrrd`` file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pancseg.errors import UnusableCase
from pancseg.scans.segments import Segment

_KEY = re.compile(r"Segment([0-9]{1,5})_(Name|LabelValue|Layer)")
_WHOLE = re.compile(r"[0-9]{1,9}")


def segments_in(keys: Mapping[str, str], layers: int) -> tuple[Segment, ...]:
    """Return the segments of a header's key/value pairs; empty if it describes none.

    Before Slicer 4.11 every segment had a layer of its own, with the value 1 (``LabelValue`` and
    ``Layer`` are missing then).

    Args:
        keys: the text of each key.
        layers: number of layers of the file's voxels.

    Raises:
        UnusableCase: ``unreadable``, for a value or layer that cannot be.

    >>> found = segments_in({"Segment0_Name": "pancreas", "Segment0_LabelValue": "2"}, 1)
    >>> [(each.name, each.values) for each in found]
    [('pancreas', (2,))]
    """
    found: dict[int, dict[str, str]] = {}
    for key, text in keys.items():
        if match := _KEY.fullmatch(key.strip()):
            found.setdefault(int(match[1]), {})[match[2]] = text.strip()
    own_layers = layers == len(found) and not any("Layer" in each for each in found.values())
    segments = []
    for place, number in enumerate(sorted(found)):
        about = found[number]
        value = about.get("LabelValue") or "1"
        layer = about.get("Layer") or (str(place) if own_layers else "0")
        if not _WHOLE.fullmatch(value) or int(value) < 1:
            raise _impossible(f"LabelValue of segment {number} is no label")
        if not _WHOLE.fullmatch(layer) or int(layer) >= layers:
            raise _impossible(f"Layer of segment {number} is none of the {layers} in the file")
        segments.append(Segment(_as_utf_8(about.get("Name", "")), (int(value),), int(layer)))
    return tuple(segments)


def _as_utf_8(text: str) -> str:
    """Return a name that was decoded from Latin-1 as UTF-8, if it is that."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _impossible(why: str) -> UnusableCase:
    return UnusableCase("unreadable", f"the mask's header is wrong: {why}; save it again in Slicer")
