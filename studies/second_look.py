"""What each part of the second look gives: reach, margin, window, the mean of looks, a third look.

``python studies/second_look.py DATA WEIGHTS [PATIENT ...]``: DATA is what the slice set
``open_whole`` describes (docs/reproduce.md), WEIGHTS a checkpoint of two looks. Scores whole CTs
that are in neither training nor validation of weights made with ``open`` (HCC_006 and HCC_007 by
default); their labels are a network's, and voxels of unknown label do not count. So nothing is
chosen on validation patients. Every mask is cleaned as a user's is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pancseg.segmentation import looks
from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.looks import FirstLook
from pancseg.segmentation.postprocess import Levels, one_organ
from pancseg.segmentation.preprocess import Floats, SliceGrid
from pancseg.segmentation.second_look import Seen
from pancseg.segmentation.segmenter import Segmenter
from pancseg.system.threads import available_cores
from pancseg.tables.markdown_table import markdown_table
from pancseg.training.data.slice_set import VolumeSource, load_slice_set
from pancseg.training.data.volumes import WholeVolume, whole_volume
from pancseg.training.scoring import score_volume

PATIENTS = ("HCC_006", "HCC_007")
SIZES = ((160, 224), (192, 256), (256, 320))
REACHES_MM, MARGINS_MM = (10.0, 20.0, 40.0), (0.0, 10.0, 20.0)


def second_alone(_: Floats, __: SliceGrid, seen: Seen, second_grid: SliceGrid) -> Floats:
    """Return the second look's probability in the place of the mean of both."""
    alone: Floats = second_grid.to_scan(seen.probability[None])[0] * seen.near
    return alone


def variants() -> Iterator[tuple[str, Callable[[Segmenter, WholeVolume], Levels]]]:
    """Yield the name of each variant, and what makes its mask (not cleaned)."""

    def again(segmenter: Segmenter, volume: WholeVolume) -> Levels:
        return segmenter.looking.again(volume.image, segmenter.looking.first(volume.image))

    def alone(segmenter: Segmenter, volume: WholeVolume) -> Levels:
        with patch.object(looks, "mean_of_looks", second_alone):
            return again(segmenter, volume)

    def thrice(segmenter: Segmenter, volume: WholeVolume) -> Levels:
        first = segmenter.looking.first(volume.image)
        levels = segmenter.looking.again(volume.image, first)
        return segmenter.looking.again(volume.image, FirstLook(levels, first.kept))

    yield "one look", lambda segmenter, volume: segmenter.looking.first(volume.image).levels
    yield "two looks, as they are", again
    yield "the second look alone", alone
    yield "a third look, around both", thrice


def changed(weights: Checkpoint) -> Iterator[tuple[str, Checkpoint]]:
    """Yield the name and the weights of each other window, reach and margin."""
    assert weights.second is not None
    windows = weights.second.windows
    assert windows is not None
    settings: list[tuple[str, dict[str, Any]]] = [
        *((f"windows of {rows}×{columns}", {"size": (rows, columns)}) for rows, columns in SIZES),
        *((f"reach {mm:g} mm", {"reach_mm": mm}) for mm in REACHES_MM),
        *((f"margin {mm:g} mm", {"margin_mm": mm}) for mm in MARGINS_MM),
    ]
    for name, update in settings:
        other = windows.model_copy(update=update)
        if other != windows:
            yield name, replace(weights, second=replace(weights.second, windows=other))


def main(data: Path, name: str, *patients: str) -> None:
    """Print the Dice and the share of slices found, for each variant and patient."""
    wanted = patients or PATIENTS
    sources = [s for s in load_slice_set("open_whole").sources if isinstance(s, VolumeSource)]
    volumes = {s.patient: whole_volume(s, data) for s in sources if s.patient in wanted}
    if lacking := [each for each in wanted if each not in volumes]:
        raise SystemExit(f"no whole CT of {', '.join(lacking)} in open_whole")
    weights, threads = load_checkpoint(name), available_cores()
    if weights.second is None:
        raise SystemExit("the weights hold one network; join two by `pancseg weights join`")

    def loaded(checkpoint: Checkpoint) -> Segmenter:
        return Segmenter(checkpoint, threads=threads, least_height_mm=0)

    as_it_is = loaded(weights)
    tried = [(title, as_it_is, made) for title, made in variants()]
    again = dict(variants())["two looks, as they are"]
    tried += [(title, loaded(other), again) for title, other in changed(weights)]
    rows = []
    for title, segmenter, made in tried:
        row = [title]
        for volume in volumes.values():
            mask = one_organ(made(segmenter, volume), volume.image.GetSpacing())
            score = score_volume(mask, volume)
            row.append(f"{score.dice:.3f} ({100 * score.recall_z:.0f} %)")
        rows.append(tuple(row))
        print(*row, sep="  ", file=sys.stderr, flush=True)
    titles = ["", *(f"{each}: Dice (slices found)" for each in volumes)]
    print(markdown_table(titles, rows, left=1), end="")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:])
