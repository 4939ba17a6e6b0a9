"""The Dice of any weights on stored slices, per validation patient.

The val patients' slices at their own resolution, probabilities resampled back and thresholded as
the segmenter does, without its 3-D cleaning. Pictures of a part of a slice (boxes) are scored
inside it, apart from whole slices: a box around the organ leaves less to be mistaken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.tables.markdown_table import markdown_table
from pancseg.training.data.slice_set import SliceSet
from pancseg.training.data.slices import native_slices
from pancseg.training.predictions import found_in


class PatientDice(NamedTuple):
    """One validation patient's whole slices, or boxes.

    Attributes:
        slices: slices with pancreas.
        dice: hard Dice over these slices pooled; 0 where there are none.
        empty: slices without pancreas.
        false_alarms: those among them in which something was found.
        false_pixels: what was found in them, at the slices' own resolution.
    """

    slices: int
    dice: float
    empty: int
    false_alarms: int
    false_pixels: int


def validate(
    weights: str, slice_set: SliceSet, data: Path, *, threads: int = 2
) -> dict[tuple[str, str], PatientDice]:
    """Return a score for each validation patient, keyed by ``whole`` or ``box`` and the patient.

    Raises:
        ValueError: no stored slice of the set is for validation.
    """
    checkpoint = load_checkpoint(weights)
    probabilities = engines.build(checkpoint, threads, engines.pick(), "fp32")
    counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 6)
    for source in slice_set.sources:
        for native in native_slices(source, data):
            if native.split != "val":
                continue
            found = found_in(native, probabilities, checkpoint)
            count = counts["whole" if source.box is None else "box", native.patient]
            size = int(np.count_nonzero(found))
            if native.mask.any():
                count[0] += 1
                count[1] += 2 * int(np.count_nonzero(found & native.mask))
                count[2] += size + int(np.count_nonzero(native.mask))
            else:
                count[3] += 1
                count[4] += size > 0
                count[5] += size
    if not counts:
        raise ValueError("no stored slice of this set is for validation (phantoms are not stored)")
    return {
        key: PatientDice(n, overlap / max(total, 1), *empties)
        for key, (n, overlap, total, *empties) in sorted(counts.items(), reverse=True)
    }


def markdown(scores: Mapping[tuple[str, str], PatientDice], slice_set: SliceSet) -> str:
    """Return :func:`validate` as a Markdown table, and below it the mean of each cohort."""
    titles = ["what", "patient", "slices with pancreas", "Dice", "slices without"]
    titles += ["with a false alarm", "false pixels"]
    rows = []
    for (what, patient), s in scores.items():
        empty = (str(s.empty), str(s.false_alarms), str(s.false_pixels))
        rows.append((what, patient, str(s.slices), f"{s.dice:.3f}", *empty))
    lines = markdown_table(titles, rows, left=2).splitlines()
    for what in ("whole", "box"):
        for cohort in sorted({source.cohort for source in slice_set.sources}):
            dice = [
                s.dice
                for (w, p), s in scores.items()
                if w == what and p.rpartition("-")[0] == cohort and s.slices
            ]
            if dice:
                spread = np.std(dice, ddof=1) if len(dice) > 1 else 0.0
                title = f"{what}, {cohort}" if cohort else what
                lines.append(
                    f"\n{title}: mean Dice {np.mean(dice):.3f} ± {spread:.3f}, N={len(dice)}"
                )
    return "\n".join(lines)
