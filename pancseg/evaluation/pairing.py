"""Owns which mask is compared with which: by the file's name, which is the case's id.

Knows folders and names; reads no mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pancseg.cohort.case import name_key, stem_of
from pancseg.scans.reading import READERS, suffix_of


@dataclass(frozen=True)
class MaskPair:
    """One case of one model.

    Attributes:
        model: the model's name.
        case_id: the masks' file name without suffix.
        prediction: the model's mask, None when there is none.
        reference: the reference mask, None when there is none.
    """

    model: str
    case_id: str
    prediction: Path | None
    reference: Path | None


def find_pairs(predictions: Mapping[str, Path], reference: Path) -> list[MaskPair]:
    """Pair up masks case by case; a mask that is missing on one side still makes a pair.

    Each model has a pair for every reference mask and for every mask of its own.

    Args:
        predictions: a folder for each model's name.
        reference: the folder of reference masks.

    Returns:
        Pairs by case, then by model, so that a reference need be read only once.

    Raises:
        ValueError: a folder does not exist, holds no mask, or two masks of one case.
        OSError: a folder cannot be listed.
    """
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
                yield MaskPair(model, stem_of(named_by), masks.get(key), reference)


def _masks_in(folder: Path, what: str) -> dict[str, Path]:
    """Return a folder's mask files by the key of their case."""
    if not folder.is_dir():
        raise ValueError(f"{what}: there is no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not suffix_of(path) or not path.is_file():
            continue
        key = name_key(stem_of(path))
        if key in found:
            raise ValueError(f"{what}: the folder has two masks of {stem_of(path)!r}; keep one")
        found[key] = path
    if not found:
        raise ValueError(
            f"{what}: the folder holds no mask; masks are files named <case id>.nii.gz "
            f"(or {', '.join(s for s in READERS if s != '.nii.gz')})"
        )
    return found
