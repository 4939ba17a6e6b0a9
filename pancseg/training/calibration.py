"""Add the ranges of its activations to a finished network, measured on training slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.look_windows import LookWindows
from pancseg.segmentation.measured_ranges import measured_ranges
from pancseg.training.data.dataset import Item, LabelWindows, WholeSlices
from pancseg.training.data.labelled_slice import UNKNOWN, LabelledSlice
from pancseg.training.data.slice_set import load_slice_set
from pancseg.training.data.slices import read_slices

SLICES = 48


def with_ranges(checkpoint: Checkpoint, slices: Sequence[LabelledSlice]) -> Checkpoint:
    """Return a checkpoint of one network with the ranges of its activations.

    Args:
        checkpoint: the weights.
        slices: slices on the network's grid; ``SLICES`` of the training split are seen, evenly
            spaced, and slices of which only a box is known only if there are no others.

    Raises:
        ValueError: no training slice, or a network that cannot be described as a graph.
    """
    ranges = measured_ranges(checkpoint, _seen(slices, checkpoint.windows))
    return replace(checkpoint, ranges=ranges, sha256="", sha256_without_ranges="")


def add_ranges(
    run: Path, network: str, slices: Sequence[LabelledSlice], report: Callable[[str], None]
) -> None:
    """Add the ranges of their activations to the checkpoints that a training leaves.

    A network that cannot be described as a graph stays without: the training is none the worse.

    Args:
        run: the run folder.
        network: the network that was trained, whose code may run.
        slices: the slices of the training.
        report: called with one line if the ranges cannot be measured.
    """
    for path in (run / f"{name}.safetensors" for name in ("last", "best", "mean")):
        if not path.exists():
            continue
        try:
            with_ranges(load_checkpoint(path, allow_code=network), slices).save(path)
        except ValueError as error:
            report(f"{path.name} holds no ranges of activations, which int8 needs: {error}")


def calibrated(
    weights: str | Path, slices: str, data: Path, *, allow_code: bool = False
) -> Checkpoint:
    """Return a finished checkpoint with the ranges of its activations on training slices.

    The ranges of both networks are measured if it holds two.

    Args:
        weights: name of a shipped checkpoint, or path of a file.
        slices: name of a shipped slice set, or path of a YAML file.
        data: the folder that the slice set's paths are relative to.
        allow_code: accept a network outside pancseg, whose code then runs.

    Raises:
        ValueError, OSError: weights or slices do not exist or cannot be used.
    """
    checkpoint = load_checkpoint(weights, allow_code=allow_code)
    slice_set = load_slice_set(slices)
    if slice_set.window_hu != checkpoint.preprocessing.window_hu:
        theirs, own = (
            f"{low:g} to {high:g} HU"
            for low, high in (slice_set.window_hu, checkpoint.preprocessing.window_hu)
        )
        raise ValueError(
            f"the slices were clipped to {theirs} (window_hu), but the network sees {own}; give by "
            "`slices` those that it was trained on"
        )

    def measured(one: Checkpoint) -> Checkpoint:
        return with_ranges(one, read_slices(slice_set, data, one.preprocessing))

    second = None if checkpoint.second is None else measured(checkpoint.second)
    return replace(measured(checkpoint), second=second)


def _seen(slices: Sequence[LabelledSlice], windows: LookWindows | None) -> NDArray[np.float32]:
    """Return what a network sees of some training slices, ``(n, H, W)`` in 0..1."""
    training = [s for s in slices if s.split == "train"]
    if not training:
        raise ValueError(
            f"ranges of activations are measured on training slices, but none of the {len(slices)} "
            "slices belongs to that split"
        )
    whole = [s for s in training if not (s.mask == UNKNOWN).any()] or training
    count = min(SLICES, len(whole))
    chosen = [whole[i] for i in np.linspace(0, len(whole) - 1, count).round().astype(int)]
    items: Dataset[Item] = (
        WholeSlices(chosen) if windows is None else LabelWindows(chosen, windows.size)
    )
    return torch.stack([items[i][0][0] for i in range(count)]).numpy()
