"""Where CT and mask pairs come from: a Medical Segmentation Decathlon folder or a manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pancseg.case import CohortError, stem_of
from pancseg.manifest import read_manifest


@dataclass(frozen=True)
class Pair:
    """One patient's CT and mask; every label that is not zero counts as pancreas."""

    patient: str
    image: Path
    mask: Path


def msd_pairs(folder: Path) -> list[Pair]:
    """Return the labelled cases of an MSD folder: what ``dataset.json`` lists as training.

    Raises:
        CohortError: not MSD's layout, or files that are not there; all problems at once.
    """
    try:
        listed = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["training"]
        entries = [(folder / e["image"], folder / e["label"]) for e in listed]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise CohortError(
            ["dataset.json does not list 'training' cases with 'image' and 'label' each"]
        ) from error
    pairs = [Pair(stem_of(image), image, mask) for image, mask in entries]
    problems = [
        f"{pair.patient}: the {kind} that dataset.json lists does not exist; unpack the data again"
        for pair in pairs
        for kind, path in (("image", pair.image), ("label", pair.mask))
        if not path.is_file()
    ]
    return _checked(pairs, problems)


def manifest_pairs(path: Path) -> list[Pair]:
    """Return the cases of a manifest (``patient_id``, ``image``, ``mask``).

    Raises:
        CohortError: a case without mask, or any other problem of the manifest; all at once.
    """
    cases = read_manifest(path)
    problems = [f"{c.name}: no mask; training needs one for each scan" for c in cases if not c.mask]
    pairs = [Pair(c.name, c.image, c.mask) for c in cases if c.mask]
    return _checked(pairs, problems)


def msd_provenance(folder: Path) -> dict[str, str]:
    """Say what weights trained on an MSD folder are made from."""
    about: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    return {
        "data": f"{about.get('name', 'MSD')}: {about.get('description', 'labelled CTs')}",
        "licence": str(about.get("licence", about.get("license", "as stated by the data's owner"))),
        "attribution": str(about.get("reference", "Medical Segmentation Decathlon")),
        "intended_use": "Research and teaching. Not a medical device; not for clinical use.",
    }


def _checked(pairs: list[Pair], problems: list[str]) -> list[Pair]:
    names = [pair.patient for pair in pairs]
    problems += [f"{n}: listed twice" for n in sorted({n for n in names if names.count(n) > 1})]
    if not pairs and not problems:
        problems = ["no labelled case is listed"]
    if problems:
        raise CohortError(problems)
    return pairs
