"""Estimate the network's uncertainty: the agreement of masks that are made with active dropout.

This is Monte Carlo dropout (Gal and Ghahramani 2016), summed up as the mean pairwise Dice. It
always runs with torch on the CPU in fp32, whichever engine makes the mask. The same seed gives
identical results on any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import combinations

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pancseg.scans.arrays import voxel_array
from pancseg.scans.bounding_box import box_of
from pancseg.scans.geometry import orient
from pancseg.segmentation.checkpoint import Checkpoint
from pancseg.segmentation.engines.batch_norm import fold_batch_norm
from pancseg.segmentation.location_prior import look
from pancseg.segmentation.looks import THRESHOLD
from pancseg.segmentation.networks.dropout import drops
from pancseg.segmentation.preprocess import SliceGrid
from pancseg.system.timing import timed

FEWEST_PASSES = 2
_SEED = 0


class DropoutPasses:
    """A checkpoint's network with its dropout active.

    Attributes:
        passes: number of masks that are compared.
    """

    def __init__(self, checkpoint: Checkpoint, passes: int, threads: int) -> None:
        """Prepare the network.

        Args:
            checkpoint: the weights.
            passes: number of masks to make, at least 2.
            threads: number of slices that are computed at a time; does not affect the result.

        Raises:
            ValueError: fewer than two passes, or the network has no dropout or was trained without.
        """
        if passes < FEWEST_PASSES:
            raise ValueError(
                f"`uncertainty` is {passes}, but masks are compared in pairs; give 2 or more passes"
            )
        if not drops(checkpoint.build()):
            raise ValueError(
                f"network {checkpoint.network} has no dropout, which `uncertainty` needs; "
                "choose weights of another network"
            )
        if checkpoint.dropout == 0:
            raise ValueError(
                "`uncertainty` needs weights that were trained with dropout; these were not, so "
                "choose others"
            )
        self.passes = passes
        self._checkpoint = checkpoint
        self._threads = threads

    def agreement(self, scan: sitk.Image, mask: sitk.Image, seed: int = _SEED) -> float:
        """Return the mean Dice over all pairs of masks, in the slices that contain ``mask``.

        The masks are thresholded but not cleaned. Only a few slices are in memory at a time.

        Args:
            scan: volume in HU.
            mask: the segmenter's mask of the scan, on the same grid.
            seed: seed of the dropout.

        Returns:
            Mean Dice, 0..1.
        """
        preprocessing = self._checkpoint.preprocessing
        oriented = orient(scan, preprocessing.orientation)
        voxels = voxel_array(oriented)
        inside = voxel_array(orient(mask, preprocessing.orientation)) != 0
        wanted = np.flatnonzero(inside.any(axis=(1, 2))).tolist()
        x_mm, y_mm, _ = oriented.GetSpacing()
        grid = SliceGrid.for_slices(voxels.shape[1:], (y_mm, x_mm), preprocessing)
        location_prior = self._checkpoint.places

        def overlaps_in(slices: list[int]) -> NDArray[np.int64]:
            network = _DropoutNetwork(self._checkpoint)
            found = np.zeros((self.passes, self.passes), np.int64)
            for index in slices:
                ready = grid.to_network(voxels[index : index + 1])
                made = [
                    look(
                        location_prior,
                        partial(network, seed=(seed, index, n)),
                        ready,
                        grid.shown_columns,
                    )
                    for n in range(self.passes)
                ]
                found += _overlaps(grid.reaching(np.concatenate(made), THRESHOLD))
            return found

        parts = [wanted[n :: self._threads] for n in range(self._threads)]
        with (
            timed("network with dropout"),
            _one_thread_each(),
            ThreadPoolExecutor(self._threads) as pool,
        ):
            total = sum(pool.map(overlaps_in, filter(None, parts)), np.zeros((), np.int64))
        return _mean_dice(np.asarray(total))


class _DropoutNetwork:
    """The network with seeded dropout, for one thread."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._generator = torch.Generator()
        self._network = fold_batch_norm(checkpoint.build())
        for parent in list(self._network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.Dropout2d):
                    setattr(parent, name, _SeededDropout(child.p, self._generator))
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(
        self, one_slice: NDArray[np.float32], seed: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Map one slice ``(1, H, W)`` to probabilities of the same shape."""
        (state,) = np.random.SeedSequence(seed).generate_state(1, np.uint32)
        self._generator.manual_seed(int(state))
        with torch.inference_mode():
            batch = torch.from_numpy(one_slice)[:, None]
            logits = self._network(batch.contiguous(memory_format=torch.channels_last))
            found: NDArray[np.float32] = torch.sigmoid(logits)[:, 0].numpy()
            return found


class _SeededDropout(nn.Module):
    """Dropout of whole channels, always active, with its random numbers from a given generator."""

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self._share, self._generator = share, generator

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        kept = torch.rand((*x.shape[:2], 1, 1), generator=self._generator) >= self._share
        return x * (kept / (1 - self._share))


def _overlaps(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of pixels that each pair of masks ``(passes, y, x)`` has in common."""
    box = box_of(masks)
    if box is None:
        return np.zeros((len(masks), len(masks)), np.int64)
    _, rows, columns = box.slices
    flat = masks[:, rows, columns].reshape(len(masks), -1).astype(np.float64)
    return np.rint(flat @ flat.T).astype(np.int64)


def _mean_dice(shared: NDArray[np.int64]) -> float:
    """Return the mean Dice over pairs of masks; two empty masks agree.

    Args:
        shared: pixels that each pair has in common; on the diagonal, the masks' sizes.
    """
    sizes = np.diagonal(shared)
    pairs = combinations(range(len(sizes)), 2)
    found = [
        2 * int(shared[a, b]) / total if (total := int(sizes[a] + sizes[b])) else 1.0
        for a, b in pairs
    ]
    return float(np.mean(found))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep torch from splitting work among threads, which would change the last bits of results."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
