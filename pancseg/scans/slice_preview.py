"""Find the number and the distance of a scan's axial slices from its header."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from pancseg.scans.header_geometry import geometry_of_header
from pancseg.scans.reading import READERS, preview_scan, suffix_of

TYPICAL_SLICE_MM = 2.5
"""Taken for DICOM series whose first slices do not say how thick they are."""
_TYPICAL_PIXEL_MM = 0.8
_MOST_HEADERS = 5


class SlicePreview(NamedTuple):
    """The slices of a scan, by its header.

    Attributes:
        slices: number of axial slices; for a DICOM folder, the largest possible.
        pixels: number of pixels of a slice.
        pixel_mm: the smaller side of a pixel; of DICOM series, a typical one.
        slice_mm: distance of slices; of DICOM series, their thickness.
    """

    slices: int
    pixels: int
    pixel_mm: float
    slice_mm: float

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return self.slices * self.pixels


def preview_slices(path: Path, *, series_uid: str | None = None) -> SlicePreview:
    """Return the axial slices of a scan, without reading a voxel.

    Args:
        path: as for :func:`pancseg.read_scan`.
        series_uid: as for :func:`pancseg.read_scan`.

    Raises:
        UnusableCase: the header makes no sense.
        OSError: the file cannot be reached.
    """
    size = preview_scan(path, series_uid=series_uid).size
    if not suffix_of(path):
        slice_mm = _thickness_mm(path, series_uid) or TYPICAL_SLICE_MM
        return SlicePreview(size[2], size[0] * size[1], _TYPICAL_PIXEL_MM, slice_mm)
    reader = READERS[suffix_of(path)]
    geometry = geometry_of_header(path, reader.image_io, reader.layout(path))
    along = int(np.abs(np.reshape(geometry.direction, (3, 3)))[2].argmax())
    pixel_mm = min(side for axis, side in enumerate(geometry.spacing_mm) if axis != along)
    pixels = int(np.prod([n for axis, n in enumerate(size) if axis != along]))
    return SlicePreview(size[along], pixels, pixel_mm, geometry.spacing_mm[along])


def _thickness_mm(folder: Path, series_uid: str | None) -> float:
    """Return the thickness that one of a series' first slices states; 0 if none states any."""
    from pancseg.scans.dicom.folder import slices_in
    from pancseg.scans.dicom.header import read_header
    from pancseg.scans.dicom.located import located
    from pancseg.scans.dicom.parts import split_uid

    place, found_uid, _ = located(folder, series_uid)
    uid, _ = split_uid(found_uid or "")
    for file in (slices_in(place) if place.is_dir() else [place])[:_MOST_HEADERS]:
        header = read_header(file)
        if header and header.series_uid.endswith(uid) and header.thickness_mm:
            return header.thickness_mm
    return 0.0
