"""Arrange a row's picture: three planes through the region, and a strip of axial slices below.

All pictures have the same frames, so that eyes and programs find everything in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.pictures.volume import AXES, Plane, Volume
from pancseg.scans.bounding_box import BoundingBox, box_of

WIDTH, HEIGHT = 1440, 800
"""Size of the picture, in pixels."""
PLANE_FRAME = (480, 400)
"""Width and height of each of the three planes, side by side at the top."""
TILE_FRAME = (240, 200)
"""Width and height of a slice in the strip: two rows of six at the bottom."""
TILES, TILES_PER_ROW = 12, 6

_PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
_ABOVE_AND_BELOW_MM = 170.0
"""Coronal and sagittal planes show as much as this above and below the centre."""
_MARGIN_MM = 20.0
_NARROWEST_MM = 80.0
_BODY_ABOVE_HU = -300
_BODY_SHARE = 0.04
"""A line belongs to the body if this share of it does, so that a table's edge is left out."""


@dataclass(frozen=True)
class Panel:
    """One plane in the picture.

    Attributes:
        plane: which plane.
        index: its position across, in voxels of the volume.
        frame: left, top, width and height of its place in the picture, in pixels.
        window: first row, first column, rows and columns of the plane that are shown.
        place: left, top, width and height of what is shown, in pixels.
    """

    plane: Plane
    index: int
    frame: tuple[int, int, int, int]
    window: tuple[int, int, int, int]
    place: tuple[int, int, int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the picture per pixel of the plane, along and down."""
        return self.place[2] / self.window[3], self.place[3] / self.window[2]

    @property
    def origin(self) -> tuple[float, float]:
        """Where the corner of the plane's first pixel would be, in pixels of the picture."""
        across, down = self.scale
        return self.place[0] - self.window[1] * across, self.place[1] - self.window[0] * down

    def crop(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return the part of a whole plane that is shown."""
        row, column, rows, columns = self.window
        return plane[row : row + rows, column : column + columns]


def panels_of(scan: Volume, inside: NDArray[np.bool_] | None) -> list[Panel]:
    """Return the three planes and the strip.

    Args:
        scan: the volume.
        inside: (z, y, x) voxels of the region in the volume's order; None shows the whole scan.
    """
    shape = scan.voxels.shape
    found = None if inside is None else box_of(inside)
    centre = tuple(n // 2 for n in shape)
    if inside is not None and found is not None:
        centre = centre_of(inside, found, scan.spacing_mm)
    body = _body(scan, centre[0])
    whole = BoundingBox((0, *body.start[1:]), (shape[0], *body.size[1:]))
    above_and_below = round(_ABOVE_AND_BELOW_MM / scan.spacing_mm[0])
    around = BoundingBox((centre[0], *whole.start[1:]), (1, *whole.size[1:]))
    shown = around.grown((above_and_below, 0, 0), shape)
    if found is not None:  # a region outside the body is shown all the same
        shown = _joined(shown, found)
    planes = [
        _panel(scan, plane, centre[AXES[plane][0]], shown, (i * PLANE_FRAME[0], 0, *PLANE_FRAME))
        for i, plane in enumerate(_PLANES)
    ]
    close = whole if found is None else _close(found, scan)
    strip = []
    for i, index in enumerate(strip_slices(_with_neighbours(found or whole, shape[0]))):
        row, column = divmod(i, TILES_PER_ROW)
        corner = column * TILE_FRAME[0], PLANE_FRAME[1] + row * TILE_FRAME[1]
        strip.append(_panel(scan, "axial", index, close, (*corner, *TILE_FRAME)))
    return planes + strip


def strip_slices(box: BoundingBox, count: int = TILES) -> list[int]:
    """Return evenly spaced slices of a box, the first and the last among them, from head to feet.

    >>> strip_slices(BoundingBox((10, 0, 0), (5, 1, 1)), 3)
    [14, 12, 10]
    """
    first, last = box.start[0], box.start[0] + box.size[0] - 1
    places = np.linspace(last, first, min(count, box.size[0]))
    return [int(n) for n in np.rint(places)]


def _with_neighbours(box: BoundingBox, slices: int) -> BoundingBox:
    """Return a box with so many slices above and below that the strip is full, if there are any."""
    lacking = TILES - box.size[0]
    if lacking <= 0:
        return box
    first = min(max(box.start[0] - lacking // 2, 0), max(slices - TILES, 0))
    count = min(TILES, slices)
    return BoundingBox((first, *box.start[1:]), (count, *box.size[1:]))


def centre_of(
    inside: NDArray[np.bool_], box: BoundingBox, spacing_mm: Sequence[float]
) -> tuple[int, ...]:
    """Return the voxel of a region that is nearest to its centre of mass, (z, y, x).

    It is looked for in the axial slice of the region that is nearest to the centre.
    """
    part = inside[box.slices]
    flat = part.sum(axis=0)
    counts = part.sum(axis=(1, 2)), flat.sum(axis=1), flat.sum(axis=0)
    middle = [float(np.average(np.arange(len(each)), weights=each)) for each in counts]
    filled = np.flatnonzero(counts[0])
    z = int(filled[np.abs(filled - middle[0]).argmin()])
    pixels = np.argwhere(part[z])
    away = ((pixels - middle[1:]) * np.asarray(spacing_mm[1:])) ** 2
    nearest = z, *pixels[int(away.sum(axis=1).argmin())].tolist()
    return tuple(int(a + b) for a, b in zip(box.start, nearest, strict=True))


def _body(scan: Volume, index: int) -> BoundingBox:
    """Return the box, one slice thick, around the body in an axial slice; all of it if unsure."""
    body = scan.voxels[index] > _BODY_ABOVE_HU
    rows = np.flatnonzero(body.mean(axis=1) > _BODY_SHARE)
    columns = np.flatnonzero(body.mean(axis=0) > _BODY_SHARE)
    if not rows.size or not columns.size:
        return BoundingBox((index, 0, 0), (1, *body.shape))
    start = (index, int(rows[0]), int(columns[0]))
    return BoundingBox(start, (1, int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1))


def _joined(one: BoundingBox, other: BoundingBox) -> BoundingBox:
    low = np.minimum(one.start, other.start)
    high = np.maximum(np.add(one.start, one.size), np.add(other.start, other.size))
    return BoundingBox(tuple(low.tolist()), tuple((high - low).tolist()))


def _close(box: BoundingBox, scan: Volume) -> BoundingBox:
    """Return the box of the strip's slices: around the region, in the proportions of a tile."""
    sides = np.array([n * mm for n, mm in zip(box.size, scan.spacing_mm, strict=True)])
    wide = max(sides[2] + 2 * _MARGIN_MM, _NARROWEST_MM)
    high = max(sides[1] + 2 * _MARGIN_MM, _NARROWEST_MM)
    ratio = TILE_FRAME[0] / TILE_FRAME[1]
    wide, high = max(wide, high * ratio), max(high, wide / ratio)
    margin = (
        0,
        int((high - sides[1]) / 2 / scan.spacing_mm[1]),
        int((wide - sides[2]) / 2 / scan.spacing_mm[2]),
    )
    return box.grown(margin, scan.voxels.shape)


def _panel(
    scan: Volume, plane: Plane, index: int, box: BoundingBox, frame: tuple[int, int, int, int]
) -> Panel:
    """Return a plane of which a box is shown, as large as the frame allows, in its middle."""
    _, down, along = AXES[plane]
    row, rows = box.start[down], box.size[down]
    if plane != "axial":  # shown from the head down
        row = scan.voxels.shape[down] - row - rows
    down_mm, along_mm = scan.pixel_mm(plane)
    left, top, width, height = frame
    scale = min(width / (box.size[along] * along_mm), height / (rows * down_mm))
    shown_width = max(1, min(width, round(box.size[along] * along_mm * scale)))
    shown_height = max(1, min(height, round(rows * down_mm * scale)))
    corner = left + (width - shown_width) // 2, top + (height - shown_height) // 2
    window = (row, box.start[along], rows, box.size[along])
    return Panel(plane, index, frame, window, (*corner, shown_width, shown_height))
