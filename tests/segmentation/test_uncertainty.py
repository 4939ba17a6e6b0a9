"""Dropout passes: the same bits on any number of threads, another seed another value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pancseg.phantom import Phantom
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.geometry import orient
from pancseg.segmentation.checkpoint import Checkpoint, Preprocessing, load_checkpoint, weights_of
from pancseg.segmentation.networks import NETWORKS
from pancseg.segmentation.overlap import dice
from pancseg.segmentation.uncertainty import DropoutPasses, _mean_dice, _overlaps


def test_the_same_on_any_number_of_threads(phantom: Phantom) -> None:
    """Three slices of the pancreas, seen from another side, are enough."""
    checkpoint = load_checkpoint("monet_phantom")
    inside = voxel_array(phantom.mask).astype(bool)
    inside[: inside.shape[0] // 2] = False
    inside[inside.shape[0] // 2 + 3 :] = False
    mask = image_like(inside.astype(np.uint8), phantom.mask)
    before = torch.get_num_threads()
    alone = DropoutPasses(checkpoint, 3, threads=1).agreement(phantom.image, mask)
    turned = [orient(image, "RIP") for image in (phantom.image, mask)]
    assert DropoutPasses(checkpoint, 3, threads=3).agreement(*turned) == alone
    assert DropoutPasses(checkpoint, 3, threads=2).agreement(*turned, seed=1) != alone
    assert 0.3 < alone < 0.999
    assert torch.get_num_threads() == before


def test_the_mean_is_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((4, 9, 7)) < 0.4
    masks[3] = False
    pairs = [(a, b) for a in range(4) for b in range(a)]
    expected = np.mean([dice(masks[a], masks[b]) for a, b in pairs])
    assert _mean_dice(_overlaps(masks)) == pytest.approx(expected)
    assert _mean_dice(_overlaps(masks & False)) == 1.0


def test_a_network_without_dropout_is_refused() -> None:
    weights = weights_of(NETWORKS["unet16"]())
    preprocessing = Preprocessing(window_hu=(-160, 240), size=256)
    checkpoint = Checkpoint("unet16", preprocessing, {}, weights)
    with pytest.raises(ValueError, match="network unet16 has no dropout"):
        DropoutPasses(checkpoint, 3, threads=1)
    without = replace(load_checkpoint("monet_phantom"), dropout=0.0)
    with pytest.raises(ValueError, match="trained with dropout"):
        DropoutPasses(without, 3, threads=1)
