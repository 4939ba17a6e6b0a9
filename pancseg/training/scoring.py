"""Score weights on stored slices and whole CTs: the Dice of each validation patient, and more.

Stored slices are looked at one by one, at their own resolution, so no 3-D cleaning is possible.
Boxes (pictures of a part of a slice) are scored separately from whole slices, and only inside the
box: a box around the organ leaves less room for errors. Whole CTs go through the segmenter as a
user's do, except that no slice is skipped, and are scored before and after cleaning, without the
voxels whose label is unknown. Weights of two looks are scored with the first alone and with both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.loaded_networks import require_whole_slices
from pancseg.segmentation.overlap import dice
from pancseg.segmentation.postprocess import FOUND, one_organ
from pancseg.segmentation.segmenter import Segmenter
from pancseg.tables.html_page import escape_markdown
from pancseg.tables.markdown_table import markdown_table
from pancseg.training.data.slice_set import SliceSet, SliceSource, VolumeSource
from pancseg.training.data.slices import native_slices, patient_of
from pancseg.training.data.volumes import WholeVolume, whole_volume
from pancseg.training.predictions import found_in

_KINDS = ("whole", "volume", "box")
Masks = NDArray[np.bool_]


class Scored(NamedTuple):
    """What a score is of.

    Attributes:
        what: ``whole`` (slices), ``volume`` (whole CTs) or ``box``.
        patient: the patient.
        looks: 1 or 2.
        cleaned: whether only one organ was kept, as a user's masks are.
    """

    what: str
    patient: str
    looks: int = 1
    cleaned: bool = False


class PatientDice(NamedTuple):
    """The score of one validation patient, on whole slices, whole CTs or boxes.

    Attributes:
        slices: number of slices with pancreas.
        dice: hard Dice, 0..1: of a whole CT over all its slices, otherwise over the slices with
            pancreas pooled; 0 if there are none.
        empty: number of slices without pancreas, of which nothing is unknown.
        false_alarms: number of these in which something was found.
        false_pixels: number of pixels found in them, at the slices' own resolution.
        recall_z: share of the slices with pancreas in which part of it was found.
        above_ml, below_ml: of a whole CT: volume found above the last and below the first slice
            with pancreas, without unknown voxels; 0 for stored slices.
        agreement: of a whole CT with two looks: Dice of the first look's cleaned mask with this
            one; NaN otherwise.
    """

    slices: int
    dice: float
    empty: int
    false_alarms: int
    false_pixels: int
    recall_z: float = 0.0
    above_ml: float = 0.0
    below_ml: float = 0.0
    agreement: float = float("nan")


def validate(
    weights: str, slice_set: SliceSet, data: Path, *, threads: int = 2, allow_code: bool = False
) -> dict[Scored, PatientDice]:
    """Return a score for each validation patient.

    Args:
        weights: name of a shipped checkpoint, or path of a file.
        slice_set: the stored slices.
        data: the folder that the slice set's paths are relative to.
        threads: CPU threads of the network.
        allow_code: accept a network outside pancseg, whose code then runs.

    Raises:
        ValueError: the set has no stored validation slice, or the weights are a second look's.
    """
    checkpoint = load_checkpoint(weights, allow_code=allow_code)
    require_whole_slices(checkpoint)
    found = _scores_of_slices(checkpoint, slice_set, data, threads)
    found |= _scores_of_volumes(checkpoint, slice_set, data, threads)
    if not found:
        raise ValueError("the slice set has no stored validation slice (phantoms are not stored)")
    ordered = sorted(found, key=lambda one: (_KINDS.index(one.what), *one[1:]))
    return {key: found[key] for key in ordered}


class _Count:
    """Counts of one patient's stored slices."""

    def __init__(self) -> None:
        self.slices = self.hit = self.shared = self.total = 0
        self.empty = self.alarms = self.pixels = 0

    def add(self, found: Masks, mask: Masks, *, counts_as_empty: bool) -> None:
        size = int(np.count_nonzero(found))
        if mask.any():
            shared = int(np.count_nonzero(found & mask))
            self.slices += 1
            self.hit += shared > 0
            self.shared += 2 * shared
            self.total += size + int(np.count_nonzero(mask))
        elif counts_as_empty:
            self.empty += 1
            self.alarms += size > 0
            self.pixels += size

    def score(self) -> PatientDice:
        return PatientDice(
            self.slices,
            self.shared / max(self.total, 1),
            self.empty,
            self.alarms,
            self.pixels,
            self.hit / max(self.slices, 1),
        )


def _scores_of_slices(
    checkpoint: Checkpoint, slice_set: SliceSet, data: Path, threads: int
) -> dict[Scored, PatientDice]:
    sources = [s for s in slice_set.sources if isinstance(s, SliceSource)]
    engine = engines.pick(network=checkpoint.network)
    first = engines.build(checkpoint, threads, engine, "fp32")
    second = None
    if checkpoint.second is not None:
        engine = engines.pick(network=checkpoint.second.network)
        second = engines.build(checkpoint.second, threads, engine, "fp32")
    counts: defaultdict[Scored, _Count] = defaultdict(_Count)
    for source in sources:
        what = "whole" if source.box is None else "box"
        for native in native_slices(source, data):
            if native.split != "val":
                continue
            empty = what == "box" or bool(native.known.all())
            each = found_in(native, first, checkpoint, second)
            for looks, found in enumerate(each, 1):
                count = counts[Scored(what, native.patient, looks)]
                count.add(found, native.mask, counts_as_empty=empty)
    return {key: count.score() for key, count in counts.items()}


def _scores_of_volumes(
    checkpoint: Checkpoint, slice_set: SliceSet, data: Path, threads: int
) -> dict[Scored, PatientDice]:
    scores = {}
    segmenter = None
    for source in slice_set.sources:
        if not isinstance(source, VolumeSource) or source.split != "val":
            continue
        segmenter = segmenter or Segmenter(checkpoint, threads=threads, least_height_mm=0)
        patient, volume = patient_of(source.cohort, source.patient), whole_volume(source, data)
        for looks, cleaned, score in _volume_scores(segmenter, volume):
            scores[Scored("volume", patient, looks, cleaned)] = score
    return scores


def _volume_scores(
    segmenter: Segmenter, volume: WholeVolume
) -> Iterator[tuple[int, bool, PatientDice]]:
    """Yield the number of looks, whether the mask is cleaned, and the score, for each mask."""
    spacing_mm = volume.image.GetSpacing()
    seen = segmenter.looking.first(volume.image)
    first = one_organ(seen.levels, spacing_mm)
    yield 1, False, score_volume(seen.levels == FOUND, volume)
    yield 1, True, score_volume(first, volume)
    if segmenter.looks > 1:
        again = segmenter.looking.again(volume.image, seen)
        yield 2, False, score_volume(again == FOUND, volume)
        cleaned = one_organ(again, spacing_mm)
        agreement = dice(first, cleaned)
        yield 2, True, score_volume(cleaned, volume)._replace(agreement=agreement)


def score_volume(found: Masks, volume: WholeVolume) -> PatientDice:
    """Return the score of a whole CT's mask; voxels whose label is unknown do not count.

    Args:
        found: the mask ``(z, y, x)``, from foot to head.
        volume: the CT and its label.
    """
    found, mask, known = found & volume.known, volume.mask, volume.known
    shared = found & mask
    shown = np.flatnonzero(mask.any(axis=(1, 2)))
    empty = known.all(axis=(1, 2)) & ~mask.any(axis=(1, 2))
    sizes = found.sum(axis=(1, 2))
    voxel_ml = float(np.prod(volume.image.GetSpacing())) / 1000
    below, above = (sizes[: shown[0]], sizes[shown[-1] + 1 :]) if shown.size else (sizes, sizes[:0])
    total = int(sizes.sum()) + int(np.count_nonzero(mask))
    hit = int(np.count_nonzero(shared.sum(axis=(1, 2))))
    return PatientDice(
        slices=len(shown),
        dice=2 * int(np.count_nonzero(shared)) / max(total, 1),
        empty=int(np.count_nonzero(empty)),
        false_alarms=int(np.count_nonzero(sizes[empty])),
        false_pixels=int(sizes[empty].sum()),
        recall_z=hit / max(len(shown), 1),
        above_ml=float(above.sum()) * voxel_ml if shown.size else 0.0,
        below_ml=float(below.sum()) * voxel_ml if shown.size else 0.0,
    )


def markdown(scores: Mapping[Scored, PatientDice], slice_set: SliceSet) -> str:
    """Return the scores of :func:`validate` as a Markdown table, with each cohort's mean below."""
    titles = ["what", "patient", "looks", "cleaned", "slices with pancreas", "Dice"]
    titles += ["found along z", "slices without pancreas", "of these, with a false alarm"]
    titles += ["false pixels", "mL above", "mL below", "looks agree"]
    rows = [_row(key, score) for key, score in scores.items()]
    lines = markdown_table(titles, rows, left=2).splitlines()
    cohorts = sorted({source.cohort for source in slice_set.sources})
    groups = dict.fromkeys((key.what, key.looks, key.cleaned) for key in scores)
    for what, looks, cleaned in sorted(groups, key=lambda g: (_KINDS.index(g[0]), *g[1:])):
        for cohort in cohorts:
            group = [
                score
                for key, score in scores.items()
                if (key.what, key.looks, key.cleaned) == (what, looks, cleaned)
                and key.patient.rpartition("-")[0] == cohort
            ]
            if group and any(score.slices for score in group):
                lines.append(f"\n{_title(what, cohort, looks, cleaned)}: {_mean(group)}")
    return "\n".join(lines)


def _row(key: Scored, score: PatientDice) -> tuple[str, ...]:
    volume = key.what == "volume"
    return (
        key.what,
        escape_markdown(key.patient),
        str(key.looks),
        "yes" if key.cleaned else "no",
        str(score.slices),
        f"{score.dice:.3f}",
        f"{score.recall_z:.2f}",
        str(score.empty),
        str(score.false_alarms),
        str(score.false_pixels),
        f"{score.above_ml:.1f}" if volume else "",
        f"{score.below_ml:.1f}" if volume else "",
        "" if np.isnan(score.agreement) else f"{score.agreement:.3f}",
    )


def _title(what: str, cohort: str, looks: int, cleaned: bool) -> str:
    title = f"{what}, {cohort}" if cohort else what
    title += f", {looks} looks" if looks > 1 else ""
    return title + (", cleaned" if cleaned else "")


def _mean(group: list[PatientDice]) -> str:
    values = [score.dice for score in group if score.slices]
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    text = f"mean Dice {np.mean(values):.3f} ± {spread:.3f}, N={len(values)}"
    if empty := sum(score.empty for score in group):
        alarms = sum(score.false_alarms for score in group)
        text += f"; false alarms in {alarms} of {empty} slices without pancreas"
    return text
