"""Score each case of each model: its measures, or the reason why there are none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.evaluation.metrics import MaskMeasures, mask_measures
from pancseg.evaluation.pairing import MaskPair
from pancseg.scans.arrays import label_array
from pancseg.scans.geometry import on_grid_of
from pancseg.scans.reading import read_scan

log = logging.getLogger(__name__)

_PANCREAS_AND_TUMOUR = {1, 2}


class _LabelSelection(NamedTuple):
    """The voxels of a mask that are compared.

    Attributes:
        inside: bool mask of these voxels, ``(z, y, x)``.
        wanted: the label that was asked for; None for all labels.
        labels: the label values in the mask.
    """

    inside: NDArray[np.bool_]
    wanted: int | None
    labels: tuple[int, ...]

    @property
    def nothing(self) -> str:
        """The description of an empty selection: no voxel, or none of the label among others."""
        if self.wanted is None or not self.labels:
            return "no voxel"
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


def score_pairs(pairs: Iterable[MaskPair], label: int | None = None) -> Iterator[MaskScore]:
    """Score each pair in order; a pair that cannot be measured does not affect the others.

    Args:
        pairs: the cases of all models; pairs of the same case follow each other.
        label: the region's label in all masks; by default everything that is not zero.
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
    pair: MaskPair, read_reference: Callable[[Path], _Reference], label: int | None
) -> MaskScore:
    if pair.prediction is None:
        raise UnusableCase(
            "no_prediction",
            f"{pair.model} has no mask of this case; make one, or omit the case",
        )
    if pair.reference is None:
        raise UnusableCase("no_reference", "the reference folder has no mask of this case; add it")
    image, reference = read_reference(pair.reference)
    mask = _read(pair.prediction, "prediction")
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
        if region.wanted is None and several:
            listed = _listed(region.labels)
            fact = f"the {which} has labels {listed}, all joined; name one with `label`"
            return "several_labels", fact
    return "", ""


def _listed(labels: tuple[int, ...]) -> str:
    return ", ".join(map(str, labels[:10])) + ", …" * (len(labels) > 10)


def _read(path: Path, which: str) -> sitk.Image:
    try:
        return read_scan(path)
    except UnusableCase as unusable:
        raise UnusableCase(unusable.code, f"the {which}: {unusable.fact}") from unusable


def _region(mask: sitk.Image, label: int | None, which: str) -> _LabelSelection:
    try:
        voxels: NDArray[Any] = label_array(mask)
    except UnusableCase as unusable:
        raise UnusableCase(unusable.code, f"the {which}: {unusable.fact}") from unusable
    labelled: NDArray[np.bool_] = voxels != 0
    labels = tuple(int(value) for value in np.unique(voxels[labelled]))
    return _LabelSelection(labelled if label is None else voxels == label, label, labels)
