"""Make one region from a label map: labels, their union or difference, or a ring around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from pancseg.cohort.roi import Labels, Ring, Roi, as_roi
from pancseg.cohort.roi_tokens import quoted
from pancseg.errors import UnusableCase
from pancseg.features.segment_choice import NAME_ONE, Chosen, check_assumed, chosen
from pancseg.scans.arrays import image_like, label_array, voxel_array
from pancseg.scans.bounding_box import box_of
from pancseg.scans.placement import placed
from pancseg.scans.segments import Segment, segments_of

_PANCREAS_AND_TUMOUR = {1, 2}
_ROUNDING_MM = 1e-4
"""Files store spacings as float32; a voxel on a ring's outer edge belongs to the ring."""


class Region(NamedTuple):
    """One region of a label map.

    Attributes:
        image: uint8 mask, 1 inside.
        labels: the label values that it is made of, or that it surrounds.
        made_of: the expression, reduced to these labels, or to the names that the mask's file
            gives them: ``1+2``, ``ring(1,2;5mm)``, ``pancreas+tumour``, ``pancreas without duct``.
        note: what is said of names to leave out that the mask's file does not describe.
    """

    image: sitk.Image
    labels: tuple[int, ...]
    made_of: str
    note: str = ""


def region_of(
    mask: sitk.Image,
    label: int | str | Roi | None,
    scan: sitk.Image | None = None,
    remedy: str = NAME_ONE,
) -> Region:
    """Return the region of a label or an expression, or the only region that a mask can mean.

    Without ``label``, the mask must have a single label, or 1 and 2 (pancreas and tumour), which
    are joined. If its file names its segments (:func:`pancseg.scans.segments.segments_of`), numbers
    mean nothing without a choice: the segments whose names mean the pancreas or its tumour are
    joined. Of the labels that an expression joins, at least one must be present: ``1,2`` in a
    patient without a tumour is ``1``. A name to leave out that the mask's file does not describe is
    told (``note``), and a map without names takes numbers alone.

    A ring holds the voxels whose centres are at most its width, in mm, from the nearest voxel
    centre of its labels (with a tolerance of 1e-4 mm). It takes unlabelled voxels only: the map's
    other labels are never part of it, and they do not block the way to what is behind them. It
    ends at the scan's edge.

    Args:
        mask: a label map.
        label: a label, or an expression as :func:`pancseg.cohort.roi.parse_roi` reads it.
        scan: volume in HU, on whose grid rings are made, and by which they may be clipped.
        remedy: what the message of a mask that could mean several regions tells to do.

    Returns:
        The region in the mask's voxel order (a ring: in the scan's, if there is one).

    Raises:
        UnusableCase: ``not_labels`` for fractional values, ``empty_mask``, ``no_label``,
            ``several_labels`` when a label must be named, or a name fits two segments,
            ``empty_region`` for a ring without voxels, ``geometry`` when a ring is asked for on a
            scan with another grid.
        ValueError: ``label`` is not an expression, or asks for a clipped ring without a scan.
    """
    roi = as_roi(label)
    hu = roi.hu if isinstance(roi, Ring) else None
    if hu and scan is None:
        raise ValueError(f"'{roi}' is clipped by HU; give the scan too")
    if isinstance(roi, Ring) and scan is not None:
        mask = placed(scan, mask).image  # its own grid may end within the ring
    segments, voxels = segments_of(mask), label_array(mask)
    box = box_of(voxels)
    if box is None:
        raise UnusableCase("empty_mask", f"none of the mask's {voxels.size:,} voxels is set")
    present = _labels_in(voxels[box.slices])
    found = _chosen(present, roi, segments, remedy)
    labels = found.values
    if present == (1,) and voxels.dtype == np.uint8 and not isinstance(roi, Ring):
        return Region(mask, labels, found.joined(), found.note)  # 2,000 slices are not copied
    inside = np.zeros(voxels.shape, np.uint8)
    inside[box.slices] = np.isin(voxels[box.slices], labels)
    if not isinstance(roi, Ring):
        return Region(image_like(inside, mask), labels, found.joined(), found.note)
    around = _ring(roi, inside, voxels, mask.GetSpacing()[::-1], scan)
    named = str(replace(roi, around=Labels(None))).replace("all", found.joined(","), 1)
    return Region(image_like(around, mask), labels, named, found.note)


def region_by_settings(
    mask: sitk.Image, label: int | str | Roi | None, settings_label: int | None, scan: sitk.Image
) -> Region:
    """Return the region of a choice, or of the label that the settings name, or the only one.

    Raises:
        UnusableCase: as :func:`region_of`; ``several_labels`` also where the settings' label is a
            segment that the mask's file names as something else than pancreas or tumour.
    """
    if label is None and settings_label is not None:
        check_assumed(segments_of(mask), settings_label)
        label = settings_label
    return region_of(mask, label, scan)


def _labels_in(voxels: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(v) for v in np.unique(voxels) if v)


def _chosen(
    present: tuple[int, ...], roi: Roi | None, segments: tuple[Segment, ...], remedy: str
) -> Chosen:
    """Return the labels of a map that a region is made of, or refuse the map."""
    wanted = roi.around if isinstance(roi, Ring) else roi
    if segments:
        return chosen(segments, present, wanted, remedy)
    listed = ", ".join(map(str, present[:10])) + ", …" * (len(present) > 10)
    if wanted is None:
        if len(present) > 1 and not set(present) <= _PANCREAS_AND_TUMOUR:
            raise UnusableCase(
                "several_labels",
                f"the mask has labels {listed}; {remedy}",
            )
        return Chosen(present, tuple(map(str, present)))
    if wanted.names:
        names = " or ".join(map(quoted, wanted.names))
        raise UnusableCase(
            "no_label",
            f"the mask names no segments, so none is {names}; it has {listed}: give numbers "
            "alone, or put a file of names beside it",
        )
    labels = wanted.among(present)
    if not labels:
        raise UnusableCase("no_label", f"the mask has no label {_either(wanted)}; it has {listed}")
    return Chosen(labels, tuple(map(str, labels)))


def _either(labels: Labels) -> str:
    """Return missing labels as a message names them: ``2``, ``2 or 3``."""
    if labels.included is None:
        return f"other than {', '.join(map(str, labels.without))}"
    return " or ".join(str(label) for label in labels.included if label not in labels.without)


def _ring(
    ring: Ring,
    inside: NDArray[np.uint8],
    voxels: NDArray[Any],
    spacing_mm: Sequence[float],
    scan: sitk.Image | None,
) -> NDArray[np.uint8]:
    """Return a ring around ``inside``; arrays and spacing are (z, y, x), on the scan's grid.

    Distances are computed only in the labels' box, widened by the width of the ring.
    """
    margin = [int(ring.width_mm / side) + 1 for side in spacing_mm]
    box = _slices(inside != 0, margin)
    distance_mm = ndimage.distance_transform_edt(inside[box] == 0, sampling=spacing_mm)
    near = (distance_mm > 0) & (distance_mm <= ring.width_mm + _ROUNDING_MM)
    free = near & (voxels[box] == 0)
    kept = free
    if ring.hu and scan is not None:
        hu = voxel_array(scan)[box]
        kept = free & (hu >= ring.hu[0]) & (hu <= ring.hu[1])
    if not kept.any():
        sides = "×".join(f"{side:.2f}" for side in spacing_mm[::-1])
        counts = f"{near.sum()} voxels of {sides} mm are within it, {free.sum()} without a label"
        none_left = ", none of them in its range of HU" if free.any() else ""
        raise UnusableCase("empty_region", f"{ring} is empty: {counts}{none_left}; widen it")
    around = np.zeros(inside.shape, np.uint8)
    around[box] = kept
    return around


def _slices(inside: NDArray[np.bool_], margin: Sequence[int] = (0, 0, 0)) -> tuple[slice, ...]:
    """Return the slices of the box around set voxels, with a margin clipped to the volume."""
    box = box_of(inside)
    assert box is not None, "an empty region was refused before"
    return box.grown(margin, inside.shape).slices
