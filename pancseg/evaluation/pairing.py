"""Pair predicted masks with reference masks by file name, which is the case's id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pancseg.cohort.case import name_key
from pancseg.cohort.formulas import refuse_formulas
from pancseg.cohort.mask_entries import is_mask_entry, mask_stem
from pancseg.scans.reading import READERS


@dataclass(frozen=True)
class MaskPair:
    """One case of one model.

    Attributes:
        model: the model's name.
        case_id: the masks' file name without suffix, or the name of the folder of a DICOM mask.
        prediction: the model's mask; None if it is missing.
        reference: the reference mask; None if it is missing.
    """

    model: str
    case_id: str
    prediction: Path | None
    reference: Path | None


def find_pairs(predictions: Mapping[str, Path], reference: Path) -> list[MaskPair]:
    """Pair up masks case by case; a mask that is missing on one side still makes a pair.

    Each model has a pair for every reference mask and for every mask in its folder.

    Args:
        predictions: model name → folder of its masks.
        reference: the folder of reference masks.

    Returns:
        Pairs sorted by case and then by model, so that each reference is read only once.

    Raises:
        ValueError: a folder does not exist, contains no mask, or contains two masks of one case;
            or a name begins like a formula.
        OSError: a folder cannot be listed.
    """
    refuse_formulas(predictions, "the models' names", "rename them")
    references = _masks_in(reference, "reference")
    models = {name: _masks_in(path, f"prediction {name}") for name, path in predictions.items()}
    every_key = sorted({key for masks in (references, *models.values()) for key in masks})
    return list(_pairs(every_key, models, references))


def _pairs(
    keys: list[str], models: Mapping[str, dict[str, Path]], references: dict[str, Path]
) -> Iterator[MaskPair]:
    for key in keys:
        reference = references.get(key)
        named_by = reference or next(masks[key] for masks in models.values() if key in masks)
        for model, masks in models.items():
            if reference or key in masks:
                yield MaskPair(model, mask_stem(named_by), masks.get(key), reference)


def _masks_in(folder: Path, what: str) -> dict[str, Path]:
    """Return the mask files of a folder by the key of their case."""
    if not folder.is_dir():
        raise ValueError(f"{what}: the folder does not exist")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not is_mask_entry(path):
            continue
        key = name_key(mask_stem(path))
        if key in found:
            raise ValueError(f"{what}: the folder has two masks of {mask_stem(path)!r}; keep one")
        found[key] = path
    if not found:
        raise ValueError(
            f"{what}: the folder contains no mask; masks are files named <case id>.nii.gz "
            f"(or {', '.join(s for s in READERS if s != '.nii.gz')}, or DICOM SEG or RTSTRUCT)"
        )
    refuse_formulas(map(mask_stem, found.values()), f"{what}: the masks' names", "rename the files")
    return found
