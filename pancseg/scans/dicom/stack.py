"""Find the grid of a DICOM series' slices; refuse slices that form no even, upright stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.frames import DicomSlice
from pancseg.scans.dicom.header import DicomHeader
from pancseg.scans.dicom.planes import Points, planes_of

_ROUNDING_MM = 0.065
"""How far positions may be from an even grid, besides a hundredth of the gap.

Positions rounded to 0.1 mm are within 0.05 mm of one, and within 0.063 mm of the one with the gap
that least squares give.
"""


class SliceInFile(NamedTuple):
    """A frame, and the header of the file that it is in."""

    header: DicomHeader
    slice: DicomSlice


class Stack(NamedTuple):
    """The grid of a series.

    Attributes:
        order: numbers of the slices from the first to the last in space.
        axes: unit vectors x, y, z, as rows.
        spacing_mm: between columns, rows and slices.
        origin_mm: position of the first pixel of the first slice.
    """

    order: NDArray[np.intp]
    axes: Points
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, ...]


def stack_of(slices: Sequence[SliceInFile]) -> Stack:
    """Return the grid of slices in any order.

    Raises:
        UnusableCase: ``unreadable`` (sizes differ), ``one_slice``, ``geometry``, ``not_hu`` (only
            some slices are scaled), ``tilted`` or ``uneven_slices``.
    """
    _check_alike(slices)
    frames = [each.slice for each in slices]
    axes, (column_mm, row_mm), positions = planes_of(frames, "DICOM slices")
    order = np.argsort(positions @ axes[2], kind="stable")
    positions = positions[order]
    _check_upright(positions, axes[0], axes[1])
    origin_mm, gap_mm = _even_grid(positions)
    return Stack(order, axes, (column_mm, row_mm, gap_mm), tuple(origin_mm.tolist()))


def _check_alike(slices: Sequence[SliceInFile]) -> None:
    """Refuse slices that do not form one stack."""
    headers = {id(each.header): each.header for each in slices}.values()
    sizes = sorted({(h.columns, h.rows) for h in headers})
    if len(sizes) > 1:
        shown = ", ".join(f"{columns}×{rows}" for columns, rows in sizes[:3])
        raise UnusableCase(
            "unreadable", f"the slices of the series differ in size ({shown}); export it again"
        )
    count = len(slices)
    if count == 1:
        raise UnusableCase(
            "one_slice",
            f"the series is one slice ({sizes[0][0]}×{sizes[0][1]}); give the whole series",
        )
    plain = sum(not each.slice.rescaled for each in slices)
    if plain < count and any(each.slice.intercept for each in slices) and plain:
        raise UnusableCase(
            "not_hu", f"{plain} of {count} DICOM slices have no RescaleIntercept; export them again"
        )


def _check_upright(positions_mm: Points, x: Points, y: Points) -> None:
    """Refuse slices that are stacked at an angle (tilted gantry): an image's axes are upright."""
    stack = positions_mm[-1] - positions_mm[0]
    aside_mm = float(max(abs(stack @ x), abs(stack @ y)))
    if aside_mm > 1.0:
        raise UnusableCase(
            "tilted",
            f"the slices are sheared by {aside_mm:.1f} mm over the series (tilted gantry); "
            "resample the scan to upright axes first",
        )


def _even_grid(positions_mm: Points) -> tuple[Points, float]:
    """Return the first position and the gap of the best even grid.

    It goes from the first to the last slice, as ITK takes it, or where gaps differ by more than 1 %
    (rounded positions), it is the one that least squares give, shifted to the middle of the
    deviations.

    Raises:
        UnusableCase: ``uneven_slices``, when slices are missing, doubled or off that grid.
    """
    gaps = np.linalg.norm(np.diff(positions_mm, axis=0), axis=1)
    count = len(positions_mm)
    if doubled := int(np.count_nonzero(gaps <= 0)):
        raise UnusableCase(
            "uneven_slices",
            f"{doubled} of {count} slices are where another slice is, but are no exact copies; are "
            "there two series in one?",
        )
    numbers = np.arange(count) - (count - 1) / 2
    step = numbers @ positions_mm / (numbers @ numbers)
    grid = positions_mm.mean(axis=0) + numbers[:, None] * step
    off = positions_mm - grid
    off_mm = float((off.max(axis=0) - off.min(axis=0)).max() / 2)
    gap_mm = float(np.linalg.norm(step))
    most_mm = min(_ROUNDING_MM + 0.01 * gap_mm, 0.2 * gap_mm)
    if off_mm > most_mm:
        raise UnusableCase(
            "uneven_slices",
            f"the slices are not evenly spaced ({gaps.min():.2f} to {gaps.max():.2f} mm apart, up "
            f"to {off_mm:.2f} mm off an even grid, expected at most {most_mm:.2f} mm); is one "
            "missing, or are there two series in one?",
        )
    if gaps.max() - gaps.min() <= 0.01 * np.median(gaps) + 0.01:
        length_mm = float(np.linalg.norm(positions_mm[-1] - positions_mm[0]))
        return positions_mm[0], length_mm / len(gaps)
    return grid[0] + (off.max(axis=0) + off.min(axis=0)) / 2, gap_mm
