"""List training pairs (CT, mask) from a Medical Segmentation Decathlon folder or a manifest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pancseg.cohort.case import Case, stem_of
from pancseg.cohort.manifest import read_manifest
from pancseg.cohort.roi import Roi
from pancseg.errors import CohortError
from pancseg.system.json_file import read_json

_LARGEST_BYTES = 1 << 24


@dataclass(frozen=True)
class TrainingPair:
    """One CT and its mask.

    Attributes:
        patient: the patient's id; the pairs of one patient are never split.
        name: name of the scan and of its files, made from the patient's and the scan's id.
        image: volume file or DICOM folder.
        mask: label map.
        region: the labels that count as pancreas, or a ring. None: the mask has a single label, or
            1 and 2, which are merged, or names for its labels (an MSD folder's ``dataset.json``),
            of which those that mean the pancreas or its tumour are merged.
        series_uid: the series to read from a DICOM folder.
    """

    patient: str
    name: str
    image: Path
    mask: Path
    region: Roi | None = None
    series_uid: str | None = None


def msd_pairs(folder: Path) -> list[TrainingPair]:
    """Return the labelled cases of an MSD folder: those under ``training`` in ``dataset.json``.

    Raises:
        CohortError: not MSD's layout, or files are missing; the message lists all problems.
        OSError: ``dataset.json`` is missing.
    """
    try:
        listed = _described(folder)["training"]
        entries = [(_listed(folder, e["image"]), _listed(folder, e["label"])) for e in listed]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CohortError(
            [
                "dataset.json does not list 'training' cases with 'image' and 'label'; give an MSD "
                "task's folder as it was unpacked"
            ]
        ) from error
    names = [stem_of(image) for image, _ in entries]
    pairs = [TrainingPair(n, n, *entry) for n, entry in zip(names, entries, strict=True)]
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
        CohortError: a scan has no mask or several regions, or the manifest has another problem;
            the message lists all problems.
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
    """Return data, licence, attribution and intended use of weights trained on an MSD folder."""
    about = _described(folder)
    return {
        "data": f"{about.get('name', 'MSD')}: {about.get('description', 'labelled CTs')}",
        "licence": str(about.get("licence", about.get("license", "as stated by the data's owner"))),
        "attribution": str(about.get("reference", "Medical Segmentation Decathlon")),
        "intended_use": "Research and teaching. Not a medical device; not for clinical use.",
    }


def _described(folder: Path) -> dict[str, Any]:
    """Return the content of ``dataset.json``, which may begin with a byte order mark."""
    content: dict[str, Any] = read_json(folder / "dataset.json", _LARGEST_BYTES)
    return content


def _listed(folder: Path, name: str) -> Path:
    """Return the path of a listed file; on Windows, programs write backslashes."""
    path = folder / name
    return path if "\\" not in name or path.exists() else folder / name.replace("\\", "/")


def _pair(case: Case, mask: Path) -> TrainingPair:
    return TrainingPair(
        case.patient_id, case.scan_name, case.image, mask, case.mask_label, case.series_uid
    )


def _checked(pairs: list[TrainingPair], problems: list[str]) -> list[TrainingPair]:
    """Return the pairs, or raise ``CohortError`` with all problems."""
    counts = Counter(pair.name for pair in pairs)
    problems += [
        f"{name}: listed {count} times; training takes one region per scan, so keep one"
        for name, count in sorted(counts.items())
        if count > 1
    ]
    if not pairs and not problems:
        problems = ["no labelled case is listed; training needs scans with masks, so add some"]
    if problems:
        raise CohortError(problems)
    return pairs
