"""Owns what became of one case of one model: measures, or the reason why there are none."""

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
from pancseg.evaluation.metrics import MaskMeasures, measure
from pancseg.evaluation.pairing import MaskPair
from pancseg.scans.arrays import label_array
from pancseg.scans.geometry import on_grid_of
from pancseg.scans.reading import read_scan

log = logging.getLogger(__name__)

_PANCREAS_AND_TUMOUR = {1, 2}


class _LabelSelection(NamedTuple):
    """What of a mask counts.

    Attributes:
        inside: the voxels.
        wanted: the label asked for, None for all.
        labels: the label values that the mask holds.
    """

    inside: NDArray[np.bool_]
    wanted: int | None
    labels: tuple[int, ...]

    @property
    def nothing(self) -> str:
        """What an empty one lacks: a voxel, or one of the label among those that are there."""
        if self.wanted is None or not self.labels:
            return "no voxel"
        return f"no voxel of label {self.wanted}, but of {_listed(self.labels)}"


_Reference = tuple[sitk.Image, _LabelSelection]


@dataclass(frozen=True)
class MaskScore:
    """What became of one case of one model.

    Attributes:
        model: the model's name.
        case_id: the masks' file name without suffix.
        status: pass; warn (measured, but look at the reason: a mask is empty and the stated rule
            was applied, or many labels were joined); fail (missing or unusable); error (a bug).
        reason: code, empty when the case passed.
        fact: one line on what is wrong, with the remedy.
        measures: None when there are none.
    """

    model: str
    case_id: str
    status: Literal["pass", "warn", "fail", "error"]
    reason: str = ""
    fact: str = ""
    measures: MaskMeasures | None = None


def score_pairs(pairs: Iterable[MaskPair], label: int | None = None) -> Iterator[MaskScore]:
    """Measure each pair in order; a pair that cannot be measured costs only itself.

    Args:
        pairs: the cases of all models, those of one case side by side.
        label: the region's label in all masks; without it, everything that is not zero.
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
            "no_prediction", f"{pair.model} has no mask of this case; predict it, or leave it out"
        )
    if pair.reference is None:
        raise UnusableCase("no_reference", "the reference folder has no mask of this case; add it")
    image, reference = read_reference(pair.reference)
    mask = _read(pair.prediction, "prediction")
    mask = on_grid_of(image, mask, ("reference", "prediction"))
    spacing_x, spacing_y, spacing_z = image.GetSpacing()
    prediction = _region(mask, label, "prediction")
    spacing_mm = (spacing_z, spacing_y, spacing_x)
    measures = measure(prediction.inside, reference.inside, spacing_mm)
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
        return "both_empty", f"{fact}; {rule}"
    if measures.volume_ml == 0:
        volume = measures.reference_volume_ml
        fact = f"{prediction.nothing}, against {volume:.1f} mL of reference; {rule}"
        return "empty_prediction", fact
    if measures.reference_volume_ml == 0:
        volume = measures.volume_ml
        return "empty_reference", f"{volume:.1f} mL; the reference has {reference.nothing}; {rule}"
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
