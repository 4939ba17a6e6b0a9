"""Segment scans: a CT goes in, a pancreas mask on the same grid comes out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import NamedTuple, Unpack

import numpy as np
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.quality.check import in_ml
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.conversion import ArrayGeometry, VolumeLike, as_scan
from pancseg.scans.geometry import on_grid_of, orient, require_orientation
from pancseg.segmentation import (
    DEFAULT_ENGINE,
    DEFAULT_PRECISION,
    DEFAULT_WEIGHTS,
)
from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.loaded_networks import LoadedNetworks
from pancseg.segmentation.looks import FoundOrgan, Looks
from pancseg.segmentation.postprocess import one_organ
from pancseg.segmentation.slice_search import LEAST_HEIGHT_MM
from pancseg.system.progress import track
from pancseg.system.threads import available_cores
from pancseg.system.timing import timed


class Segmented(NamedTuple):
    """A mask, and how well two looks agree on it.

    Attributes:
        mask: uint8 (0, 1), on the scan's grid.
        looks_dice: Dice of the first look's mask, cleaned, with this one; None with one look.
    """

    mask: sitk.Image
    looks_dice: float | None


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
        looking: what the networks find before it is cleaned.

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
        networks = LoadedNetworks(
            checkpoint, threads=threads, engine=engine, precision=precision, looks=looks
        )
        self.checkpoint = checkpoint
        self.looks = networks.looks
        self.engine = networks.engine
        self.precision = precision
        self.threads = threads
        self.looking = Looks(networks, least_height_mm)

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
        levels, first = self.looking.levels_and_first(oriented)
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
        found = self.looking.probabilities(oriented)
        return on_grid_of(image, image_like(found, oriented))


def _nothing_found(slices: int, first: FoundOrgan | None, spacing_mm: Sequence[float]) -> str:
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
