"""Turn what a file's header says about position into spacing, origin and direction."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.geometry import SAME_GRID_VOXELS
from pancseg.scans.voxel_stream import Layout
from pancseg.system.native_output import quiet_library

_EXACT = 1e-4
"""Dot products of the axes' directions up to this are left alone; ITK's NIfTI allows no more."""
_RIGHT_ANGLES = 1e-3
"""Dot products up to this are rounding, for example of cosines with three decimals."""


class Geometry(NamedTuple):
    """Size and position of voxels, as SimpleITK states them.

    Attributes:
        spacing_mm: distance of neighbours along x, y, z.
        origin_mm: centre of the first voxel, in LPS.
        direction: nine direction cosines, row by row.
    """

    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The 3×4 matrix from voxel indices to LPS in mm."""
        turn = np.reshape(self.direction, (3, 3)) * np.array(self.spacing_mm)
        return np.column_stack([turn, self.origin_mm])

    def put_on(self, image: sitk.Image) -> None:
        """Give an image this geometry."""
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)


def geometry_of_header(path: Path, image_io: str, layout: Layout) -> Geometry:
    """Return the geometry of a file, if it is valid and everything that the header says agrees.

    ITK is asked for it, so that results are those of other programs. Where ITK cannot read the
    header, the geometry is the one that our own reader found.

    Args:
        path: the file of the header.
        image_io: name of ITK's reader.
        layout: the header as our own reader understood it.

    Raises:
        UnusableCase: ``geometry``; ``unreadable`` where neither reader finds a geometry, or the two
            find different sizes.
    """
    found = _by_itk(path, image_io, layout) if layout.itk else None
    if found is None:
        if not layout.grids:
            kind = image_io.removesuffix("ImageIO")
            raise UnusableCase(
                "unreadable",
                f"the file cannot be read as {kind} (damaged or truncated?); copy or export it "
                "again",
            )
        found = _declared(layout)
    found = right_angled(found, layout.size)
    for grid in layout.grids:
        apart_mm = corner_distance_mm(grid, found.matrix, layout.size)
        if not apart_mm <= SAME_GRID_VOXELS * min(found.spacing_mm):
            raise UnusableCase(
                "geometry",
                "the header holds two geometries (sform, qform, voxel size), whose corners are "
                f"{apart_mm:.4g} mm apart; correct it or export the scan again",
            )
    return found


def geometry_of_matrix(matrix: NDArray[np.float64]) -> Geometry:
    """Return the geometry of a 3×4 matrix from voxel indices to LPS in mm; it may be sheared."""
    sides = np.linalg.norm(matrix[:, :3], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # such sides are refused
        turn = (matrix[:, :3] / sides).ravel()
    return Geometry(tuple(sides.tolist()), tuple(matrix[:, 3].tolist()), tuple(turn.tolist()))


def right_angled(found: Geometry, size: tuple[int, ...]) -> Geometry:
    """Return a geometry whose axes are at right angles: the given one, without rounding errors.

    Args:
        found: a geometry. Its directions may be off by rounding: their dot products by 0.001, or
            the corners of the volume by a tenth of the smallest voxel side.
        size: number of voxels along x, y, z.

    Raises:
        UnusableCase: ``geometry``, for impossible values, and for axes that are sheared.

    Example:
        >>> rounded = Geometry((1, 1, 2), (0, 0, 0), (1, 0, 0, 0, 1, 0.0003, 0, 0, 1))
        >>> round(right_angled(rounded, (9, 9, 9)).direction[5], 6)
        0.00015
    """
    values = [*found.spacing_mm, *found.origin_mm, *found.direction]
    if not np.isfinite(values).all() or min(found.spacing_mm) <= 0:
        sides = "×".join(f"{side:.6g}" for side in found.spacing_mm)
        raise UnusableCase(
            "geometry",
            f"the header's geometry is impossible (voxels of {sides} mm); export the scan again",
        )
    turn = np.reshape(found.direction, (3, 3))
    off = float(np.abs(turn.T @ turn - np.eye(3)).max())
    if off <= _EXACT:
        return found
    nearest = _nearest_right_angled(found, size)
    apart_mm = corner_distance_mm(found.matrix, nearest.matrix, size)
    if off > _RIGHT_ANGLES and not apart_mm <= SAME_GRID_VOXELS * min(found.spacing_mm):
        raise UnusableCase(
            "geometry",
            "the axes are not at right angles (sheared): the corners are "
            f"{apart_mm:.3g} mm off, expected at most a tenth of a voxel; resample it",
        )
    return nearest


def corner_distance_mm(
    first: NDArray[np.float64], second: NDArray[np.float64], size: tuple[int, ...]
) -> float:
    """Return the largest distance in mm between corners of a volume under two 3×4 matrices."""
    corners = np.array(list(product((0, 1), repeat=3))) * (np.array(size) - 1)
    apart = corners @ (first - second)[:, :3].T + (first - second)[:, 3]
    return float(np.linalg.norm(apart, axis=1).max())


def _nearest_right_angled(found: Geometry, size: tuple[int, ...]) -> Geometry:
    """Return the closest geometry with axes at right angles and the same centre."""
    u, _, v = np.linalg.svd(np.reshape(found.direction, (3, 3)))
    centre = (np.array(size) - 1) / 2
    turned = (u @ v) * np.array(found.spacing_mm)
    origin = found.matrix @ [*centre, 1.0] - turned @ centre
    return Geometry(found.spacing_mm, tuple(origin.tolist()), tuple((u @ v).ravel().tolist()))


def _by_itk(path: Path, image_io: str, layout: Layout) -> Geometry | None:
    """Return the geometry that ITK reads from a header, in mm; None where it cannot read it.

    Raises:
        UnusableCase: ``unreadable`` where ITK finds another size than we do.
    """
    header = sitk.ImageFileReader()
    header.SetImageIO(image_io)
    header.SetFileName(str(path))
    try:
        with quiet_library():
            header.ReadImageInformation()
    except RuntimeError:
        return None
    count = header.GetDimension()
    if header.GetSize()[:3] != layout.size or header.GetNumberOfComponents() != 1:
        kind = image_io.removesuffix("ImageIO")
        raise UnusableCase(
            "unreadable", f"the {kind} header is ambiguous about the size; export the scan again"
        )
    turn: NDArray[Any] = np.reshape(header.GetDirection(), (count, count))[:3, :3]
    found = Geometry(header.GetSpacing()[:3], header.GetOrigin()[:3], tuple(turn.ravel().tolist()))
    x_mm, y_mm, z_mm = layout.unit_mm
    if x_mm != y_mm or x_mm != z_mm:
        return geometry_of_matrix(found.matrix * np.array(layout.unit_mm)[:, np.newaxis])
    spacing_mm, origin_mm = (tuple(each * x_mm for each in lengths) for lengths in found[:2])
    return found._replace(spacing_mm=spacing_mm, origin_mm=origin_mm)


def _declared(layout: Layout) -> Geometry:
    """Return the geometry that the header itself declares; of several the last, as ITK prefers."""
    found = geometry_of_matrix(layout.grids[-1])
    return found._replace(spacing_mm=layout.sides_mm) if layout.sides_mm else found
