"""Segmenter: a scan in, a mask on the scan's own grid out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.geometry import on_grid_of, orient
from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import DEFAULT, Checkpoint, load_checkpoint
from pancseg.segmentation.engines import AUTO
from pancseg.segmentation.location_prior import look
from pancseg.segmentation.postprocess import one_organ
from pancseg.segmentation.preprocess import SliceGrid
from pancseg.segmentation.slice_search import LEAST_HEIGHT_MM, search, step_for
from pancseg.system.threads import available_cores
from pancseg.system.timing import Stopwatch, timed

log = logging.getLogger(__name__)

THRESHOLD = 0.5


class Segmenter:
    """Delineates the pancreas, tumour included. Loaded once, used for a whole cohort.

    Attributes:
        checkpoint: the weights in use, with their provenance.
        engine: what runs the network, a key of ``ENGINES``.
        precision: of the network's arithmetic.
        threads: CPU threads of the network.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        threads: int,
        engine: str = AUTO,
        precision: str = "fp32",
        least_height_mm: float = LEAST_HEIGHT_MM,
    ) -> None:
        """Load the network.

        Args:
            checkpoint: the weights.
            threads: CPU threads of the network.
            engine: a key of ``ENGINES``, or ``auto`` for the fastest that this machine has.
            precision: of the network's arithmetic.
            least_height_mm: components that are lower than this along the patient may be missed,
                because not every slice is looked at; 0 looks at every slice.

        Raises:
            ValueError: unknown engine or precision, or this machine lacks what it needs.
        """
        self.checkpoint = checkpoint
        self.engine = engines.pick(engine)
        self.precision = precision
        self.threads = threads
        self._least_height_mm = least_height_mm
        self._at_once = engines.slices_at_once(self.engine, threads)
        with timed("load the network"):
            self._probabilities = engines.build(checkpoint, threads, self.engine, precision)

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
        oriented = orient(scan, self.checkpoint.preprocessing.orientation)
        mask = image_like(self.found(oriented).view(np.uint8), oriented)
        del oriented  # of 2,000 slices it is a gigabyte
        with timed("keep one component"):
            found = voxel_array(mask).view(np.bool_)
            organ = one_organ(found, float(np.prod(scan.GetSpacing())) / 1000)
        if not organ.any():
            raise UnusableCase(
                "no_pancreas",
                f"no pancreas found in {len(found)} slices; "
                "is it an abdominal CT in HU? Otherwise draw the mask",
            )
        return on_grid_of(scan, image_like(organ.view(np.uint8), mask))

    def found(self, oriented: sitk.Image) -> NDArray[np.bool_]:
        """Return the voxels ``(z, y, x)`` that reach the threshold, before cleaning.

        Args:
            oriented: a scan with the axes that the checkpoint's preprocessing names.
        """
        voxels = voxel_array(oriented)
        x_mm, y_mm, z_mm = oriented.GetSpacing()
        shape = (voxels.shape[1], voxels.shape[2])
        grid = SliceGrid.for_slices(shape, (y_mm, x_mm), self.checkpoint.preprocessing)
        found = np.zeros(voxels.shape, dtype=bool)
        watch = Stopwatch()

        def look(wanted: Sequence[int]) -> list[bool]:
            for first in range(0, len(wanted), self._at_once):
                batch = list(wanted[first : first + self._at_once])
                found[batch] = self._reaching(voxels[batch], grid, watch)
            return [bool(found[i].any()) for i in wanted]

        looked_at = search(len(voxels), step_for(z_mm, self._least_height_mm), look)
        watch.tell()
        log.debug("%d of %d slices went through the network", len(looked_at), len(voxels))
        return found

    def _reaching(
        self, slices_hu: NDArray[Any], grid: SliceGrid, watch: Stopwatch
    ) -> NDArray[np.bool_]:
        with watch.running("prepare slices"):
            slices = grid.to_network(slices_hu)
        with watch.running("network"):
            probabilities = look(
                self.checkpoint.places, self._probabilities, slices, grid.shown_columns
            )
        with watch.running("resample back"):
            return grid.reaching(probabilities, THRESHOLD)


def load_segmenter(
    weights: str | Path = DEFAULT,
    *,
    threads: int | None = None,
    engine: str = AUTO,
    precision: str = "fp32",
) -> Segmenter:
    """Load a segmenter.

    Args:
        weights: name of a shipped checkpoint or path of a checkpoint file.
        threads: CPU threads of the network; all cores by default.
        engine: what runs the network: ``auto`` takes a GPU, else OpenVINO, else torch.
        precision: ``bf16`` is faster where the CPU or GPU has it, and changes some voxels.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_checkpoint`; ValueError also when this
            machine lacks what the engine or the precision needs.
    """
    with timed("read the weights"):
        checkpoint = load_checkpoint(weights)
    return Segmenter(
        checkpoint, threads=threads or available_cores(), engine=engine, precision=precision
    )
