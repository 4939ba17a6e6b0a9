"""Score each case of each model: its measures, or the reason why there are none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.cohort.roi import Labels
from pancseg.errors import UnusableCase
from pancseg.evaluation.metrics import MaskMeasures, mask_measures
from pancseg.evaluation.pairing import MaskPair
from pancseg.features.segment_choice import chosen
from pancseg.scans.arrays import label_array
from pancseg.scans.geometry import on_grid_of
from pancseg.scans.masks import dicom_mask, read_mask
from pancseg.scans.placement import on_joint_grid
from pancseg.scans.segments import Segment, segments_of

log = logging.getLogger(__name__)

_PANCREAS_AND_TUMOUR = {1, 2}


class _LabelSelection(NamedTuple):
    """The voxels of a mask that are compared.

    Attributes:
        inside: bool mask of these voxels, ``(z, y, x)``.
        wanted: the labels that were asked for; None for all.
        labels: the label values in the mask, all of them.
        named: whether the mask's file names its segments.
    """

    inside: NDArray[np.bool_]
    wanted: Labels | None
    labels: tuple[int, ...]
    named: bool

    @property
    def nothing(self) -> str:
        """The description of an empty selection: no voxel, or none of the label among others."""
        if self.wanted is None or not self.labels:
            return "no voxel"
        if self.named:
            return f"no voxel of {self.wanted}"
        return f"no voxel of label {self.wanted} (it has {_listed(self.labels)})"


_Reference = tuple[sitk.Image, _LabelSelection]


@dataclass(frozen=True)
class MaskScore:
    """The result of one case of one model.

    Attributes:
        model: the model's name.
        case_id: the masks' file name without suffix.
        status: ``pass``; ``warn`` (measured, but with a reason to look at: a mask is empty, or
            several labels were joined); ``fail`` (a mask is missing or unusable); ``error`` (bug).
        reason: reason code; empty when the case passed.
        fact: one line on what is wrong, with the remedy.
        measures: the measures; None when the case could not be measured.
    """

    model: str
    case_id: str
    status: Literal["pass", "warn", "fail", "error"]
    reason: str = ""
    fact: str = ""
    measures: MaskMeasures | None = None


def score_pairs(pairs: Iterable[MaskPair], label: Labels | None = None) -> Iterator[MaskScore]:
    """Score each pair in order; a pair that cannot be measured does not affect the others.

    Args:
        pairs: the cases of all models; pairs of the same case follow each other.
        label: the region's labels in all masks, by number or name; by default everything that is
            not zero, or, where a file names its segments, those that mean pancreas and tumour.
    """

    @lru_cache(maxsize=1)
    def read_reference(path: Path) -> _Reference:
        image = _read(path, "reference")
        return image, _region(image, label, "reference")

    for pair in pairs:
        try:
            yield _score(pair, read_reference, label)
        except UnusableCase as unusable:
            log.debug("%s: %s against %s", pair.case_id, pair.prediction, pair.reference)
            yield MaskScore(pair.model, pair.case_id, "fail", unusable.code, unusable.fact)
        except Exception as bug:  # reported as this case's error row
            log.debug("%s: %s", pair.case_id, type(bug).__name__, exc_info=True)
            fact = f"unexpected {type(bug).__name__}; run with `verbose` for the traceback"
            yield MaskScore(pair.model, pair.case_id, "error", type(bug).__name__, fact)


def _score(
    pair: MaskPair, read_reference: Callable[[Path], _Reference], label: Labels | None
) -> MaskScore:
    if pair.prediction is None:
        raise UnusableCase(
            "no_prediction",
            f"{pair.model} has no mask of this case; make one, or omit the case",
        )
    if pair.reference is None:
        raise UnusableCase("no_reference", "the reference folder has no mask of this case; add it")
    if _is_contours(pair.reference):
        mask = _read(pair.prediction, "prediction")
        image, known = _read(pair.reference, "reference", mask), None
    else:
        image, known = read_reference(pair.reference)
        on = image if _is_contours(pair.prediction) else None
        mask = _read(pair.prediction, "prediction", on)
    if dicom_mask(pair.reference) or dicom_mask(pair.prediction):  # these leave out empty slices
        (image, mask), known = on_joint_grid(image, mask), None
    reference = known or _region(image, label, "reference")
    mask = on_grid_of(image, mask, ("reference", "prediction"))
    spacing_x, spacing_y, spacing_z = image.GetSpacing()
    prediction = _region(mask, label, "prediction")
    spacing_mm = (spacing_z, spacing_y, spacing_x)
    measures = mask_measures(prediction.inside, reference.inside, spacing_mm)
    reason, fact = _remark(measures, prediction, reference)
    status: Literal["pass", "warn"] = "warn" if reason else "pass"
    return MaskScore(pair.model, pair.case_id, status, reason, fact, measures)


def _remark(
    measures: MaskMeasures, prediction: _LabelSelection, reference: _LabelSelection
) -> tuple[str, str]:
    """Return the reason for a warning and one line about it; both empty when there is none."""
    rule = "see the rule for empty masks"
    if measures.volume_ml == measures.reference_volume_ml == 0:
        fact = f"the prediction has {prediction.nothing}; the reference has {reference.nothing}"
        return "both_empty", f"both masks are empty: {fact}; {rule}"
    if measures.volume_ml == 0:
        volume = measures.reference_volume_ml
        fact = f"the prediction has {prediction.nothing}; the reference has {volume:.1f} mL; {rule}"
        return "empty_prediction", fact
    if measures.reference_volume_ml == 0:
        volume = measures.volume_ml
        fact = f"the reference has {reference.nothing}; the prediction has {volume:.1f} mL; {rule}"
        return "empty_reference", fact
    for which, region in (("reference", reference), ("prediction", prediction)):
        several = len(region.labels) > 1 and not set(region.labels) <= _PANCREAS_AND_TUMOUR
        if region.wanted is None and several and not region.named:
            listed = _listed(region.labels)
            fact = f"the {which} has labels {listed}, all joined; name one with `label`"
            return "several_labels", fact
    return "", ""


def _listed(labels: tuple[int, ...]) -> str:
    return ", ".join(map(str, labels[:10])) + ", …" * (len(labels) > 10)


def _is_contours(path: Path) -> bool:
    """Return whether a mask has no grid of its own, and so takes that of the other mask."""
    found = dicom_mask(path)
    return found is not None and found.kind == "RTSTRUCT"


def _read(path: Path, which: str, grid: sitk.Image | None = None) -> sitk.Image:
    with _told_of(which):
        return read_mask(path, grid)


def _region(mask: sitk.Image, label: Labels | None, which: str) -> _LabelSelection:
    """Return the voxels that are compared; none, where the mask has nothing of what is wanted."""
    with _told_of(which):
        voxels: NDArray[Any] = label_array(mask)
        present = tuple(int(value) for value in np.unique(voxels) if value)
        segments = segments_of(mask)
        inside: NDArray[np.bool_] = voxels != 0
        if segments and present:
            inside = np.isin(voxels, _chosen(segments, present, label))
        elif label is not None:
            inside = np.isin(voxels, label.among(present))
        return _LabelSelection(inside, label, present, bool(segments))


def _chosen(
    segments: Sequence[Segment], present: Sequence[int], label: Labels | None
) -> tuple[int, ...]:
    try:
        return chosen(segments, present, label).values
    except UnusableCase as unusable:
        if unusable.code == "no_label" and label is not None:
            return ()
        raise


@contextmanager
def _told_of(which: str) -> Iterator[None]:
    """Name the mask, reference or prediction, in the fact of what makes it unusable."""
    try:
        yield
    except UnusableCase as unusable:
        raise UnusableCase(unusable.code, f"the {which}: {unusable.fact}") from unusable
