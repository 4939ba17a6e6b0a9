"""Measure the share of a mask's voxels that change with another precision."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.phantom import make_phantom
from pancseg.scans.arrays import voxel_array
from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.segmentation.overlap import dice
from pancseg.segmentation.segmenter import Segmenter

DEMO_SEEDS = (1, 2, 3, 4)


class Changed(NamedTuple):
    """The effect of a precision on the masks of some scans.

    Attributes:
        voxels: number of voxels in all fp32 masks together.
        changed: number of voxels in exactly one of a scan's two masks.
        least_dice: lowest Dice between the two masks of a scan.
        empty: number of scans for which a mask came out empty; they count in no other figure.
    """

    voxels: int
    changed: int
    least_dice: float
    empty: int = 0

    @property
    def share(self) -> float:
        """Changed voxels per voxel of the fp32 masks; NaN if these have none."""
        return self.changed / self.voxels if self.voxels else math.nan


def demo_scans() -> Iterator[sitk.Image]:
    """Make the demo's four synthetic CTs."""
    return (make_phantom(seed, tumour=seed % 2 == 0).image for seed in DEMO_SEEDS)


def changed_by(
    precision: str, images: Iterable[sitk.Image], weights: str | Path, engine: str, threads: int
) -> Changed:
    """Segment scans in fp32 and in another precision, and compare the masks."""
    checkpoint = load_checkpoint(weights)
    exact, other = (
        Segmenter(checkpoint, threads=threads, engine=engine, precision=p)
        for p in ("fp32", precision)
    )
    total, changed, agreement, empty = 0, 0, [1.0], 0
    for image in images:
        try:
            a, b = (voxel_array(segmenter.segment(image)) > 0 for segmenter in (exact, other))
        except UnusableCase:  # nothing found
            empty += 1
            continue
        total += int(np.count_nonzero(a))
        changed += int(np.count_nonzero(a != b))
        agreement.append(dice(a, b))
    return Changed(total, changed, min(agreement), empty)
