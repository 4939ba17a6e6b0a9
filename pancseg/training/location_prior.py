"""Where in a body a pancreas can be, from the training slices; for finished weights, too.

``python -m pancseg.training.location_prior WEIGHTS --slices SET --data DIR --out FILE``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pancseg.segmentation.checkpoint import load_checkpoint
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


def main(
    weights: Annotated[str, typer.Argument(help="A shipped checkpoint's name or a file.")],
    slices: Annotated[str, typer.Option(help="A shipped slice set's name or a YAML file.")],
    data: Annotated[Path, typer.Option(help="Folder that its sources are relative to.")],
    out: Annotated[Path, typer.Option(help="The checkpoint with its map.")],
    widen: Annotated[float, typer.Option(help="Share of the body's box.")] = WIDENED,
) -> None:
    """Write a checkpoint again with the map of its training slices."""
    try:
        checkpoint = load_checkpoint(weights)
        found = read_slices(load_slice_set(slices), data, checkpoint.preprocessing)
        replace(checkpoint, places=places_in(found, widen)).save(out)
    except (ValueError, OSError) as error:
        raise SystemExit(f"pancseg: {error}") from error


if __name__ == "__main__":
    typer.run(main)
