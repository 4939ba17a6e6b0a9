"""pyradiomics's shape class, with a surface that is measured cube by cube instead of all at once.

A cube of eight voxels contains one of 256 pieces of the marching-cubes surface. pyradiomics's own
code measures each kind of piece once; here the pieces are only counted. Diameters are sought
among the surface's outermost points only.
"""

from __future__ import annotations

import logging
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from radiomics import cShape
from radiomics.shape import RadiomicsShape
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

Spacing = tuple[float, float, float]
_CORNERS = tuple(product((0, 1), repeat=3))


class _Pieces(NamedTuple):
    """Measurements of the 256 pieces, in units of voxels.

    Attributes:
        volume: (256,) signed volume under the piece when its cube is at the origin.
        slope: (256, 3) change of that volume when the cube moves by one voxel (z, y, x).
    """

    volume: NDArray[np.float64]
    slope: NDArray[np.float64]


class ShapeFeatures(RadiomicsShape):  # type: ignore[misc] # pyradiomics is not typed
    """Shape features of one region.

    Args:
        inside: (z, y, x) region, cropped or not.
        spacing_mm: voxel size (z, y, x).
        sample_covariance: divide the axis lengths' covariance by n - 1, as IBSI does, not by n.
    """

    def __init__(
        self, inside: NDArray[np.bool_], spacing_mm: Spacing, *, sample_covariance: bool
    ) -> None:
        self.logger = logging.Logger("pyradiomics's formulas", logging.CRITICAL + 1)
        self.voxelBased = False
        self.coefficients: dict[str, Any] = {}
        self.enabledFeatures: dict[str, bool] = {}
        self.featureValues: dict[str, Any] = {}
        self.featureNames = self.getFeatureNames()
        self.pixelSpacing = np.array(spacing_mm)
        self.labelledVoxelCoordinates = np.nonzero(inside)
        padded = np.pad(inside, 1)
        self.SurfaceArea, self.Volume = _area_and_volume(padded, spacing_mm)
        self.diameters = _diameters(padded, self.pixelSpacing)
        self.eigenValues = self._eigenvalues()
        if sample_covariance:
            n = len(self.labelledVoxelCoordinates[0])
            self.eigenValues *= n / max(n - 1, 1)

    def _eigenvalues(self) -> NDArray[np.float64]:
        """Return the ascending eigenvalues of the voxel centres' covariance, as pyradiomics."""
        points = np.array(self.labelledVoxelCoordinates, float).T * self.pixelSpacing
        points -= points.mean(axis=0)
        # Not a matrix product: its last bits depend on the number of threads.
        covariance = [[np.mean(points[:, i] * points[:, j]) for j in range(3)] for i in range(3)]
        values: NDArray[np.float64] = np.linalg.eigvalsh(covariance)
        values[(values < 0) & (values > -1e-10)] = 0
        return values


def _area_and_volume(padded: NDArray[np.bool_], spacing_mm: Spacing) -> tuple[float, float]:
    kinds = np.zeros(np.subtract(padded.shape, 1), np.uint8)
    for bit, corner in enumerate(_CORNERS):
        at = tuple(slice(c, c + n) for c, n in zip(corner, kinds.shape, strict=True))
        kinds |= padded[at].view(np.uint8) << bit
    cubes = np.argwhere((kinds != 0) & (kinds != 255))
    kind = kinds[tuple(cubes.T)]
    pieces = _pieces()
    area = float(_areas(spacing_mm)[kind].sum())
    volume = float(pieces.volume[kind].sum() + (pieces.slope[kind] * cubes).sum())
    return area, volume * float(np.prod(spacing_mm))


@cache
def _areas(spacing_mm: Spacing) -> NDArray[np.float64]:
    """Return the area of each piece in mm²."""
    spacing = np.array(spacing_mm, float)
    return np.array([cShape.calculate_coefficients(_cube(k), spacing)[0] for k in range(256)])


@cache
def _pieces() -> _Pieces:
    unit = np.ones(3)
    volume = np.array([cShape.calculate_coefficients(_cube(k), unit)[1] for k in range(256)])
    slope = np.empty((256, 3))
    for kind, axis in product(range(256), range(3)):
        # One voxel further, the cube before it has the surface piece of the face they share.
        cube = _cube(kind)
        moved = np.concatenate([np.zeros_like(cube.take([0], axis)), cube], axis)
        shared = np.concatenate([moved.take([0], axis), cube.take([0], axis)], axis)
        both = cShape.calculate_coefficients(np.ascontiguousarray(moved), unit)[1]
        slope[kind, axis] = both - volume[_kind(shared)] - volume[kind]
    return _Pieces(volume, slope)


def _cube(kind: int) -> NDArray[np.bool_]:
    return np.array([bool(kind >> bit & 1) for bit in range(8)]).reshape(2, 2, 2)


def _kind(cube: NDArray[np.bool_]) -> int:
    return sum(1 << bit for bit, corner in enumerate(_CORNERS) if cube[corner])


def _diameters(
    padded: NDArray[np.bool_], spacing: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Return the largest distance within an axial, coronal and sagittal plane, and in 3-D, in mm.

    Measured between surface points, half-way between a voxel inside and its neighbour outside.
    """
    points = _surface_points(padded)  # in half voxels
    in_planes = [_within_planes(points, axis, spacing) for axis in range(3)]
    outermost = _ends_of_rows(points) * (spacing / 2)
    hull = outermost[ConvexHull(outermost).vertices]
    return in_planes[0], in_planes[1], in_planes[2], float(pdist(hull).max())


def _surface_points(padded: NDArray[np.bool_]) -> NDArray[np.int64]:
    found = []
    for axis in range(3):
        crossed = np.diff(padded, axis=axis)
        points = 2 * np.argwhere(crossed)
        points[:, axis] += 1
        found.append(points)
    return np.concatenate(found)


def _ends_of_rows(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep the first and the last point of each row, which include the two farthest apart."""
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    new = np.append(True, (np.diff(ordered[:, :-1], axis=0) != 0).any(axis=1))
    return np.unique(ordered[new | np.append(new[1:], True)], axis=0)


def _within_planes(points: NDArray[np.int64], axis: int, spacing: NDArray[np.float64]) -> float:
    """Return the largest distance between two points in one plane across ``axis``, in mm."""
    ordered = points[np.argsort(points[:, axis], kind="stable")]
    planes = np.split(ordered, np.flatnonzero(np.diff(ordered[:, axis])) + 1)
    scale = np.delete(spacing / 2, axis)
    flat = [np.delete(plane, axis, axis=1) for plane in planes]
    bounds = [float(np.hypot(*(np.ptp(p, axis=0) * scale))) for p in flat]
    largest = 0.0
    for i in np.argsort(bounds)[::-1]:
        if bounds[i] <= largest:
            break
        largest = max(largest, float(pdist(_ends_of_rows(flat[i]) * scale).max(initial=0.0)))
    return largest
