"""Make training slices from synthetic abdomens, with the same preprocessing as for scans."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pancseg.phantom import make_phantom
from pancseg.scans.arrays import voxel_array
from pancseg.segmentation.checkpoint import Preprocessing
from pancseg.segmentation.preprocess import SliceGrid
from pancseg.training.data.labelled_slice import LabelledSlice, on_network_grid
from pancseg.training.data.slice_set import PhantomSource


def phantom_slices(source: PhantomSource, preprocessing: Preprocessing) -> list[LabelledSlice]:
    """Make the phantoms of all seeds (every other one with a tumour) and return their slices."""
    slices = []
    for seed, split in _seeds(source):
        slices += _slices_of(seed, split, source.slices_per_patient, preprocessing)
    return slices


def phantom_patients(source: PhantomSource) -> list[str]:
    """Return the phantoms' patient ids."""
    return [_patient(seed) for seed, _ in _seeds(source)]


def _seeds(source: PhantomSource) -> Iterator[tuple[int, str]]:
    for split, (first, last) in (("train", source.train_seeds), ("val", source.val_seeds)):
        yield from ((seed, split) for seed in range(first, last + 1))


def _patient(seed: int) -> str:
    return f"phantom-{seed}"


def _slices_of(
    seed: int, split: str, count: int, preprocessing: Preprocessing
) -> list[LabelledSlice]:
    """Return ``count`` slices of one phantom, evenly spaced over the whole volume."""
    phantom = make_phantom(seed, tumour=seed % 2 == 0)
    image, mask = voxel_array(phantom.image), voxel_array(phantom.mask)
    x_mm, y_mm, _ = phantom.image.GetSpacing()
    grid = SliceGrid.for_slices(
        (image.shape[1], image.shape[2]),
        (y_mm, x_mm),
        preprocessing,
    )
    chosen = np.linspace(0, len(image) - 1, count).round().astype(int)
    everywhere = np.ones(image.shape[1:], dtype=bool)
    slices = []
    for z in chosen:
        both = on_network_grid(image[z], mask[z] > 0, everywhere, grid, shown=everywhere)
        slices.append(LabelledSlice(_patient(seed), split, *both))
    return slices
