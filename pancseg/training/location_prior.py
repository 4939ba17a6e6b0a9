"""Learn the location prior (where in a body a pancreas can be) from training slices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.loaded_networks import require_whole_slices
from pancseg.segmentation.location_prior import Map, learn
from pancseg.training.data.labelled_slice import UNKNOWN, LabelledSlice
from pancseg.training.data.slice_set import load_slice_set
from pancseg.training.data.slices import read_slices
from pancseg.training.recipe import MOST_WIDENED

WIDENED = 0.04
"""Default share of the body's width and height by which a location prior is widened."""


def places_in(slices: Iterable[LabelledSlice], widen: float | None) -> Map | None:
    """Return the location prior of all whole training slices; None if ``widen`` is None."""
    if widen is None:
        return None
    whole = (s for s in slices if s.split == "train" and not (s.mask == UNKNOWN).any())
    return learn(
        ((s.image.astype(np.float32) / np.float32(255), s.mask == 1) for s in whole), widen
    )


def with_places(
    weights: str | Path,
    slices: str,
    data: Path,
    widen: float = WIDENED,
    *,
    allow_code: bool = False,
) -> Checkpoint:
    """Return a finished checkpoint with the location prior of its training slices.

    Args:
        weights: name of a shipped checkpoint, or path of a file.
        slices: name of a shipped slice set, or path of a YAML file.
        data: the folder that the slice set's paths are relative to.
        widen: widen the prior by this share of the body's width and height, 0 to 0.5.
        allow_code: accept a network outside pancseg, whose code then runs.

    Raises:
        ValueError, OSError: weights or slices do not exist or cannot be used, the weights are a
            second look's, or ``widen`` is out of range.
    """
    if not 0 <= widen <= MOST_WIDENED:
        raise ValueError(f"`widen` is {widen:g} (expected 0–{MOST_WIDENED:g})")
    checkpoint = load_checkpoint(weights, allow_code=allow_code)
    require_whole_slices(checkpoint)  # a window does not show the body
    found = read_slices(load_slice_set(slices), data, checkpoint.preprocessing)
    return replace(checkpoint, places=places_in(found, widen))
