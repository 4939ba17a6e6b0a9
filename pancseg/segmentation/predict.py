"""Segmenter: a scan in, a mask on the scan's own grid out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg import scans
from pancseg.segmentation.checkpoint import DEFAULT, Checkpoint, load_checkpoint
from pancseg.segmentation.engines import ENGINES
from pancseg.segmentation.postprocess import one_organ
from pancseg.segmentation.preprocess import SliceGrid
from pancseg.unusable import UnusableCase

THRESHOLD = 0.5
SLICES_PER_BATCH = 8


class Segmenter:
    """Delineates the pancreas, tumour included. Loaded once, used for a whole cohort.

    Attributes:
        checkpoint: the weights in use, with their provenance.
    """

    def __init__(self, checkpoint: Checkpoint, *, threads: int, engine: str = "torch") -> None:
        self.checkpoint = checkpoint
        self._probabilities = ENGINES[engine](checkpoint, threads)

    def segment(self, scan: sitk.Image) -> sitk.Image:
        """Return the pancreas of one scan.

        Slices go through the network a few at a time. Beyond the scan (and a copy of it where its
        axes run otherwise) a few bytes per voxel are held, however many slices there are.

        Args:
            scan: a 3-D CT in HU, any orientation and spacing.

        Returns:
            uint8 mask (0, 1) with the scan's size, spacing, origin and direction.

        Raises:
            UnusableCase: ``no_pancreas``, when no voxel reaches a probability of 0.5.
        """
        oriented = scans.orient(scan, self.checkpoint.preprocessing.orientation)
        found = self._found(oriented)
        organ = one_organ(found, float(np.prod(scan.GetSpacing())) / 1000)
        if not organ.any():
            raise UnusableCase(
                "no_pancreas",
                f"no pancreas found in {len(found)} slices; "
                "is it an abdominal CT in HU? Otherwise draw the mask",
            )
        mask = scans.like(organ.astype(np.uint8), oriented)
        return scans.on_grid_of(scan, mask)

    def _found(self, oriented: sitk.Image) -> NDArray[np.bool_]:
        """Return the voxels ``(z, y, x)`` that reach the threshold, before cleaning."""
        voxels = scans.array(oriented)
        x_mm, y_mm, _ = oriented.GetSpacing()
        shape = (voxels.shape[1], voxels.shape[2])
        grid = SliceGrid.for_slices(shape, (y_mm, x_mm), self.checkpoint.preprocessing)
        found = np.zeros(voxels.shape, dtype=bool)
        for first in range(0, len(voxels), SLICES_PER_BATCH):
            batch = slice(first, first + SLICES_PER_BATCH)
            probabilities = self._probabilities(grid.to_network(voxels[batch]))
            found[batch] = grid.to_scan(probabilities) >= THRESHOLD
        return found


def load(weights: str | Path = DEFAULT, *, threads: int | None = None) -> Segmenter:
    """Load a segmenter.

    Args:
        weights: name of a shipped checkpoint or path of a checkpoint file.
        threads: CPU threads of the network; all cores by default.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_checkpoint`.
    """
    return Segmenter(load_checkpoint(weights), threads=threads or available_cores())


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
