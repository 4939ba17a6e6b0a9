"""Where in a body a pancreas can be, from the training slices; for finished weights, too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.location_prior import Map, learn
from pancseg.training.data.labelled_slice import UNKNOWN, LabelledSlice
from pancseg.training.data.slice_set import load_slice_set
from pancseg.training.data.slices import read_slices

WIDENED = 0.04


def places_in(slices: Iterable[LabelledSlice], widen: float | None) -> Map | None:
    """Return the map of all training slices that are known all over; None when not asked for."""
    if widen is None:
        return None
    whole = (s for s in slices if s.split == "train" and not (s.mask == UNKNOWN).any())
    return learn(
        ((s.image.astype(np.float32) / np.float32(255), s.mask == 1) for s in whole), widen
    )


def with_places(weights: str | Path, slices: str, data: Path, widen: float = WIDENED) -> Checkpoint:
    """Return finished weights with the map of their training slices.

    Args:
        weights: a shipped name or a file.
        slices: a shipped slice set's name or a YAML file.
        data: the folder that its sources are relative to.
        widen: by how much of the body's box.

    Raises:
        ValueError, OSError: weights or slices are not there, or not what they should be.
    """
    checkpoint = load_checkpoint(weights)
    found = read_slices(load_slice_set(slices), data, checkpoint.preprocessing)
    return replace(checkpoint, places=places_in(found, widen))
