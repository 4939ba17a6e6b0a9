"""Training slices from synthetic abdomens, through the same preprocessing as a scan."""

from __future__ import annotations

import numpy as np

from pancseg import scans
from pancseg.phantom import make_phantom
from pancseg.segmentation.checkpoint import Preprocessing
from pancseg.segmentation.preprocess import SliceGrid
from pancseg.training.recipe import PhantomSource, Recipe
from pancseg.training.slices import LabelledSlice, on_network_grid


def phantom_slices(source: PhantomSource, recipe: Recipe) -> list[LabelledSlice]:
    """Make the phantoms of all seeds (every second with a tumour) and cut slices from them."""
    slices = []
    for split, (first, last) in (("train", source.train_seeds), ("val", source.val_seeds)):
        for seed in range(first, last + 1):
            slices += _slices_of(seed, split, source.slices_per_patient, recipe)
    return slices


def _slices_of(seed: int, split: str, count: int, recipe: Recipe) -> list[LabelledSlice]:
    """Cut ``count`` slices of one phantom: evenly spaced over the whole volume."""
    phantom = make_phantom(seed, tumour=seed % 2 == 0)
    image, mask = scans.array(phantom.image), scans.array(phantom.mask)
    x_mm, y_mm, _ = phantom.image.GetSpacing()
    grid = SliceGrid.for_slices(
        (image.shape[1], image.shape[2]),
        (y_mm, x_mm),
        Preprocessing(window_hu=recipe.window_hu, size=recipe.size),
    )
    chosen = np.linspace(0, len(image) - 1, count).round().astype(int)
    pixels, pancreas = on_network_grid(image[chosen], mask[chosen] > 0, grid)
    return [LabelledSlice(f"phantom-{seed}", split, pixels[i], pancreas[i]) for i in range(count)]
