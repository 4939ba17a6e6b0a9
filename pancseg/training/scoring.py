"""Score weights on stored slices: the Dice of each validation patient.

Masks are made as by the segmenter, at the slices' own resolution, but without its 3-D cleaning.
Boxes (pictures of a part of a slice) are scored separately from whole slices, and only inside the
box: a box around the organ leaves less room for errors. Whole CTs are scored apart as well, without
the voxels whose label is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.tables.html_page import escape_markdown
from pancseg.tables.markdown_table import markdown_table
from pancseg.training.data.slice_set import SliceSet, SliceSource, VolumeSource
from pancseg.training.data.slices import native_slices
from pancseg.training.predictions import found_in

_KINDS = ("whole", "volume", "box")


class PatientDice(NamedTuple):
    """The score of one validation patient, on whole slices, whole CTs or boxes.

    Attributes:
        slices: number of slices with pancreas.
        dice: hard Dice, 0..1: of a whole CT over all its slices, otherwise over the slices with
            pancreas pooled; 0 if there are none.
        empty: number of slices without pancreas.
        false_alarms: number of these in which something was found.
        false_pixels: number of pixels found in them, at the slices' own resolution.
    """

    slices: int
    dice: float
    empty: int
    false_alarms: int
    false_pixels: int


def validate(
    weights: str, slice_set: SliceSet, data: Path, *, threads: int = 2, allow_code: bool = False
) -> dict[tuple[str, str], PatientDice]:
    """Return a score for each validation patient, keyed by what is scored and the patient.

    What is scored is ``whole`` (slices), ``volume`` (whole CTs) or ``box``.

    Args:
        weights: name of a shipped checkpoint, or path of a file.
        slice_set: the stored slices.
        data: the folder that the slice set's paths are relative to.
        threads: CPU threads of the network.
        allow_code: accept a network outside pancseg, whose code then runs.

    Raises:
        ValueError: the set has no stored validation slice.
    """
    checkpoint = load_checkpoint(weights, allow_code=allow_code)
    engine = engines.pick(network=checkpoint.network)
    probabilities = engines.build(checkpoint, threads, engine, "fp32")
    counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 6)
    for source in slice_set.sources:
        for native in native_slices(source, data):
            if native.split != "val":
                continue
            found = found_in(native, probabilities, checkpoint)
            kind = _kind(source)
            count, size = counts[kind, native.patient], int(np.count_nonzero(found))
            if native.mask.any() or kind == "volume":
                count[0] += bool(native.mask.any())
                count[1] += 2 * int(np.count_nonzero(found & native.mask))
                count[2] += size + int(np.count_nonzero(native.mask))
            if not native.mask.any() and (native.known.all() or kind == "box"):
                count[3] += 1
                count[4] += size > 0
                count[5] += size
    if not counts:
        raise ValueError("the slice set has no stored validation slice (phantoms are not stored)")
    return {
        key: PatientDice(n, overlap / max(total, 1), *empties)
        for key, (n, overlap, total, *empties) in sorted(counts.items(), reverse=True)
    }


def _kind(source: SliceSource | VolumeSource) -> str:
    """Return what a source's slices are scored as."""
    if isinstance(source, VolumeSource):
        return "volume"
    return "whole" if source.box is None else "box"


def markdown(scores: Mapping[tuple[str, str], PatientDice], slice_set: SliceSet) -> str:
    """Return the scores of :func:`validate` as a Markdown table, with each cohort's mean below."""
    titles = ["what", "patient", "slices with pancreas", "Dice", "slices without pancreas"]
    titles += ["of these, with a false alarm", "false pixels"]
    rows = []
    for (what, patient), s in scores.items():
        empty = (str(s.empty), str(s.false_alarms), str(s.false_pixels))
        rows.append((what, escape_markdown(patient), str(s.slices), f"{s.dice:.3f}", *empty))
    lines = markdown_table(titles, rows, left=2).splitlines()
    for what in _KINDS:
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
