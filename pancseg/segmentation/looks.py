"""Look at a scan with one network or two: from slices to what each voxel is.

A scan here is oriented as the checkpoint's preprocessing says, and arrays are ``(z, y, x)``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.scans.arrays import voxel_array
from pancseg.scans.bounding_box import box_of
from pancseg.segmentation.along_z import Part, reach, smoothed
from pancseg.segmentation.loaded_networks import LoadedNetworks
from pancseg.segmentation.postprocess import BRIDGE, FOUND, Levels, one_organ
from pancseg.segmentation.preprocess import Floats, SliceGrid
from pancseg.segmentation.second_look import (
    SecondLook,
    Wanted,
    found_by_both,
    guides,
    mean_of_looks,
)
from pancseg.segmentation.slice_search import Steps, search
from pancseg.system.stage import advance_stage, begin_stage
from pancseg.system.timing import Stopwatch, timed

log = logging.getLogger(__name__)

THRESHOLD = 0.5
BRIDGING = 0.3
"""Probability from which on voxels connect pieces of an organ (:func:`.postprocess.one_organ`)."""
_LEVELS = (BRIDGING, THRESHOLD)  # of ``BRIDGE`` (1) and ``FOUND`` (2)


class FirstLook(NamedTuple):
    """What a first look found, before cleaning.

    Attributes:
        levels: what each voxel ``(z, y, x)`` is (:mod:`.postprocess`).
        kept: slice → what the network gave for it, not smoothed.
    """

    levels: Levels
    kept: Mapping[int, Part]


class FoundOrgan(NamedTuple):
    """What the first look found, cleaned: the box around it alone, which takes little memory."""

    box: tuple[slice, ...]
    voxels: NDArray[np.bool_]

    @classmethod
    def of(cls, organ: NDArray[np.bool_]) -> FoundOrgan | None:
        """Copy the box around an organ; None if nothing was found."""
        box = box_of(organ)
        return cls(box.slices, organ[box.slices].copy()) if box else None

    def dice(self, other: NDArray[np.bool_]) -> float:
        """Return the Dice with a mask of the whole scan."""
        shared = int(np.count_nonzero(self.voxels & other[self.box]))
        return 2 * shared / (int(np.count_nonzero(self.voxels)) + int(np.count_nonzero(other)))


class Looks:
    """What networks find in scans, before it is cleaned.

    Attributes:
        networks: that look.
        least_height_mm: components lower than this along z may be missed; 0: no slice is skipped.
    """

    def __init__(self, networks: LoadedNetworks, least_height_mm: float) -> None:
        self.networks = networks
        self.least_height_mm = least_height_mm

    def levels(self, oriented: sitk.Image) -> Levels:
        """Return what each voxel ``(z, y, x)`` is, before cleaning (:mod:`.postprocess`).

        Voxels are found where they reach a probability of 0.5; with two looks, where the mean of
        both looks' probabilities exceeds 0.5, around what the first look found once that was
        cleaned.

        Args:
            oriented: a scan with the axes that the checkpoint's preprocessing names.
        """
        return self.levels_and_first(oriented)[0]

    def levels_and_first(self, oriented: sitk.Image) -> tuple[Levels, FoundOrgan | None]:
        """Return what :meth:`levels` returns, and with two looks what the first found, cleaned.

        Args:
            oriented: as for :meth:`levels`.
        """
        first, kept = self.first(oriented)
        if self.networks.looks == 1:
            return first, None
        with timed("keep one organ"):
            organ = one_organ(first, oriented.GetSpacing())
        del first
        return self._found_around(organ, oriented, kept), FoundOrgan.of(organ)

    def first(self, oriented: sitk.Image) -> FirstLook:
        """Return what the first look finds, before cleaning.

        Args:
            oriented: as for :meth:`levels`.
        """
        voxels, grid = voxel_array(oriented), self._grid_of(oriented)
        slice_mm = oriented.GetSpacing()[2]
        kept: dict[int, Part] = {}
        watch = Stopwatch()
        begin_stage("segment", 0, len(voxels))

        def segment_slices(wanted: Sequence[int]) -> list[bool]:
            shows: list[bool] = []
            for first in range(0, len(wanted), self.networks.at_once):
                batch = list(wanted[first : first + self.networks.at_once])
                probabilities = self.networks.first(voxels[batch], grid, watch)
                shows += [bool((plane >= THRESHOLD).any()) for plane in probabilities]
                kept.update(zip(batch, map(Part.of, probabilities), strict=True))
                advance_stage("segment", len(kept), len(voxels))
            return shows

        steps = Steps.of(slice_mm, self.least_height_mm)
        search(len(voxels), steps, segment_slices, reach=max(reach(slice_mm), 1))
        levels = np.zeros(voxels.shape, np.uint8)
        with watch.running("smooth along z"):
            for z, plane in self._smoothed(kept, len(voxels), grid, slice_mm):
                levels[z] = grid.levels(plane[None], _LEVELS)[0]
        watch.tell()
        log.debug("%d of %d slices went through the network", len(kept), len(voxels))
        return FirstLook(levels, kept)

    def again(self, oriented: sitk.Image, first: FirstLook) -> Levels:
        """Return what both looks together find, ``(z, y, x)``, before cleaning.

        Args:
            oriented: as for :meth:`levels`.
            first: what :meth:`first` found.
        """
        organ = one_organ(first.levels, oriented.GetSpacing())
        return self._found_around(organ, oriented, first.kept)

    def probabilities(self, oriented: sitk.Image) -> NDArray[np.float32]:
        """Return the smoothed probability of every voxel; every slice is looked at.

        With two looks, it is the mean of both where the second looks, and 0 elsewhere.

        Args:
            oriented: as for :meth:`levels`.
        """
        voxels, grid = voxel_array(oriented), self._grid_of(oriented)
        spacing_mm = oriented.GetSpacing()
        found = np.zeros(voxels.shape, np.float32)
        watch = Stopwatch()
        kept: dict[int, Part] = {}
        for first in range(0, len(voxels), self.networks.at_once):
            batch = slice(first, first + self.networks.at_once)
            made = self.networks.first(voxels[batch], grid, watch)
            kept.update(enumerate(map(Part.of, made), first))
        levels = np.zeros(voxels.shape, np.uint8)
        for z, plane in self._smoothed(kept, len(voxels), grid, spacing_mm[2]):
            found[z] = grid.to_scan(plane[None])[0]
            levels[z] = grid.levels(plane[None], _LEVELS)[0]
        if self.networks.looks > 1 and (levels == FOUND).any():
            organ = one_organ(levels, spacing_mm)
            found[:] = 0
            every = Steps(1, 1)
            for z, part in self._both_smoothed(oriented, organ, kept, every, watch):
                found[z, part.rows, part.columns] = part.values
        watch.tell()
        return found

    def _found_around(
        self, organ: NDArray[np.bool_], oriented: sitk.Image, kept: Mapping[int, Part]
    ) -> Levels:
        """Return what both looks together find around the first look's organ."""
        levels = np.zeros(organ.shape, np.uint8)
        watch = Stopwatch()
        steps = Steps.of(oriented.GetSpacing()[2], self.least_height_mm)
        for z, part in self._both_smoothed(oriented, organ, kept, steps, watch):
            levels[z, part.rows, part.columns] = _levels_by_both(part.values)
        watch.tell()
        return levels

    def _smoothed(
        self, kept: Mapping[int, Part], count: int, grid: SliceGrid, slice_mm: float
    ) -> Iterator[tuple[int, Floats]]:
        """Yield the smoothed slices that show something, on the network's grid."""
        for z, part in smoothed(sorted(kept.items()), range(count), slice_mm):
            yield z, part.in_slice(grid.shape)

    def _both_smoothed(
        self,
        oriented: sitk.Image,
        organ: NDArray[np.bool_],
        kept: Mapping[int, Part],
        steps: Steps,
        watch: Stopwatch,
    ) -> Iterator[tuple[int, Part]]:
        """Yield the smoothed mean of both looks, on the scan's pixels, as :meth:`_both_looks`."""
        assert self.networks.checkpoint.second is not None
        assert self.networks.checkpoint.second.windows is not None
        slice_mm = oriented.GetSpacing()[2]
        where = guides(organ, slice_mm, self.networks.checkpoint.second.windows.margin_mm)
        count = len(organ)
        again = {z: nearest for z, nearest in where.items() if steps.meet(z, count)}
        both = self._both_looks(oriented, organ, again, kept, watch)
        seen = ((z, Part.of(mean)) for z, mean in both)
        yield from smoothed(seen, where, slice_mm)

    def _both_looks(
        self,
        oriented: sitk.Image,
        organ: NDArray[np.bool_],
        guided: Mapping[int, int],
        kept: Mapping[int, Part],
        watch: Stopwatch,
    ) -> Iterator[tuple[int, Floats]]:
        """Yield the slices around an organ ``(z, y, x)``, each with the mean of both looks there.

        Args:
            oriented: the scan.
            organ: what the first look found, cleaned.
            guided: the slices to look at, and for each the slice whose findings say where.
            kept: what the first look's network gave for some of the slices; others go through it
                now.
            watch: for the times of the steps.
        """
        assert self.networks.checkpoint.second is not None
        voxels, grid = voxel_array(oriented), self._grid_of(oriented)
        x_mm, y_mm, _ = oriented.GetSpacing()
        again = SecondLook.for_slices(
            voxels.shape[1:], (y_mm, x_mm), self.networks.checkpoint.second
        )
        where = list(guided.items())

        def network(windows: Floats) -> Floats:
            return self.networks.second(windows, watch)

        begin_stage("look again", 0, len(where))
        for done in range(0, len(where), self.networks.at_once):
            part = where[done : done + self.networks.at_once]
            first = {index: kept[index] for index, _ in part if index in kept}
            if lacking := [index for index, _ in part if index not in kept]:
                made = self.networks.first(voxels[lacking], grid, watch)
                first.update(zip(lacking, map(Part.of, made), strict=True))
            wanted = (Wanted(index, voxels[index], organ[nearest]) for index, nearest in part)
            for count, seen in enumerate(
                again.at(wanted, network, self.networks.at_once), done + 1
            ):
                with watch.running("resample back"):
                    plane = first[seen.number].in_slice(grid.shape)
                    both = mean_of_looks(plane, grid, seen, again.grid)
                yield seen.number, both
                advance_stage("look again", count, len(where))

    def _grid_of(self, oriented: sitk.Image) -> SliceGrid:
        x_mm, y_mm, _ = oriented.GetSpacing()
        columns, rows, _ = oriented.GetSize()
        return SliceGrid.for_slices(
            (rows, columns), (y_mm, x_mm), self.networks.checkpoint.preprocessing
        )


def _levels_by_both(mean: Floats) -> Levels:
    """Return the levels of the mean of both looks' probabilities."""
    connects = (mean >= BRIDGING).astype(np.uint8) * np.uint8(BRIDGE)
    connects[found_by_both(mean)] = FOUND
    return connects
