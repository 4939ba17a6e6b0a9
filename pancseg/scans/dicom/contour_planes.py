"""Assign contours to the slices of a scan, and turn them into voxels slice by slice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.even_odd import pixels_inside

Points = NDArray[np.float64]
_ACROSS = 0.5
"""How far the points of a contour may be apart across its slice, in slice distances."""
_SAME_PLANE = 0.05
"""Contours that are no farther apart, in slice distances, are on one plane."""
_FARTHEST = 1e6
_DECIMALS = 6
"""Of distances in slices: rounding errors must not decide to which slice a contour belongs."""
_SPARSE_PLANES = 3
"""Fewer planes may be separate pieces of a region, and say nothing of how it was drawn."""


class Piece(NamedTuple):
    """Voxels of a region in one slice.

    Attributes:
        where: indices into an array ``(z, y, x)`` that give a plane.
        inside: which voxels of that plane are in the region.
    """

    where: tuple[int | slice, ...]
    inside: NDArray[np.bool_]


def pieces_of(contours: Sequence[Points], size: Sequence[int]) -> list[Piece]:
    """Return the voxels whose centres are inside the contours of one region.

    Contours lie in planes along one pair of the volume's axes, mostly x and y. Each belongs to the
    nearest slice, at most half a slice distance away; halfway between two, to that of the higher
    number. Where contours of several planes belong to one slice, because they are closer together
    than slices, those of the plane nearest to the slice's centre count. A contour that is there
    twice counts once. Within a slice, :func:`pancseg.scans.dicom.even_odd.pixels_inside` decides.

    Args:
        contours: points ``(n, 3)`` in voxels (x, y, z); the centre of the first voxel is (0, 0, 0).
        size: of the volume (x, y, z).

    Raises:
        UnusableCase: ``geometry`` for contours that run across slices or lie outside of the volume,
            or on every second slice or fewer; ``empty_mask`` for those that surround no voxel's
            centre.
    """
    if not contours:
        raise UnusableCase("empty_mask", "it has no contours; draw it")
    axis = _axis_of(contours, size)
    by_slice: dict[int, list[tuple[float, Points]]] = defaultdict(list)
    for points in contours:
        middle = round(float(points[:, axis].mean()), _DECIMALS)
        by_slice[int(np.floor(middle + 0.5))].append((middle, np.delete(points, axis, 1)))
    _check_slices(by_slice, len(contours), size[axis])
    columns, rows = np.delete(size, axis)
    pieces = []
    for number in sorted(by_slice):
        patch = pixels_inside(_nearest_plane(by_slice[number], number), int(rows), int(columns))
        if patch:
            where: list[int | slice] = [patch.rows, patch.columns]
            where.insert(2 - axis, number)
            pieces.append(Piece(tuple(where), patch.inside))
    if not pieces:
        raise UnusableCase(
            "empty_mask",
            f"no voxel's centre is inside its contours ({len(contours)} in all); draw it larger, "
            "or give the scan on which it was drawn",
        )
    return pieces


def _axis_of(contours: Sequence[Points], size: Sequence[int]) -> int:
    """Return the axis across the contours' planes: 2 (z) mostly."""
    if max(float(np.abs(points).max()) for points in contours) > _FARTHEST:
        raise UnusableCase(
            "geometry", f"its contours are more than {_FARTHEST:,.0f} voxels away; export it again"
        )
    spread = np.max([np.ptp(points, axis=0) for points in contours], axis=0)
    flat = [axis for axis in (2, 1, 0) if spread[axis] <= _ACROSS]
    if not flat:
        raise UnusableCase(
            "geometry",
            f"its contours run across up to {spread[2] + 1:.0f} of the scan's slices (expected "
            "1); give the scan on which it was drawn",
        )
    return flat[0]


def _check_slices(by_slice: dict[int, list[tuple[float, Points]]], count: int, slices: int) -> None:
    """Refuse contours outside of the volume, and those that leave out most slices."""
    outside = sum(len(each) for number, each in by_slice.items() if not 0 <= number < slices)
    if outside:
        raise UnusableCase(
            "geometry",
            f"{outside} of {count} contours lie above or below the scan's {slices} slices "
            "(expected none); give the scan on which it was drawn",
        )
    steps = np.diff(sorted(by_slice))
    if len(by_slice) >= _SPARSE_PLANES and 2 * np.count_nonzero(steps > 1) > len(steps):
        raise UnusableCase(
            "geometry",
            f"it is drawn on {len(by_slice)} of {int(steps.sum()) + 1} slices; interpolate "
            "between them in the program in which it was drawn",
        )


def _nearest_plane(contours: Sequence[tuple[float, Points]], number: int) -> list[Points]:
    """Return the contours of the plane nearest to a slice, each once."""
    middles = (middle for middle, _ in contours)
    nearest = min((round(abs(each - number), _DECIMALS), each) for each in middles)[1]
    near = (points for middle, points in contours if abs(middle - nearest) <= _SAME_PLANE)
    return list({points.tobytes(): points for points in near}.values())
