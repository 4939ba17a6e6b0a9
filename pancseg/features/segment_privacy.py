"""Keep the names that a mask's file gives to its segments out of rows under pseudonyms."""

from __future__ import annotations

from collections.abc import Iterable

import SimpleITK as sitk

from pancseg.features.segment_choice import is_named
from pancseg.scans.segment_names import is_known
from pancseg.scans.segments import mark_segments, segments_of


def hide_names(mask: sitk.Image, typed: Iterable[str]) -> None:
    """Note on a label map that names which may be those of people are not shown.

    A name is shown if all its words mean the pancreas or a tumour, or if the user typed it. Which
    segments are chosen does not change.

    Args:
        mask: a label map, changed in place.
        typed: the names in the expressions of its rows.
    """
    if segments := segments_of(mask):
        names = [*typed]
        shown = (
            is_known(s.name) or any(is_named(each, s.name) for each in names) for s in segments
        )
        marked = zip(segments, shown, strict=True)
        mark_segments(mask, [segment._replace(shown=may) for segment, may in marked])
