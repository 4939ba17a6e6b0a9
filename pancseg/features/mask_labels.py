"""List what is in a mask file: its labels or segments, and which are taken without a choice."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.features.regions import region_of
from pancseg.features.segment_choice import chosen
from pancseg.scans.arrays import label_array
from pancseg.scans.masks import dicom_mask, named_segments, read_mask
from pancseg.scans.segments import Segment, segments_of
from pancseg.system.text.excerpt import excerpt


class MaskLabel(NamedTuple):
    """One label or segment of a mask.

    Attributes:
        name: as the mask's file gives it, shortened, and the meaning of its code in brackets where
            that says more; empty if it gives none.
        values: its label values in the file, mostly one.
        layer: its layer in the file, from 0.
        voxels: number of its voxels; None for contours, which have none without a scan.
        volume_ml: their volume in mL, or None.
    """

    name: str
    values: tuple[int, ...]
    layer: int
    voxels: int | None
    volume_ml: float | None


class MaskLabels(NamedTuple):
    """The labels of a mask.

    Attributes:
        labels: in the order of the file's description, then those that it does not describe.
        named: whether the file, or one beside it, names segments.
        taken: what is measured without a choice; empty if that is refused.
        refused: why a choice is needed; empty if it is not.
    """

    labels: list[MaskLabel]
    named: bool
    taken: str = ""
    refused: str = ""


def mask_labels(path: str | os.PathLike[str]) -> MaskLabels:
    """Return what is in a mask file.

    Args:
        path: a volume file, such as 3D Slicer's ``.seg.nrrd``, or a DICOM SEG or RTSTRUCT.

    Raises:
        UnusableCase: the file cannot be read as labels.

    Example:
        >>> from pancseg.features.mask_labels import mask_labels
        >>> [(each.values, round(each.volume_ml)) for each in mask_labels("mask.nii.gz").labels]
        [((1,), 64)]
    """
    path = Path(path)
    if (found := dicom_mask(path)) and found.kind == "RTSTRUCT":
        return _contour_labels(named_segments(path))
    mask = read_mask(path)
    counts = _counts(mask)
    segments = segments_of(mask)
    covered = {value for each in segments for value in each.inside}
    loose = [Segment("", (n,), 0, (n,)) for n in counts if n not in covered]
    voxel_ml = math.prod(mask.GetSpacing()) / 1000
    labels = [_label(each, counts, voxel_ml) for each in (*segments, *loose)]
    return MaskLabels(labels, bool(segments), *_taken(lambda: region_of(mask, None).made_of))


def table_of(labels: Sequence[MaskLabel]) -> list[str]:
    """Return lines of a table of labels: number, layer, voxels, volume and name."""
    head = ("number", "layer", "voxels", "mL", "name")
    rows = [
        (
            "+".join(map(str, each.values)),
            str(each.layer),
            "–" if each.voxels is None else f"{each.voxels:,}",
            "–" if each.volume_ml is None else f"{each.volume_ml:.2f}",
            each.name or "(none)",
        )
        for each in labels
    ]
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head) - 1)]
    return [
        "  ".join([*(cell.rjust(w) for cell, w in zip(row, widths, strict=False)), row[-1]])
        for row in (head, *rows)
    ]


def _contour_labels(segments: Sequence[Segment]) -> MaskLabels:
    """Return the regions of an RTSTRUCT; which of them have voxels, only a scan can tell."""
    labels = [MaskLabel(_shown(each), each.values, each.layer, None, None) for each in segments]
    drawn = [each._replace(inside=(n,)) for n, each in enumerate(segments)]
    present = range(len(drawn))
    return MaskLabels(labels, True, *_taken(lambda: chosen(drawn, present, None).joined()))


def _taken(made_of: Callable[[], str]) -> tuple[str, str]:
    """Return what is measured without a choice, and why a choice is needed; one is empty."""
    try:
        return made_of(), ""
    except UnusableCase as unusable:
        return "", f"{unusable.code}: {unusable.fact}"


def _shown(segment: Segment) -> str:
    name, coded = excerpt(segment.name.strip()), excerpt(segment.coded.strip())
    if coded and coded.casefold() != name.casefold():
        return f"{name} ({coded})".lstrip()
    return name


def _label(segment: Segment, counts: dict[int, int], voxel_ml: float) -> MaskLabel:
    voxels = sum(counts.get(value, 0) for value in segment.inside)
    return MaskLabel(_shown(segment), segment.values, segment.layer, voxels, voxels * voxel_ml)


def _counts(mask: sitk.Image) -> dict[int, int]:
    """Return label → number of voxels."""
    counts: dict[int, int] = {}
    for plane in label_array(mask):
        for value, count in zip(*np.unique(plane, return_counts=True), strict=True):
            if value:
                counts[int(value)] = counts.get(int(value), 0) + int(count)
    return dict(sorted(counts.items()))
