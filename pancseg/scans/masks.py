"""Read a mask as one label map, with the names that its file gives to segments.

To add a format that names segments, return its label map and its :class:`Segment` objects here;
overlapping ones are joined by :func:`pancseg.scans.segments.in_one_map`, or one after another by
:class:`pancseg.scans.overlaps.OverlapMap`. A module that reads one kind of DICOM mask has the three
functions of :class:`_Reader`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import copy_notes, new_image, voxel_array, writable
from pancseg.scans.dicom.detect import MaskKind
from pancseg.scans.dicom.mask_object import MaskObject, mask_object
from pancseg.scans.formats import nrrd
from pancseg.scans.formats.nifti_labels import label_table
from pancseg.scans.formats.slicer_segments import segments_in
from pancseg.scans.geometry import mark_unoriented
from pancseg.scans.header_geometry import geometry_of_header
from pancseg.scans.names_beside import names_beside
from pancseg.scans.placement import pasted
from pancseg.scans.reading import (
    Preview,
    check_memory,
    layout_of,
    nameless_errors,
    preview_scan,
    read_scan,
    suffix_of,
)
from pancseg.scans.segments import Segment, in_one_map, mark_segments
from pancseg.scans.voxel_stream import Layout, read_voxels

_NRRD = (".nrrd", ".nhdr")
_NIFTI = (".nii", ".nii.gz")
_JOINED_BYTES = 10
"""Memory per voxel of one layer for joining layers: codes as int64, and as uint16."""


class _Reader(Protocol):
    """What reads one kind of DICOM mask."""

    def read(self, file: Path, scan: sitk.Image | None) -> tuple[sitk.Image, list[Segment]]:
        """Return a label map and its segments, on the scan's grid or on a box of it."""

    def named(self, file: Path) -> tuple[Segment, ...]:
        """Return its segments, without its voxels."""

    def preview(self, file: Path, scan: Preview | None) -> Preview:
        """Return its size, and the memory that reading it takes, from its header."""


def read_mask(path: str | Path, scan: sitk.Image | None = None) -> sitk.Image:
    """Read a mask file as a label map; :func:`segments_of` gives the segments that it names.

    Args:
        path: a volume file, such as 3D Slicer's ``.seg.nrrd`` with any number of layers; a DICOM
            SEG or RTSTRUCT; or a folder that holds one of these, or a series of label maps.
        scan: the scan that the mask belongs to. A DICOM mask is put onto its grid, and refused if
            it was drawn on another series; of other formats, the grid is not looked at.

    Raises:
        UnusableCase: as :func:`pancseg.read_scan`; ``not_labels`` for layers of fractions;
            ``geometry`` for a DICOM mask that does not belong to the scan.

    Example:
        >>> from pancseg.scans.masks import read_mask
        >>> read_mask("mask.nii.gz").GetSize()
        (96, 96, 32)
    """
    path = Path(path)
    if found := dicom_mask(path):
        with nameless_errors():
            mask, segments = _reader(found.kind).read(found.file, scan)
        mark_segments(mask, segments)
        return mask if scan is None else pasted(scan, mask) or mask
    header, named = _nrrd_header(path), named_segments(path)
    layers: list[NDArray[Any]] = []
    if header is None or header.layers == 1:
        mask = read_scan(path)
    else:
        mask, layers = _layers(path, header)
    if not named and not layers:
        return mask
    voxels, segments = in_one_map(layers or [voxel_array(mask)], named)
    if layers:
        target = new_image(voxels.shape[::-1], voxels.dtype)
        writable(target)[:] = voxels
        target.CopyInformation(mask)
        copy_notes(mask, target)
        mask = target
    mark_segments(mask, segments)
    return mask


def named_segments(path: Path) -> tuple[Segment, ...]:
    """Return the segments that a mask file, or a file beside it, names; empty for none.

    No voxel is read.

    Raises:
        UnusableCase: a header or a file of names makes no sense.
    """
    if found := dicom_mask(path):
        with nameless_errors():
            return _reader(found.kind).named(found.file)
    own, layered = _named_within(path)
    stem = path.name[: len(path.name) - len(suffix_of(path))]
    named = own if own or layered else names_beside(path, stem)
    _check_one_name_each(named)
    return named


def _check_one_name_each(segments: Sequence[Segment]) -> None:
    """Refuse a mask in which a label has two names: of which organ its voxels are is not known.

    Raises:
        UnusableCase: ``unreadable``, without the names, which may be those of persons.
    """
    names: dict[tuple[int, tuple[int, ...]], str] = {}
    for each in segments:
        name = each.name.strip().casefold()
        if names.setdefault((each.layer, each.values), name) != name:
            layer = f" in layer {each.layer}" if each.layer else ""
            raise UnusableCase(
                "unreadable",
                f"the mask has two names for label {'+'.join(map(str, each.values))}{layer}; "
                "correct its header or the file of names beside it",
            )


def holds_segments(path: Path) -> bool:
    """Return whether a mask file itself names segments or has layers, which writing would drop.

    Names in a file beside it do not count. No voxel is read.

    Raises:
        UnusableCase: a header makes no sense.
    """
    own, layered = _named_within(path)
    return layered or bool(own) or dicom_mask(path) is not None


def _named_within(path: Path) -> tuple[tuple[Segment, ...], bool]:
    """Return the segments that a volume file itself names, and whether it has several layers."""
    if header := _nrrd_header(path):
        return segments_in(header.keys, header.layers), header.layers > 1
    if suffix_of(path) not in _NIFTI or not path.is_file():
        return (), False
    with nameless_errors():
        return label_table(path), False


def layout_of_mask(path: Path) -> Layout:
    """Return where the voxels of a mask file are, with all layers in one volume.

    Raises:
        UnusableCase: as :func:`pancseg.scans.reading.layout_of`.
    """
    header = _nrrd_header(path)
    return header.layout if header and header.layers > 1 else layout_of(path)


def preview_mask(path: Path, scan: Preview | None = None) -> Preview:
    """Return the size of a mask, and the memory that reading it takes, from its header.

    Args:
        path: as for :func:`read_mask`.
        scan: the size of its scan, whose grid a DICOM mask gets.

    Raises:
        UnusableCase: as :func:`pancseg.preview_scan`.
    """
    if found := dicom_mask(path):
        with nameless_errors():
            return _reader(found.kind).preview(found.file, scan)
    header = _nrrd_header(path)
    if header is None or header.layers == 1:
        return preview_scan(path)
    x, y, z = header.size
    stored = header.layout
    joined = _JOINED_BYTES * x * y * z
    return Preview(header.size, stored.stored.itemsize, x * y * z, stored.read_bytes + joined)


def dicom_mask(path: Path) -> MaskObject | None:
    """Return the DICOM SEG or RTSTRUCT that a path stands for; None for masks of other formats.

    Raises:
        UnusableCase: a folder holds several, or the path cannot be reached.
    """
    with nameless_errors():
        return None if suffix_of(path) and not path.is_dir() else mask_object(path)


def _reader(kind: MaskKind) -> _Reader:
    """Return the module that reads a kind of DICOM mask; it imports pydicom."""
    if kind == "SEG":
        from pancseg.scans.dicom import segmentation

        return segmentation
    from pancseg.scans.dicom import contours

    return contours


def _nrrd_header(path: Path) -> nrrd.Header | None:
    """Return the header of an NRRD file; None for other formats, and where there is no file."""
    if suffix_of(path) not in _NRRD or not path.is_file():
        return None
    with nameless_errors():
        return nrrd.read_header(path)


def _layers(path: Path, header: nrrd.Header) -> tuple[sitk.Image, list[NDArray[Any]]]:
    """Return an image with the geometry of a file with layers, and a view of each layer."""
    layout, count = header.layout, header.layers
    if layout.stored.kind not in "iu":
        raise UnusableCase("not_labels", "the layers hold fractions; save labels as whole numbers")
    check_memory(preview_mask(path).read_bytes)
    with nameless_errors():
        geometry = geometry_of_header(path, "NrrdImageIO", layout._replace(size=header.size))
        voxels = voxel_array(read_voxels(layout))
    mask = sitk.Image(header.size, sitk.sitkUInt8)
    geometry.put_on(mask)
    if not layout.oriented:
        mark_unoriented(mask)
    if header.layers_along == 0:
        return mask, [voxels[:, :, n::count] for n in range(count)]
    return mask, np.split(voxels, count)
