"""Find the axes, spacing and positions that the frames of a DICOM object share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.frames import DicomSlice

Points = NDArray[np.float64]
_FARTHEST_MM = 1e6


class Planes(NamedTuple):
    """Parallel frames of one pixel spacing.

    Attributes:
        axes: unit vectors x, y, z, as rows; z is the normal.
        spacing_mm: between columns, and between rows.
        positions: of the first pixel of each frame, in mm ``(frames, 3)``.
    """

    axes: Points
    spacing_mm: tuple[float, float]
    positions: Points


def planes_of(frames: Sequence[DicomSlice], what: str) -> Planes:
    """Return the geometry that frames share.

    Args:
        frames: one or more.
        what: what a message calls them, in the plural.

    Raises:
        UnusableCase: ``geometry``, where it is missing or impossible; ``uneven_slices``, when
            orientations differ.
    """
    for name, values in (
        ("position", [each.position_mm for each in frames]),
        ("orientation", [each.axes for each in frames]),
        ("pixel spacing", [each.spacing_mm for each in frames]),
    ):
        if missing := sum(value is None for value in values):
            raise UnusableCase(
                "geometry", f"{missing} of {len(frames)} {what} have no {name}; export them again"
            )
    orientations = np.array([each.axes for each in frames], np.float64)
    spacings = np.array([each.spacing_mm for each in frames], np.float64)
    positions = np.array([each.position_mm for each in frames], np.float64)
    aside = np.abs(orientations - orientations[0]).max(axis=1) > 1e-3
    if others := int(np.count_nonzero(aside)):
        raise UnusableCase(
            "uneven_slices",
            f"{others} of {len(frames)} {what} have another orientation than the first; is a "
            "localizer among them?",
        )
    if max(np.abs(positions).max(), spacings.max()) > _FARTHEST_MM:
        raise UnusableCase(
            "geometry", f"the {what} are kilometres away or apart; export them again"
        )
    if spacings.min() <= 0 or not np.allclose(spacings, spacings[0], rtol=1e-3):
        low, high = spacings.min(), spacings.max()
        raise UnusableCase(
            "geometry",
            f"the pixel spacing of the {what} goes from {low:.6g} to {high:.6g} mm, expected one "
            "positive value; export them again",
        )
    row_mm, column_mm = (float(side) for side in spacings[0])
    return Planes(_axes(orientations[0], what), (column_mm, row_mm), positions)


def _axes(orientation: Points, what: str) -> Points:
    x, y = orientation[:3], orientation[3:]
    if not all(off <= 1e-2 for off in (abs(x @ y), abs(x @ x - 1), abs(y @ y - 1))):
        raise UnusableCase(
            "geometry",
            f"the rows and columns of the {what} are not at right angles; export them again",
        )
    x = x / np.linalg.norm(x)
    y = y - (x @ y) * x
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)])
