"""Look again at what a first look found, in windows of the scan's own resolution.

The first look sees whole slices, in which a pixel of the network covers two of the scan's each way.
The second sees less around the pancreas, but every pixel (coarse to fine, arXiv 1612.08230). What
counts is the mean of both looks' probabilities: a second look alone loses more where it lacks the
context (docs/log.md, 2026-11-30). Slices are arrays ``(y, x)`` of an upright scan (LPS).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancseg.scans.bounding_box import box_of
from pancseg.segmentation.checkpoint import Checkpoint
from pancseg.segmentation.look_windows import LookWindows
from pancseg.segmentation.preprocess import Floats, SliceGrid
from pancseg.segmentation.window_placement import MOST_PIECES, Box, Window, windows_around

Mask = NDArray[np.bool_]
NOMINAL_PIXEL_MM = 0.8
"""Pixel of stored slices, whose spacing is not known."""
_ROUNDING = 1e-4


class Wanted(NamedTuple):
    """A slice to look at again.

    Attributes:
        number: of the slice in the scan.
        hu: the slice, ``(y, x)``.
        around: what the first look found, here or on the nearest slice that shows something.
    """

    number: int
    hu: NDArray[Any]
    around: Mask


class Seen(NamedTuple):
    """What the second look alone saw in a slice.

    Attributes:
        number: of the slice in the scan.
        probability: on the network's grid; 0 outside the windows.
        near: the scan's pixels ``(y, x)`` that are near enough to what the first look found, and
            shown by a window.
    """

    number: int
    probability: Floats
    near: Mask


@dataclass(frozen=True)
class SecondLook:
    """The second look at slices of one shape and spacing.

    Attributes:
        windows: their size, pixels and reach.
        grid: the maps between the scan's pixels and the network's.
        spacing_mm: of the scan's pixels (y, x).
    """

    windows: LookWindows
    grid: SliceGrid
    spacing_mm: tuple[float, float]

    @classmethod
    def for_slices(
        cls, shape: tuple[int, int], spacing_mm: tuple[float, float], checkpoint: Checkpoint
    ) -> SecondLook:
        """Prepare a second look.

        Args:
            shape: rows and columns of the scan's slices.
            spacing_mm: of their pixels (y, x).
            checkpoint: that of the second look.
        """
        windows = checkpoint.windows
        assert windows is not None
        pixel_mm = float(np.clip(max(spacing_mm), *windows.pixel_mm))
        window_hu = checkpoint.preprocessing.window_hu
        grid = SliceGrid.of_pixels(shape, spacing_mm, pixel_mm, windows.size, window_hu)
        return cls(windows, grid, spacing_mm)

    @classmethod
    def for_stored(cls, shape: tuple[int, ...], checkpoint: Checkpoint) -> SecondLook:
        """Prepare a second look at stored slices of unknown spacing, resampled as in training.

        Args:
            shape: rows and columns of the slices.
            checkpoint: that of the second look.
        """
        windows = checkpoint.windows
        assert windows is not None
        spacing = NOMINAL_PIXEL_MM * checkpoint.preprocessing.size / max(shape)
        rows, columns = shape
        window_hu = checkpoint.preprocessing.window_hu
        spacing_mm = (spacing, spacing)
        grid = SliceGrid.of_pixels(
            (rows, columns), spacing_mm, NOMINAL_PIXEL_MM, windows.size, window_hu
        )
        return cls(windows, grid, spacing_mm)

    def at(
        self, slices: Iterable[Wanted], network: Callable[[Floats], Floats], at_once: int
    ) -> Iterator[Seen]:
        """Yield what is seen in each slice; only a few slices are in memory at a time.

        Args:
            slices: the slices to look at.
            network: from windows ``(n, rows, columns)`` in 0..1 to probabilities.
            at_once: number of windows to give to the network at a time.
        """
        waiting: list[tuple[Wanted, list[Window]]] = []
        parts: list[Floats] = []
        for wanted in slices:
            found = self.windows_around(wanted.around)
            parts += [self.grid.window(wanted.hu, *window) for window in found]
            waiting.append((wanted, found))
            if len(parts) >= at_once:
                yield from self._seen(waiting, parts, network, at_once)
                waiting, parts = [], []
        if waiting:
            yield from self._seen(waiting, parts, network, at_once)

    def _seen(
        self,
        waiting: list[tuple[Wanted, list[Window]]],
        parts: list[Floats],
        network: Callable[[Floats], Floats],
        at_once: int,
    ) -> Iterator[Seen]:
        batches = (parts[i : i + at_once] for i in range(0, len(parts), at_once))
        probabilities = iter([each for batch in batches for each in network(np.stack(batch))])
        for wanted, windows in waiting:
            total, count = np.zeros((2, *self.grid.shape), np.float32)
            for window in windows:
                total[window] += next(probabilities)
                count[window] += 1
            total /= np.maximum(count, 1)
            near = self._shown(self._near(wanted.around), count > 0)
            yield Seen(wanted.number, total, near)

    def windows_around(self, found: Mask) -> list[Window]:
        """Return windows that together show all pixels found in a slice.

        One window shows as many pieces as fit into it with a margin, the largest first
        (:mod:`pancseg.segmentation.window_placement`).

        Args:
            found: the scan's pixels ``(y, x)``.
        """
        around = box_of(found[None])
        if around is None:
            return []
        labels, count = ndimage.label(found, structure=np.ones((3, 3)))
        if count > MOST_PIECES:
            boxes = [self._on_grid((around.slices[1], around.slices[2]))]
        else:
            sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
            pieces = ndimage.find_objects(labels)
            boxes = [self._on_grid(pieces[i]) for i in np.argsort(-sizes, kind="stable")]
        return windows_around(boxes, self.windows.size, self.grid.shape)

    def _on_grid(self, box: tuple[slice, slice]) -> Box:
        """Return a box of the scan's pixels on the network's grid."""
        (top, bottom), (left, right) = (
            (math.floor(taps.position(side.start)), math.ceil(taps.position(side.stop - 1)) + 1)
            for taps, side in zip((self.grid.up_y, self.grid.up_x), box, strict=True)
        )
        return (top, bottom), (left, right)

    def _near(self, found: Mask) -> Mask:
        """Return the pixels within reach of those found."""
        near = np.zeros_like(found)
        box = box_of(found[None])
        if box is None:
            return near
        sides = []
        for side, mm, n in zip(box.slices[1:], self.spacing_mm, found.shape, strict=True):
            reach = math.ceil(self.windows.reach_mm / mm)
            sides.append(slice(max(side.start - reach, 0), min(side.stop + reach, n)))
        part = tuple(sides)
        distance = ndimage.distance_transform_edt(~found[part], sampling=self.spacing_mm)
        near[part] = distance <= self.windows.reach_mm
        return near

    def _shown(self, near: Mask, in_windows: Mask) -> Mask:
        """Return those of the near pixels all of whose neighbours on the network's grid were seen.

        Args:
            near: the scan's pixels ``(y, x)``.
            in_windows: the network's pixels that a window showed.
        """
        box = box_of(near[None])
        if box is None:
            return near
        _, rows, columns = box.slices
        (top, bottom), (left, right) = self._on_grid((rows, columns))
        if not in_windows[top:bottom, left:right].all():
            share = self.grid.part_of_scan(in_windows.astype(np.float32), rows, columns)
            near[rows, columns] &= share > 1 - _ROUNDING
        return near


def mean_of_looks(
    first: Floats, first_grid: SliceGrid, seen: Seen, second_grid: SliceGrid
) -> Floats:
    """Return the mean of both looks' probabilities in a slice, on the scan's pixels ``(y, x)``.

    It is 0 where the second look's findings do not count: away from those of the first, and
    outside the windows.

    Args:
        first: what the first look's network gave for the slice, on ``first_grid``, in 0..1.
        first_grid: the maps between the scan's pixels and the first network's.
        seen: what the second look saw there.
        second_grid: the maps between the scan's pixels and the second network's.
    """
    mean = np.zeros(seen.near.shape, np.float32)
    if box := box_of(seen.near[None]):
        _, *part = box.slices
        inside = (part[0], part[1])
        for probability, grid in ((first, first_grid), (seen.probability, second_grid)):
            mean[inside] += np.minimum(grid.part_of_scan(probability, *inside), 1)  # rounding
        mean[inside] *= np.float32(0.5)
        mean[inside] *= seen.near[inside]
    return mean


def found_by_both(mean: Floats) -> Mask:
    """Return where the mean of both looks' probabilities says pancreas: where it exceeds 0.5.

    At 0.5 one look can be certain of what the other excludes, and neither outvotes the other.

    >>> found_by_both(np.array([[0.5, 0.51]], np.float32))
    array([[False,  True]])
    """
    return mean > np.float32(0.5)


def guides(organ: Mask, slice_mm: float, margin_mm: float) -> dict[int, int]:
    """Return, for each slice to look at again, the slice whose findings say where.

    These are the slices of the organ, and those up to ``margin_mm`` above and below it or between
    its pieces, which take the nearest slice that shows something.

    Args:
        organ: what the first look found, ``(z, y, x)``.
        slice_mm: distance of the slices.
        margin_mm: of the slices to add.

    >>> guides(np.array([0, 0, 1, 1, 0], bool).reshape(5, 1, 1), 2.5, 3.0)
    {1: 2, 2: 2, 3: 3, 4: 3}
    """
    shown = np.flatnonzero(organ.any(axis=(1, 2)))
    if not shown.size:
        return {}
    reach = int(margin_mm / slice_mm + 1e-9)
    found = {}
    for index in range(max(shown[0] - reach, 0), min(shown[-1] + reach + 1, len(organ))):
        nearest = int(shown[np.argmin(np.abs(shown - index))])
        if abs(nearest - index) <= reach or nearest == index:
            found[index] = nearest
    return found
