"""List pairs of CTs and masks: from a Medical Segmentation Decathlon folder or a manifest."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pancseg.cohort.case import Case, stem_of
from pancseg.cohort.manifest import read_manifest
from pancseg.cohort.roi import Labels, Roi
from pancseg.errors import CohortError

ALL_LABELS = Labels(None)
"""In MSD's masks, pancreas and mass are merged."""


@dataclass(frozen=True)
class TrainingPair:
    """One CT and its mask.

    Attributes:
        patient: the patient's id; splits are made by patient.
        name: name of the scan and of its files, made of the patient's and the scan's id.
        image: volume file or DICOM folder.
        mask: label map.
        region: the labels that count as pancreas, or a ring; None: the only label, or 1 and 2.
        series_uid: the series to read of a DICOM folder.
    """

    patient: str
    name: str
    image: Path
    mask: Path
    region: Roi | None = None
    series_uid: str | None = None


def msd_pairs(folder: Path) -> list[TrainingPair]:
    """Return the labelled cases of an MSD folder, which ``dataset.json`` lists as training.

    Raises:
        CohortError: not MSD's layout, or files that do not exist; lists all problems.
    """
    try:
        listed = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["training"]
        entries = [(folder / e["image"], folder / e["label"]) for e in listed]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise CohortError(
            ["dataset.json does not list 'training' cases with 'image' and 'label' each"]
        ) from error
    names = [stem_of(image) for image, _ in entries]
    pairs = [
        TrainingPair(n, n, *entry, ALL_LABELS) for n, entry in zip(names, entries, strict=True)
    ]
    problems = [
        f"{pair.name}: the {kind} that dataset.json lists does not exist; unpack the data again"
        for pair in pairs
        for kind, path in (("image", pair.image), ("label", pair.mask))
        if not path.is_file()
    ]
    return _checked(pairs, problems)


def manifest_pairs(path: Path) -> list[TrainingPair]:
    """Return the scans of a manifest with the columns ``patient_id``, ``image`` and ``mask``.

    Raises:
        CohortError: a scan without mask or with several regions, or any other problem of the
            manifest; lists all problems.
    """
    cases = read_manifest(path)
    problems = [
        f"{c.name}: no mask; training needs one for each scan, so add it or delete the row"
        for c in cases
        if not c.mask
    ]
    pairs = [_pair(case, case.mask) for case in cases if case.mask]
    return _checked(pairs, problems)


def msd_provenance(folder: Path) -> dict[str, str]:
    """Return the provenance of weights that are trained on an MSD folder."""
    about: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    return {
        "data": f"{about.get('name', 'MSD')}: {about.get('description', 'labelled CTs')}",
        "licence": str(about.get("licence", about.get("license", "as stated by the data's owner"))),
        "attribution": str(about.get("reference", "Medical Segmentation Decathlon")),
        "intended_use": "Research and teaching. Not a medical device; not for clinical use.",
    }


def _pair(case: Case, mask: Path) -> TrainingPair:
    return TrainingPair(
        case.patient_id, case.scan_name, case.image, mask, case.mask_label, case.series_uid
    )


def _checked(pairs: list[TrainingPair], problems: list[str]) -> list[TrainingPair]:
    counts = Counter(pair.name for pair in pairs)
    problems += [
        f"{name}: listed {count} times; training takes one region per scan, so keep one"
        for name, count in sorted(counts.items())
        if count > 1
    ]
    if not pairs and not problems:
        problems = ["no labelled case is listed"]
    if problems:
        raise CohortError(problems)
    return pairs
