"""Recompute BatchNorm's statistics on whole, unchanged training slices.

The running averages of a training lag behind the weights, come from augmented slices with dropout
on, and mean nothing after a short training. Recomputed statistics belong to the current weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pancseg.training.data.dataset import WholeSlices
from pancseg.training.data.labelled_slice import UNKNOWN, LabelledSlice

SLICES, AT_ONCE = 160, 8


def typical(slices: Sequence[LabelledSlice]) -> list[LabelledSlice]:
    """Return up to ``SLICES`` evenly spaced slices with labels everywhere, in a fixed random order.

    Raises:
        ValueError: no slice is labelled everywhere.
    """
    whole = [s for s in slices if not (s.mask == UNKNOWN).any()]
    if not whole:
        raise ValueError(
            "batch_norm: recomputed needs whole training slices, but all slices here are labelled "
            "only in a box; choose batch_norm: running"
        )
    count = min(SLICES, len(whole))
    chosen = np.linspace(0, len(whole) - 1, count).round().astype(int)
    order = np.random.default_rng(0).permutation(chosen)
    return [whole[i] for i in order]


@torch.no_grad()
def recompute(network: nn.Module, slices: Sequence[LabelledSlice], device: torch.device) -> None:
    """Replace the running means and variances by averages over batches of these slices.

    Dropout is off, as when the network is used. The network's mode is restored afterwards.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta, was_training = [norm.momentum for norm in norms], network.training
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average
        norm.train()
    like = next(network.parameters())
    images = [image for image, _, _ in map(WholeSlices(slices).__getitem__, range(len(slices)))]
    for first in range(0, len(images), AT_ONCE):
        network(torch.stack(images[first : first + AT_ONCE]).to(device, like.dtype))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(was_training)
