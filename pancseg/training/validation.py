"""``python -m pancseg.training.validation WEIGHTS RECIPE --data DIR``: Dice on whole slices.

Whole validation slices only (no enlarged crops), at their own resolution, probabilities resampled
back and thresholded as the segmenter does, without its 3-D cleaning.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.segmentation.engines import ENGINES
from pancseg.segmentation.predict import THRESHOLD
from pancseg.training.recipe import Recipe, load_recipe
from pancseg.training.slices import grid_of, native_slices


class Score(NamedTuple):
    """One validation patient.

    Attributes:
        slices: whole slices with pancreas.
        dice: hard Dice over these slices pooled.
        empty: whole slices without pancreas.
        false_alarms: those among them in which something was found.
    """

    slices: int
    dice: float
    empty: int
    false_alarms: int


def validate(weights: str, recipe: Recipe, data: Path, *, threads: int = 2) -> dict[str, Score]:
    """Return a score for each validation patient of a recipe's slice sources."""
    probabilities = ENGINES["torch"](load_checkpoint(weights), threads)
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * 5)
    for source in recipe.slices:
        for native in native_slices(source, data):
            if native.split != "val" or native.part == "center_crop":
                continue
            grid = grid_of(native.hu.shape, recipe)
            found = grid.to_scan(probabilities(grid.to_network(native.hu[None])))[0] >= THRESHOLD
            count = counts[native.patient]
            if native.mask.any():
                count[0] += 1
                count[1] += 2 * int(np.count_nonzero(found & native.mask))
                count[2] += int(np.count_nonzero(found)) + int(np.count_nonzero(native.mask))
            else:
                count[3] += 1
                count[4] += bool(found.any())
    return {
        patient: Score(n, overlap / max(total, 1), empty, alarms)
        for patient, (n, overlap, total, empty, alarms) in sorted(counts.items())
    }


def main(
    weights: Annotated[str, typer.Argument(help="A shipped checkpoint's name or a file.")],
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a YAML file.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's sources are relative to.")],
) -> None:
    """Print the validation Dice per patient as a Markdown table."""
    scores = validate(weights, load_recipe(recipe), data)
    print("| patient | slices with pancreas | Dice | slices without | with a false alarm |")
    print("|---|--:|--:|--:|--:|")
    for patient, s in scores.items():
        print(f"| {patient} | {s.slices} | {s.dice:.3f} | {s.empty} | {s.false_alarms} |")
    print(f"\nMean Dice: {np.mean([s.dice for s in scores.values()]):.3f}")


if __name__ == "__main__":
    typer.run(main)
