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
from pancseg.errors import UnusableCase
from pancseg.scans.arrays import image_like, label_array, voxel_array
from pancseg.scans.bounding_box import box_of
from pancseg.scans.geometry import on_grid_of

_PANCREAS_AND_TUMOUR = {1, 2}
_ROUNDING_MM = 1e-4
"""Files store spacings as float32; a voxel on a ring's outer edge belongs to the ring."""


class Region(NamedTuple):
    """One region of a label map.

    Attributes:
        image: uint8 mask, 1 inside.
        labels: the label values that it is made of, or that it surrounds.
        made_of: the expression, reduced to these labels: ``1+2``, ``ring(1,2;5mm)``.
    """

    image: sitk.Image
    labels: tuple[int, ...]
    made_of: str


def region_of(
    mask: sitk.Image, label: int | str | Roi | None, scan: sitk.Image | None = None
) -> Region:
    """Return the region of a label or an expression, or the only region that a mask can mean.

    Without ``label``, the mask must have a single label, or 1 and 2 (pancreas and tumour), which
    are joined. Of the labels that an expression names, at least one must be present: ``1,2`` in a
    patient without a tumour is ``1``.

    A ring holds the voxels whose centres are at most its width, in mm, from the nearest voxel
    centre of its labels (with a tolerance of 1e-4 mm). It takes unlabelled voxels only: the map's
    other labels are never part of it, and they do not block the way to what is behind them. It
    ends at the scan's edge.

    Args:
        mask: a label map.
        label: a label, or an expression as :func:`pancseg.cohort.roi.parse_roi` reads it.
        scan: volume in HU on the same grid, for rings that are clipped to a range of HU.

    Returns:
        The region in the mask's voxel order (a clipped ring: in the scan's).

    Raises:
        UnusableCase: ``not_labels`` for fractional values, ``empty_mask``, ``no_label``,
            ``several_labels`` when a label must be named, ``empty_region`` for a ring without
            voxels, ``geometry`` when a ring is clipped by a scan on another grid.
        ValueError: ``label`` is not an expression, or asks for a clipped ring without a scan.
    """
    roi = as_roi(label)
    hu = roi.hu if isinstance(roi, Ring) else None
    if hu and scan is None:
        raise ValueError(f"'{roi}' is clipped by HU; give the scan too")
    if hu and scan is not None:
        mask = on_grid_of(scan, mask)
    voxels = label_array(mask)
    box = box_of(voxels)
    if box is None:
        raise UnusableCase("empty_mask", f"none of the mask's {voxels.size} voxels is set")
    present = _labels_in(voxels[box.slices])
    labels = _labels_of(present, roi)
    if present == (1,) and voxels.dtype == np.uint8 and not isinstance(roi, Ring):
        return Region(mask, labels, "1")  # not copied: 2,000 slices are half a gigabyte
    inside = np.zeros(voxels.shape, np.uint8)
    inside[box.slices] = np.isin(voxels[box.slices], labels)
    if not isinstance(roi, Ring):
        return Region(image_like(inside, mask), labels, "+".join(map(str, labels)))
    ring = replace(roi, around=Labels(labels))
    around = _ring(ring, inside, voxels, mask.GetSpacing()[::-1], scan)
    return Region(image_like(around, mask), labels, str(ring))


def _labels_in(voxels: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(v) for v in np.unique(voxels) if v)


def _labels_of(present: tuple[int, ...], roi: Roi | None) -> tuple[int, ...]:
    """Return the labels of a map that a region is made of, or refuse the map."""
    listed = ", ".join(map(str, present[:10])) + ", …" * (len(present) > 10)
    if roi is None:
        if len(present) > 1 and not set(present) <= _PANCREAS_AND_TUMOUR:
            raise UnusableCase(
                "several_labels",
                f"the mask has labels {listed}; name one by mask_label, `label` or `roi`",
            )
        return present
    wanted = roi.around if isinstance(roi, Ring) else roi
    labels = wanted.among(present)
    if not labels:
        raise UnusableCase("no_label", f"the mask has no label {_either(wanted)}; it has {listed}")
    return labels


def _either(labels: Labels) -> str:
    """Return missing labels as a message names them: ``2``, ``2 or 3``."""
    if labels.included is None:
        return f"other than {', '.join(map(str, labels.without))}"
    return " or ".join(map(str, labels.among(labels.included)))


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
