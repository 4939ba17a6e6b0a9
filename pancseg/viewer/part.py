"""Choose the part of a scan that a browser gets: all of it, a box, some slices, or it reduced.

Indices are those of the upright volume: x towards the patient's right, y towards the front, z
towards the head.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from numpy.typing import NDArray

from pancseg.scans.bounding_box import BoundingBox

WHOLE_VOXELS = 64_000_000
"""Scans of at most so many are shown whole; a browser holds them several times."""
MOST_VOXELS = 24_000_000
"""Of a part of a larger scan, which is there in seconds also without a graphics card."""

Triple = tuple[int, int, int]
Spacing = tuple[float, float, float]


class Part(NamedTuple):
    """A regular part of a volume; all triples are (x, y, z).

    Attributes:
        start: index of the first voxel.
        size: number of voxels of the part.
        step: every how many voxels one is taken; 1 for full resolution.
        of: number of voxels of the whole volume.
    """

    start: Triple
    size: Triple
    step: Triple
    of: Triple

    @property
    def reduced(self) -> bool:
        """Whether voxels are left out between those of the part."""
        return self.step != (1, 1, 1)

    @property
    def voxels(self) -> int:
        """Number of voxels of the part."""
        return math.prod(self.size)

    @property
    def note(self) -> str:
        """What is shown, in words; empty if it is the whole scan at full resolution.

        >>> Part((0, 0, 300), (512, 512, 244), (1, 1, 1), (512, 512, 1000)).note
        'slices 301–544 of 1,000, counted from the feet'
        """
        if self.reduced:
            steps = "×".join(map(str, self.step))
            return f"the whole scan, reduced: one of every {steps} voxels"
        if self.size == self.of:
            return ""
        first, last = self.start[2] + 1, self.start[2] + self.size[2]
        note = f"slices {first:,}–{last:,} of {self.of[2]:,}, counted from the feet"
        if self.size[:2] != self.of[:2]:
            shown, whole = ("×".join(map(str, size[:2])) for size in (self.size, self.of))
            note += f"; of each {shown} of {whole} voxels, around the mask"
        return note

    def cut(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return a view of the part of an upright array (z, y, x)."""
        triples = zip(self.start, self.size, self.step, strict=True)
        x, y, z = (slice(a, a + (n - 1) * k + 1, k) for a, n, k in triples)
        return voxels[z, y, x]


def whole(of: Triple) -> Part:
    """Return all of a volume."""
    return Part((0, 0, 0), of, (1, 1, 1), of)


def part_around(
    of: Triple, spacing: Spacing, region: BoundingBox | None, most: int = MOST_VOXELS
) -> Part:
    """Return the part of a large volume that surrounds a region, all voxels.

    The surroundings are equally wide on all sides, in mm, and as wide as they can be. Without a
    region, or around one that is too large itself, they are a run of whole slices.

    Args:
        of: size of the volume.
        spacing: of its voxels, in mm.
        region: its box, axes (z, y, x); None without a region, and the run is from the middle.
        most: number of voxels that a part may have.

    >>> part_around((512, 512, 1000), (0.8, 0.8, 1.0), None).size
    (512, 512, 91)
    """
    if region and math.prod(region.size) <= most:
        around = _surroundings(of, spacing, region, most)
        (z, y, x), (nz, ny, nx) = around.start, around.size
        return Part((x, y, z), (nx, ny, nz), (1, 1, 1), of)
    count = _slices_of(of, most)
    first, slices = (region.start[0], region.size[0]) if region else (0, of[2])
    return _run(of, first + (slices - count) // 2, count)


def _surroundings(of: Triple, spacing: Spacing, region: BoundingBox, most: int) -> BoundingBox:
    """Return a region's box with the widest margin that it may have."""

    def grown(margin_mm: float) -> BoundingBox:
        return region.grown([int(margin_mm / side) for side in spacing[::-1]], of[::-1])

    fits, too_wide = 0.0, max(n * side for n, side in zip(of, spacing, strict=True))
    while too_wide - fits > min(spacing) / 2:
        margin = (fits + too_wide) / 2
        if math.prod(grown(margin).size) <= most:
            fits = margin
        else:
            too_wide = margin
    return grown(fits)


def part_from(of: Triple, first: int, most: int = MOST_VOXELS) -> Part:
    """Return a run of slices at full resolution that begins with a slice, or ends with the scan.

    Args:
        of: size of the volume.
        first: the slice, counted from the feet, from 0.
        most: number of voxels that a part may have.
    """
    return _run(of, first, _slices_of(of, most))


def reduced_whole(of: Triple, spacing: Spacing, most: int = WHOLE_VOXELS) -> Part:
    """Return the whole volume with steps between its voxels, so that these stay nearly cubes.

    Args:
        of: size of the volume.
        spacing: of its voxels, in mm.
        most: number of voxels that a part may have.

    >>> reduced_whole((512, 512, 1000), (0.8, 0.8, 1.0)).step
    (2, 2, 2)
    """
    step = [1, 1, 1]
    size = list(of)
    while math.prod(size) > most:
        finest = min((i for i in range(3) if size[i] > 1), key=lambda i: spacing[i] * step[i])
        step[finest] += 1
        size[finest] = -(-of[finest] // step[finest])
    return Part((0, 0, 0), (size[0], size[1], size[2]), (step[0], step[1], step[2]), of)


def _slices_of(of: Triple, most: int) -> int:
    return min(max(most // (of[0] * of[1]), 1), of[2])


def _run(of: Triple, first: int, count: int) -> Part:
    start = min(max(first, 0), of[2] - count)
    return Part((0, 0, start), (of[0], of[1], count), (1, 1, 1), of)
