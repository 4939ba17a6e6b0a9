"""Segment scans: a CT goes in, a pancreas mask on the same grid comes out."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.quality.check import in_ml
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.bounding_box import box_of
from pancseg.scans.conversion import ArrayGeometry, VolumeLike, as_scan
from pancseg.scans.geometry import on_grid_of, orient, require_orientation
from pancseg.segmentation import (
    DEFAULT_ENGINE,
    DEFAULT_PRECISION,
    DEFAULT_WEIGHTS,
    engines,
)
from pancseg.segmentation.along_z import Part, reach, smoothed
from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.location_prior import look
from pancseg.segmentation.postprocess import BRIDGE, FOUND, Levels, one_organ
from pancseg.segmentation.preprocess import Floats, SliceGrid
from pancseg.segmentation.second_look import (
    SecondLook,
    Wanted,
    found_by_both,
    guides,
    mean_of_looks,
)
from pancseg.segmentation.slice_search import LEAST_HEIGHT_MM, Steps, search
from pancseg.system.progress import track
from pancseg.system.stage import advance_stage, begin_stage
from pancseg.system.threads import available_cores
from pancseg.system.timing import Stopwatch, timed

log = logging.getLogger(__name__)

THRESHOLD = 0.5
BRIDGING = 0.3
"""Probability from which on voxels connect pieces of an organ (:func:`.postprocess.one_organ`)."""
_LEVELS = (BRIDGING, THRESHOLD)  # of ``BRIDGE`` (1) and ``FOUND`` (2)


class Segmented(NamedTuple):
    """A mask, and how well two looks agree on it.

    Attributes:
        mask: uint8 (0, 1), on the scan's grid.
        looks_dice: Dice of the first look's mask, cleaned, with this one; None with one look.
    """

    mask: sitk.Image
    looks_dice: float | None


class FirstLook(NamedTuple):
    """What a first look found, before cleaning.

    Attributes:
        levels: what each voxel ``(z, y, x)`` is (:mod:`.postprocess`).
        kept: slice → what the network gave for it, not smoothed.
    """

    levels: Levels
    kept: Mapping[int, Part]


class Segmenter:
    """Delineates the pancreas, tumour included. Load it once and use it for a whole cohort.

    Threads may share a segmenter; the network then works on one batch of slices at a time. A
    segmenter can be pickled (unpickling loads the network again), but it does not survive a fork:
    start processes with ``spawn``, or load a segmenter in each process.

    Attributes:
        checkpoint: the weights in use, with their provenance.
        engine: what runs the network, a key of ``ENGINES``.
        precision: ``fp32``, ``bf16`` or ``int8``, of the network's arithmetic.
        threads: CPU threads of the network.
        looks: 1, or 2 if a second network looks again, at full resolution, at what the first found;
            the mask is then where the mean of both probabilities exceeds 0.5.

    Example:
        >>> from pancseg import load_segmenter
        >>> from pancseg.phantom import make_phantom
        >>> scan = make_phantom(3, size=(96, 96, 32), spacing_mm=(3.6, 3.6, 6.0)).image
        >>> segmenter = load_segmenter("monet_phantom", threads=1)
        >>> mask = segmenter.segment(scan)
        >>> mask.GetSize() == scan.GetSize()
        True
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        threads: int,
        engine: str = DEFAULT_ENGINE,
        precision: str = DEFAULT_PRECISION,
        looks: int | None = None,
        least_height_mm: float = LEAST_HEIGHT_MM,
    ) -> None:
        """Load the network.

        Args:
            checkpoint: the weights.
            threads: CPU threads of the network.
            engine: a key of ``ENGINES``, or ``auto`` for the fastest that this machine has.
            precision: ``fp32``, ``bf16`` or ``int8``, of the network's arithmetic.
            looks: 1 or 2; by default as many as the checkpoint has networks for.
            least_height_mm: components lower than this (in mm along z) may be missed, because some
                slices are skipped; 0 skips none.

        Raises:
            ValueError: unknown engine or precision, this machine lacks what it needs, or the
                checkpoint has no network for a second look, holds one alone, or holds no ranges
                of activations for int8.
        """
        require_whole_slices(checkpoint)
        self.checkpoint = checkpoint
        self.looks = _checked_looks(looks, checkpoint)
        self.engine = _engine_for(engine, checkpoint, self.looks, precision)
        self.precision = precision
        self.threads = threads
        self._least_height_mm = least_height_mm
        self._at_once = engines.slices_at_once(self.engine, threads)
        self._load()

    def _load(self) -> None:
        with timed("load the network"):
            how = (self.threads, self.engine, self.precision)
            self._network = engines.build(self.checkpoint, *how)
            self._second_network = None
            if self.looks > 1 and self.checkpoint.second is not None:
                self._second_network = engines.build(self.checkpoint.second, *how)
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __repr__(self) -> str:
        """Return the weights' name and the engine that runs them.

        >>> from pancseg import load_segmenter
        >>> load_segmenter("monet_phantom", engine="torch", threads=1)
        Segmenter('monet_phantom', engine='torch', precision='fp32', threads=1)
        """
        how = f"engine={self.engine!r}, precision={self.precision!r}, threads={self.threads}"
        if self.checkpoint.looks > 1:
            how += f", looks={self.looks}"
        return f"Segmenter({self.checkpoint.name!r}, {how})"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot be passed to another process: loaded networks and their lock."""
        left_out = ("_network", "_second_network", "_lock", "_process")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load the network again."""
        self.__dict__.update(state)
        self._load()

    def segment(self, scan: VolumeLike, **geometry: Unpack[ArrayGeometry]) -> sitk.Image:
        """Return the mask of the pancreas in one scan.

        Slices go through the network a few at a time. Besides the scan (and a copy of it if its
        axes have to be reordered), memory holds only a few bytes per voxel.

        Args:
            scan: a 3-D CT in HU, any orientation and spacing: a path, a ``SimpleITK.Image``, a
                nibabel image, or an array ``(z, y, x)`` with ``spacing``.
            geometry: ``spacing``, ``origin`` and ``direction`` of an array.

        Returns:
            uint8 mask (0, 1) with the scan's size, spacing, origin and direction.

        Raises:
            UnusableCase: ``no_pancreas``, when no voxel reaches a probability of 0.5 (with two
                looks: when none exceeds it in the mean, or reaches it in the first); ``geometry``,
                when the header does not say how the patient lies; or the scan cannot be read.
            RuntimeError: this process was forked from the one that loaded the network.
        """
        return self.segment_and_compare(scan, **geometry).mask

    def segment_and_compare(self, scan: VolumeLike, **geometry: Unpack[ArrayGeometry]) -> Segmented:
        """Return the mask of :meth:`segment`, and with two looks their agreement.

        The agreement is the Dice of the first look's mask with that of both. No value of it is
        known that tells a wrong mask from a right one.

        Args:
            scan: as for :meth:`segment`.
            geometry: ``spacing``, ``origin`` and ``direction`` of an array.

        Raises:
            UnusableCase, RuntimeError: as for :meth:`segment`.

        Example:
            >>> from pancseg import load_segmenter
            >>> segmenter = load_segmenter("monet_phantom", threads=1)
            >>> print(segmenter.segment_and_compare("scan.nii.gz").looks_dice)
            None
        """
        image = as_scan(scan, **geometry)
        require_orientation(image)
        del scan
        oriented = orient(image, self.checkpoint.preprocessing.orientation)
        spacing_mm = oriented.GetSpacing()
        levels, first = self._found_and_first(oriented)
        mask = image_like(levels, oriented)
        del oriented, levels  # a gigabyte for 2,000 slices
        with timed("keep one organ"):
            levels = voxel_array(mask)
            organ = one_organ(levels, spacing_mm)
        if not organ.any():
            raise UnusableCase("no_pancreas", _nothing_found(len(levels), first, spacing_mm))
        made = on_grid_of(image, image_like(organ.view(np.uint8), mask))
        return Segmented(made, first.dice(organ) if first else None)

    def segment_many(
        self, scans: Iterable[VolumeLike], *, progress: bool = False
    ) -> Iterator[sitk.Image | UnusableCase]:
        """Yield the mask of each scan in turn; an unusable scan does not stop the others.

        Args:
            scans: paths, ``SimpleITK.Image`` or nibabel images; they are read one at a time. Arrays
                have no spacing here: use :meth:`segment`.
            progress: show a progress bar on standard error.

        Returns:
            For each scan its mask, or the ``UnusableCase`` that says why there is none.

        Example:
            >>> from pancseg import UnusableCase, load_segmenter
            >>> segmenter = load_segmenter("monet_phantom", threads=1)
            >>> for mask in segmenter.segment_many(["gone.nii.gz"]):
            ...     if isinstance(mask, UnusableCase):
            ...         print(mask.code)
            unreadable
        """
        if isinstance(scans, str | os.PathLike | sitk.Image) or not isinstance(scans, Iterable):
            raise TypeError("segment_many takes several scans, such as a list; use segment for one")
        return self._each(track(scans, "segmenting", shown=progress))

    def _each(self, scans: Iterator[VolumeLike]) -> Iterator[sitk.Image | UnusableCase]:
        for scan in scans:
            try:
                yield self.segment(scan)
            except UnusableCase as unusable:
                yield unusable

    def probabilities(self, scan: VolumeLike, **geometry: Unpack[ArrayGeometry]) -> sitk.Image:
        """Return the probability of "pancreas" for every voxel of one scan.

        It is the network's, smoothed along z (:mod:`.along_z`); what is below 0.01 counts as 0.
        Every slice goes through the first network, and nothing is cleaned. :meth:`segment`, in
        contrast, skips slices that it does not need, takes what reaches 0.5 (of two looks: what
        exceeds it) and keeps one organ. With two looks, the probabilities are the mean of both,
        smoothed; they are 0 where the second does not look, away from what the first look found. If
        that is nothing, they are those of the first.

        Args:
            scan: as for :meth:`segment`.
            geometry: ``spacing``, ``origin`` and ``direction`` of an array.

        Returns:
            float32 image (0 to 1) with the scan's size, spacing, origin and direction.

        Raises:
            UnusableCase: the scan cannot be read, or its header gives no orientation.
            RuntimeError: as for :meth:`segment`.
        """
        image = as_scan(scan, **geometry)
        require_orientation(image)
        oriented = orient(image, self.checkpoint.preprocessing.orientation)
        voxels, grid = voxel_array(oriented), self._grid_of(oriented)
        spacing_mm = oriented.GetSpacing()
        found = np.zeros(voxels.shape, np.float32)
        watch = Stopwatch()
        kept: dict[int, Part] = {}
        for first in range(0, len(voxels), self._at_once):
            batch = slice(first, first + self._at_once)
            made = self._probabilities_of(voxels[batch], grid, watch)
            kept.update(enumerate(map(Part.of, made), first))
        levels = np.zeros(voxels.shape, np.uint8)
        for z, plane in self._smoothed(kept, len(voxels), grid, spacing_mm[2]):
            found[z] = grid.to_scan(plane[None])[0]
            levels[z] = grid.levels(plane[None], _LEVELS)[0]
        if self._second_network and (levels == FOUND).any():
            organ = one_organ(levels, spacing_mm)
            found[:] = 0
            every = Steps(1, 1)
            for z, part in self._both_smoothed(oriented, organ, kept, every, watch):
                found[z, part.rows, part.columns] = part.values
        watch.tell()
        return on_grid_of(image, image_like(found, oriented))

    def levels(self, oriented: sitk.Image) -> Levels:
        """Return what each voxel ``(z, y, x)`` is, before cleaning (:mod:`.postprocess`).

        Voxels are found where they reach a probability of 0.5; with two looks, where the mean of
        both looks' probabilities exceeds 0.5, around what the first look found once that was
        cleaned.

        Args:
            oriented: a scan with the axes that the checkpoint's preprocessing names.
        """
        return self._found_and_first(oriented)[0]

    def found_first(self, oriented: sitk.Image) -> FirstLook:
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
            for first in range(0, len(wanted), self._at_once):
                batch = list(wanted[first : first + self._at_once])
                probabilities = self._probabilities_of(voxels[batch], grid, watch)
                shows += [bool((plane >= THRESHOLD).any()) for plane in probabilities]
                kept.update(zip(batch, map(Part.of, probabilities), strict=True))
                advance_stage("segment", len(kept), len(voxels))
            return shows

        steps = Steps.of(slice_mm, self._least_height_mm)
        search(len(voxels), steps, segment_slices, reach=max(reach(slice_mm), 1))
        levels = np.zeros(voxels.shape, np.uint8)
        with watch.running("smooth along z"):
            for z, plane in self._smoothed(kept, len(voxels), grid, slice_mm):
                levels[z] = grid.levels(plane[None], _LEVELS)[0]
        watch.tell()
        log.debug("%d of %d slices went through the network", len(kept), len(voxels))
        return FirstLook(levels, kept)

    def found_again(self, oriented: sitk.Image, first: FirstLook) -> Levels:
        """Return what both looks together find, ``(z, y, x)``, before cleaning.

        Args:
            oriented: as for :meth:`levels`.
            first: what :meth:`found_first` found.
        """
        organ = one_organ(first.levels, oriented.GetSpacing())
        return self._found_around(organ, oriented, first.kept)

    def _found_and_first(self, oriented: sitk.Image) -> tuple[Levels, _Organ | None]:
        """Return what :meth:`levels` returns, and with two looks what the first found, cleaned."""
        first, kept = self.found_first(oriented)
        if self.looks == 1:
            return first, None
        with timed("keep one organ"):
            organ = one_organ(first, oriented.GetSpacing())
        del first
        return self._found_around(organ, oriented, kept), _Organ.of(organ)

    def _found_around(
        self, organ: NDArray[np.bool_], oriented: sitk.Image, kept: Mapping[int, Part]
    ) -> Levels:
        """Return what both looks together find around the first look's organ."""
        levels = np.zeros(organ.shape, np.uint8)
        watch = Stopwatch()
        steps = Steps.of(oriented.GetSpacing()[2], self._least_height_mm)
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
        assert self.checkpoint.second is not None
        assert self.checkpoint.second.windows is not None
        slice_mm = oriented.GetSpacing()[2]
        where = guides(organ, slice_mm, self.checkpoint.second.windows.margin_mm)
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
        assert self.checkpoint.second is not None
        voxels, grid = voxel_array(oriented), self._grid_of(oriented)
        x_mm, y_mm, _ = oriented.GetSpacing()
        again = SecondLook.for_slices(voxels.shape[1:], (y_mm, x_mm), self.checkpoint.second)
        where = list(guided.items())

        def network(windows: Floats) -> Floats:
            assert self._second_network is not None
            return self._run(self._second_network, windows, watch)

        begin_stage("look again", 0, len(where))
        for done in range(0, len(where), self._at_once):
            part = where[done : done + self._at_once]
            first = {index: kept[index] for index, _ in part if index in kept}
            if lacking := [index for index, _ in part if index not in kept]:
                made = self._probabilities_of(voxels[lacking], grid, watch)
                first.update(zip(lacking, map(Part.of, made), strict=True))
            wanted = (Wanted(index, voxels[index], organ[nearest]) for index, nearest in part)
            for count, seen in enumerate(again.at(wanted, network, self._at_once), done + 1):
                with watch.running("resample back"):
                    plane = first[seen.number].in_slice(grid.shape)
                    both = mean_of_looks(plane, grid, seen, again.grid)
                yield seen.number, both
                advance_stage("look again", count, len(where))

    def _grid_of(self, oriented: sitk.Image) -> SliceGrid:
        x_mm, y_mm, _ = oriented.GetSpacing()
        columns, rows, _ = oriented.GetSize()
        return SliceGrid.for_slices((rows, columns), (y_mm, x_mm), self.checkpoint.preprocessing)

    def _probabilities_of(
        self, slices_hu: NDArray[Any], grid: SliceGrid, watch: Stopwatch
    ) -> NDArray[np.float32]:
        """Return the probabilities ``(n, size, size)`` of slices in HU ``(n, y, x)``."""
        with watch.running("prepare slices"):
            slices = grid.to_network(slices_hu)
        return self._run(
            lambda ready: look(self.checkpoint.places, self._network, ready, grid.shown_columns),
            slices,
            watch,
        )

    def _run(self, network: Callable[[Floats], Floats], slices: Floats, watch: Stopwatch) -> Floats:
        if os.getpid() != self._process:
            raise RuntimeError(
                "this Segmenter was loaded before the process was forked, so its network would "
                "hang; start processes with multiprocessing's 'spawn', or load one in each process"
            )
        with watch.running("network"), self._lock:  # an engine's requests are shared
            return network(slices)


class _Organ(NamedTuple):
    """What the first look found, cleaned: the box around it alone, which takes little memory."""

    box: tuple[slice, ...]
    voxels: NDArray[np.bool_]

    @classmethod
    def of(cls, organ: NDArray[np.bool_]) -> _Organ | None:
        """Copy the box around an organ; None if nothing was found."""
        box = box_of(organ)
        return cls(box.slices, organ[box.slices].copy()) if box else None

    def dice(self, other: NDArray[np.bool_]) -> float:
        """Return the Dice with a mask of the whole scan."""
        shared = int(np.count_nonzero(self.voxels & other[self.box]))
        return 2 * shared / (int(np.count_nonzero(self.voxels)) + int(np.count_nonzero(other)))


def _levels_by_both(mean: Floats) -> Levels:
    """Return the levels of the mean of both looks' probabilities."""
    connects = (mean >= BRIDGING).astype(np.uint8) * np.uint8(BRIDGE)
    connects[found_by_both(mean)] = FOUND
    return connects


def _nothing_found(slices: int, first: _Organ | None, spacing_mm: Sequence[float]) -> str:
    """Return the fact of a scan in which no pancreas was found, and the remedies."""
    if first is None:
        return (
            f"no pancreas found in {slices} slices; "
            "check that it is an abdominal CT in HU, or draw the mask by hand"
        )
    found_ml = np.count_nonzero(first.voxels) * float(np.prod(spacing_mm)) / 1000
    return (
        f"both looks together found nothing of the {in_ml(found_ml)} of the first look; check that "
        "it is an abdominal CT in HU, set `looks` to 1, or draw the mask by hand"
    )


def require_whole_slices(checkpoint: Checkpoint) -> None:
    """Refuse weights that were trained on windows, alone.

    Raises:
        ValueError: they are those of a second look.
    """
    if checkpoint.windows is not None:
        raise ValueError(
            "the weights are those of a second look, which sees windows of "
            f"{checkpoint.windows.in_words} pixels around a pancreas and cannot find one; join "
            "them to weights of a first look"
        )


def _checked_looks(looks: int | None, checkpoint: Checkpoint) -> int:
    if looks is None:
        return checkpoint.looks
    if isinstance(looks, bool) or not isinstance(looks, Integral) or looks not in (1, 2):
        raise ValueError(f"`looks` is {looks!r} (expected 1 or 2)")
    if looks > checkpoint.looks:
        raise ValueError(
            "`looks` is 2, but the weights hold no network for a second look; give 1, or weights "
            "that two networks were joined into"
        )
    return int(looks)


def _engine_for(engine: str, checkpoint: Checkpoint, looks: int, precision: str) -> str:
    """Return the engine that runs all networks of a checkpoint."""
    networks = [checkpoint.network]
    if looks > 1 and checkpoint.second is not None:
        networks.append(checkpoint.second.network)
    picked = [engines.pick(engine, network=each, precision=precision) for each in networks]
    return "torch" if "torch" in picked else picked[0]


def load_segmenter(
    weights: str | Path = DEFAULT_WEIGHTS,
    *,
    threads: int | None = None,
    engine: str = DEFAULT_ENGINE,
    precision: str = DEFAULT_PRECISION,
    looks: int | None = None,
    allow_code: bool = False,
) -> Segmenter:
    """Load a segmenter: a checkpoint, and an engine to run its network.

    Args:
        weights: name of a shipped checkpoint or path of a checkpoint file.
        threads: CPU threads of the network; all cores by default.
        engine: what runs the network: ``auto`` takes a GPU, else OpenVINO, else torch.
        precision: ``fp32``, or ``bf16``, which is faster where the CPU or GPU supports it and
            changes some voxels; or ``int8``, in OpenVINO, which changes more (about 1 % of a
            mask's voxels).
        looks: 1, or 2 for a second look at full resolution; by default as many as the checkpoint
            has networks for.
        allow_code: load a checkpoint whose network is a class outside pancseg, and run that
            module's code. Do so only for checkpoints from people whom you trust.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_checkpoint`; ValueError also when this
            machine lacks what the engine or the precision needs, or when the weights lack a look
            (the second one asked for, or the first) or the ranges of activations for int8.

    Example:
        >>> load_segmenter("monet_phantom", engine="torch", threads=1).checkpoint.network
        'monet'
    """
    if threads is not None and (not isinstance(threads, Integral) or threads < 1):
        raise ValueError(f"`threads` is {threads!r}; give a whole number of 1 or more")
    with timed("read the weights"):
        checkpoint = load_checkpoint(weights, allow_code=allow_code)
    return Segmenter(
        checkpoint,
        threads=threads or available_cores(),
        engine=engine,
        precision=precision,
        looks=looks,
    )
