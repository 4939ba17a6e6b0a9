"""Make all pictures of one row: what the page shows of a scan and of the region in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.pictures.composite import composite, thumbnail
from pancseg.pictures.layout import panels_of
from pancseg.pictures.overlay_svg import TAKEN_OUT, contour_svg, measured_svg
from pancseg.pictures.volume import Volume
from pancseg.pictures.window import window_for
from pancseg.scans.arrays import voxel_array

PICTURE, CONTOUR, MEASURED, THUMBNAIL = ".jpg", ".svg", ".measured.svg", ".thumb.jpg"
"""Endings of the files' names: the slices; the contour of the mask that was measured; the region on
the features' grid; a small picture for a list."""
SUFFIXES = (PICTURE, CONTOUR, MEASURED, THUMBNAIL)


def row_pictures(
    scan: sitk.Image,
    region: sitk.Image | None = None,
    measured: sitk.Image | None = None,
    *,
    comment: bytes = b"",
) -> dict[str, bytes]:
    """Return the pictures of one row, ending of the name → content.

    Args:
        scan: the volume.
        region: the voxels that were judged and measured, on the scan's grid; None shows the scan
            alone.
        measured: the region on the features' grid (:mod:`pancseg.pictures.overlay_svg`); it is
            shown only if the grid is another one or voxels were taken out.
        comment: text to store in the large picture.

    Example:
        >>> from pancseg import read_scan
        >>> sorted(row_pictures(read_scan("scan.nii.gz"), read_scan("mask.nii.gz")))
        ['.jpg', '.svg', '.thumb.jpg']
    """
    volume = Volume.of(scan)
    drawn = Volume.of(region) if region is not None else None
    inside = _inside(drawn.voxels) if drawn else None
    if inside is not None and not inside.any():
        drawn = inside = None
    panels = panels_of(volume, inside)
    window = window_for(volume.voxels)
    pictures = {PICTURE: composite(volume, panels, window, comment)}
    if drawn:
        pictures[CONTOUR] = contour_svg(panels, drawn)
        if measured is not None and _differs(scan, measured):
            svg = measured_svg(panels, volume, measured)
            pictures |= {MEASURED: svg} if svg else {}
    tile = min(panels[3:], key=lambda panel: abs(panel.index - panels[0].index))
    pictures[THUMBNAIL] = thumbnail(volume, tile, inside, window)
    return pictures


def _inside(voxels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which voxels are set, without copying a uint8 mask of 0 and 1."""
    whole = voxels.dtype == np.uint8 and voxels.max() <= 1
    inside: NDArray[np.bool_] = voxels.view(np.bool_) if whole else voxels != 0
    return inside


def _differs(scan: sitk.Image, measured: sitk.Image) -> bool:
    """Return whether a measured region is another than the one that was drawn."""
    pairs = zip(sorted(scan.GetSpacing()), sorted(measured.GetSpacing()), strict=True)
    same = all(abs(one - other) < 1e-6 for one, other in pairs)
    return not same or bool((voxel_array(measured) == TAKEN_OUT).any())
