"""Segments of a mask: their names, and which values of its label map belong to each.

A label map has one value per voxel. Where segments overlap, a value stands for all the segments
that share its voxels, so that one segment may have several values.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.reasons import EvaluationCode, ReasonCode

_SEGMENTS = "pancseg_segments"
"""Metadata key of a label map whose file names its segments."""
_CUT_AT = "pancseg_cut_at"
"""Metadata key of the value from which on fractions count, if a mask was made of fractions."""
MOST_COMBINATIONS = 65_535
"""Values of a label map of overlapping segments."""
_MOST_POSSIBLE = 1 << 24
_Pairs = tuple[tuple[int, int], ...]
"""What a value of a joined map stands for: layers and their values."""


class Problem(NamedTuple):
    """Why a segment cannot be used.

    Attributes:
        code: reason code.
        fact: what is wrong with it, and the remedy, to follow the segment's name.
    """

    code: ReasonCode | EvaluationCode
    fact: str


class Segment(NamedTuple):
    """One segment of a mask.

    Attributes:
        name: as its file gives it; empty if it gives none.
        values: the label values that it has in its layer of the file, mostly one.
        layer: number of the layer, from 0; segments of different layers may overlap.
        inside: values of its voxels in the label map that :func:`pancseg.scans.masks.read_mask`
            returns; without layers the same as ``values``.
        coded: meaning of the code that its file gives it beside its name; empty if it gives none.
        problem: why it has no voxels, although its file describes it; None if nothing is wrong.
        shown: whether messages and tables may name it; else they give its number.
    """

    name: str
    values: tuple[int, ...]
    layer: int = 0
    inside: tuple[int, ...] = ()
    coded: str = ""
    problem: Problem | None = None
    shown: bool = True


def mark_segments(mask: sitk.Image, segments: Iterable[Segment]) -> None:
    """Note on a label map which segments its file names."""
    mask.SetMetaData(_SEGMENTS, json.dumps(list(segments)))


def segments_of(mask: sitk.Image) -> tuple[Segment, ...]:
    """Return the segments that a label map's file names; empty if it names none.

    >>> mask = sitk.Image(2, 2, 2, sitk.sitkUInt8)
    >>> mark_segments(mask, [Segment("pancreas", (1,), inside=(1,))])
    >>> [segment.name for segment in segments_of(mask)]
    ['pancreas']
    """
    if not mask.HasMetaDataKey(_SEGMENTS):
        return ()
    found: list[Any] = json.loads(mask.GetMetaData(_SEGMENTS))
    return tuple(
        Segment(
            name,
            tuple(values),
            layer,
            tuple(inside),
            coded,
            Problem(*problem) if problem else None,
            shown,
        )
        for name, values, layer, inside, coded, problem, shown in found
    )


def mark_cut(mask: sitk.Image, least: int, most: int) -> None:
    """Note on a label map that its file holds fractions, of which those from ``least`` on count."""
    mask.SetMetaData(_CUT_AT, f"{least} of {most}")


def cut_at(mask: sitk.Image) -> str:
    """Return from which value on fractions count, as ``128 of 255``; empty for other masks."""
    return str(mask.GetMetaData(_CUT_AT)) if mask.HasMetaDataKey(_CUT_AT) else ""


def in_one_map(
    layers: Sequence[NDArray[Any]], segments: Sequence[Segment]
) -> tuple[NDArray[Any], list[Segment]]:
    """Return one label map of all layers, and the segments with their values in it.

    Args:
        layers: label maps ``(z, y, x)`` of whole numbers.
        segments: what the values mean; values that belong to none become segments without a name.

    Returns:
        The map, and all segments. A single layer is returned as it is; otherwise each combination
        of segments that occurs has one value, from 1.

    Raises:
        UnusableCase: ``several_labels``, for more combinations than a label map can have values.
    """
    if len(layers) == 1:
        return layers[0], [each._replace(inside=each.values) for each in segments]
    codes = np.zeros(layers[0].shape, np.uint16)
    meaning: list[_Pairs] = [()]
    for number, layer in enumerate(layers):
        meaning = _joined(codes, meaning, layer, number)
    known = {(each.layer, value) for each in segments for value in each.values}
    unnamed = {pair for pairs in meaning for pair in pairs} - known
    every = [*segments, *(Segment("", (value,), layer) for layer, value in sorted(unnamed))]
    return codes, [each._replace(inside=_codes_of(each, meaning)) for each in every]


def _joined(
    codes: NDArray[np.uint16], meaning: list[_Pairs], layer: NDArray[Any], number: int
) -> list[_Pairs]:
    """Change the codes of earlier layers to those of all layers, and return what they mean.

    Code 0 always means the background.
    """
    values = np.unique(np.concatenate([[0], *map(np.unique, layer)]))
    count = len(values)
    if len(meaning) * count > _MOST_POSSIBLE:
        raise too_many_combinations(len(meaning) * count)
    background = int(np.searchsorted(values, 0))
    seen = np.zeros(len(meaning) * count, bool)
    for plane, added in zip(codes, layer, strict=True):
        seen[plane.astype(np.int64) * count + np.searchsorted(values, added)] = True
    seen[background] = False
    found = [background, *np.flatnonzero(seen).tolist()]
    if len(found) > MOST_COMBINATIONS:
        raise too_many_combinations(len(found))
    code_of = np.zeros(len(seen), np.uint16)
    code_of[found] = np.arange(len(found))
    for plane, added in zip(codes, layer, strict=True):
        plane[:] = code_of[plane.astype(np.int64) * count + np.searchsorted(values, added)]
    split = (divmod(each, count) for each in found)
    return [
        (*meaning[before], *(((number, int(values[w])),) if values[w] else ()))
        for before, w in split
    ]


def _codes_of(segment: Segment, meaning: list[_Pairs]) -> tuple[int, ...]:
    pairs = {(segment.layer, value) for value in segment.values}
    return tuple(code for code, these in enumerate(meaning) if pairs & set(these))


def too_many_combinations(count: int) -> UnusableCase:
    """Return the refusal of a mask whose segments overlap in too many ways."""
    return UnusableCase(
        "several_labels",
        f"the segments of the mask overlap in up to {count:,} ways; save fewer",
    )
