"""Read an RTSTRUCT as a label map on the grid of the scan on which its contours were drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.contour_planes import pieces_of
from pancseg.scans.dicom.identity import DicomIdentity, check_belongs
from pancseg.scans.dicom.structure_set import Points, Roi, points_of, read_structure_set
from pancseg.scans.overlaps import OverlapMap
from pancseg.scans.reading import Preview, check_memory
from pancseg.scans.segment_names import is_known
from pancseg.scans.segments import Problem, Segment
from pancseg.system.text.excerpt import excerpt

_BYTES_PER_VOXEL = 2
_BYTES_PER_CHARACTER = 3
"""Memory for coordinates as text, and for those of one region as numbers."""
_LONGEST_SHOWN = 40


def read(file: Path, scan: sitk.Image | None) -> tuple[sitk.Image, list[Segment]]:
    """Return the regions of an RTSTRUCT as a label map on a scan's grid, and its segments.

    Args:
        file: the RTSTRUCT.
        scan: the scan on which it was drawn.

    Raises:
        UnusableCase: ``geometry`` without a scan, or for one on which it was not drawn; ``memory``;
            as :func:`label_map_of` and
            :func:`pancseg.scans.dicom.structure_set.read_structure_set`.
        OSError: the file cannot be reached.
    """
    structures = read_structure_set(file)
    if scan is None:
        raise UnusableCase(
            "geometry",
            "an RTSTRUCT holds contours, but no grid of voxels; give its scan, or a mask of voxels",
        )
    frames = frozenset(roi.frame_uid for roi in structures.rois) - {""}
    check_belongs(DicomIdentity(frames, structures.series_uids, structures.image_uids), scan)
    check_memory(_read_bytes(math.prod(scan.GetSize()), structures.text_bytes))
    return label_map_of(structures.rois, scan)


def named(file: Path) -> tuple[Segment, ...]:
    """Return the regions that an RTSTRUCT describes; its contours are not read.

    Raises:
        UnusableCase, OSError: as :func:`read`.
    """
    return tuple(map(_segment, read_structure_set(file, contours=False).rois))


def preview(file: Path, scan: Preview | None) -> Preview:
    """Return the size of an RTSTRUCT on its scan's grid, and the memory that reading it takes.

    Args:
        file: the RTSTRUCT.
        scan: the scan's size; without it, there are no voxels.

    Raises:
        UnusableCase, OSError: as :func:`read`.
    """
    size, voxels = (scan.size, scan.voxels) if scan else ((0, 0, 0), 0)
    text_bytes = file.stat().st_size
    return Preview(size, _BYTES_PER_VOXEL, voxels, _read_bytes(voxels, text_bytes))


def label_map_of(rois: Sequence[Roi], scan: sitk.Image) -> tuple[sitk.Image, list[Segment]]:
    """Return regions of interest as one label map on a scan's grid, and the segments with values.

    A voxel belongs to a region if its centre is inside: see :mod:`pancseg.scans.dicom.even_odd` and
    :mod:`pancseg.scans.dicom.contour_planes`. A region whose contours cannot be used has no voxels,
    and its segment says why.

    Args:
        rois: the regions; their numbers become those of the segments.
        scan: the scan, in any orientation.

    Raises:
        UnusableCase: ``several_labels``, if the regions overlap in too many ways; the first
            region's problem, if no region can be used.

    Example:
        >>> import SimpleITK as sitk
        >>> from pancseg.scans.dicom.structure_set import Contour, Roi
        >>> corners = [(0.5, 0.5, 1), (2.5, 0.5, 1), (2.5, 2.5, 1), (0.5, 2.5, 1)]
        >>> text = chr(92).join(str(n) for corner in corners for n in corner)
        >>> roi = Roi(7, "pancreas", "", "", (Contour("CLOSED_PLANAR", 4, text.encode()),))
        >>> mask, segments = label_map_of([roi], sitk.Image(4, 4, 3, sitk.sitkInt16))
        >>> segments[0].inside, sitk.GetArrayFromImage(mask)[1].tolist()
        ((1,), [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    """
    joined = OverlapMap(scan.GetSize())
    segments: list[Segment] = []
    for roi in rois:
        segment, pieces = _segment(roi), []
        try:
            pieces = pieces_of(_in_voxels(points_of(roi.contours), scan), scan.GetSize())
        except UnusableCase as unusable:
            segment = segment._replace(problem=Problem(unusable.code, unusable.fact))
        joined.add(pieces)
        segments.append(segment)
    first = segments[0]
    if first.problem and all(each.problem for each in segments):
        short = f"'{excerpt(first.name, _LONGEST_SHOWN)}'"
        shown = short if is_known(first.name) else first.values[0]  # another may be a person's
        raise UnusableCase(first.problem.code, f"region {shown}: {first.problem.fact}")
    joined.image.CopyInformation(scan)
    return joined.image, [
        each._replace(inside=joined.values_of(number)) for number, each in enumerate(segments)
    ]


def _segment(roi: Roi) -> Segment:
    return Segment(roi.name, (roi.number,), coded=roi.coded)


def _in_voxels(contours: Sequence[Points], scan: sitk.Image) -> list[Points]:
    """Return points in mm as coordinates in the scan's voxels (x, y, z)."""
    axes = np.reshape(scan.GetDirection(), (3, 3)) * np.array(scan.GetSpacing())
    to_voxels = np.linalg.inv(axes).T
    return [(points - scan.GetOrigin()) @ to_voxels for points in contours]


def _read_bytes(voxels: int, text_bytes: int) -> int:
    return _BYTES_PER_VOXEL * voxels + _BYTES_PER_CHARACTER * text_bytes
