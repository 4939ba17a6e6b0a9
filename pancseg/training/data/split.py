"""Which patients train and which validate: by patient, the same on every machine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from pancseg.system.whole_files import write_whole

VALIDATION_SHARE = 0.3
"""The paper's 70/30: 281 patients give 196 and 85."""


class Split(BaseModel):
    """Patient ids of both parts; as JSON, a split file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: tuple[str, ...]
    val: tuple[str, ...]

    def part_of(self, patient: str) -> str | None:
        """Return ``train`` or ``val``, or None for a patient in neither."""
        return "train" if patient in self.train else "val" if patient in self.val else None

    def check(self) -> None:
        """Refuse a split without patients to train on, or without patients to validate with.

        Raises:
            ValueError: a part is empty.
        """
        for part, what in ((self.train, "training"), (self.val, "validation")):
            if not part:
                raise ValueError(
                    f"the {what} set is empty: of {len(self.train) + len(self.val)} patients "
                    "none belongs to it; add patients, or name them in a `split_file`"
                )

    def write(self, path: Path) -> None:
        """Write a split file; it appears whole or not at all."""
        write_whole({path: (json.dumps(self.model_dump(), indent=1) + "\n").encode()})


def split_patients(patients: Iterable[str], seed: int) -> Split:
    """Split patients by their sorted ids and a seed; three in ten (rounded up) validate."""
    ids = sorted(set(patients))
    held_out = math.ceil(VALIDATION_SHARE * len(ids))
    order = [ids[i] for i in np.random.default_rng(seed).permutation(len(ids))]
    return Split(train=tuple(sorted(order[held_out:])), val=tuple(sorted(order[:held_out])))


def read_split(path: Path, patients: Iterable[str]) -> Split:
    """Read a split file and hold it against the patients there are.

    Patients in neither part are left out of the training.

    Raises:
        ValueError: not a split file, a patient in both parts, or patients that the data lack.
    """
    try:
        split = Split.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ValueError(
            f'{path.name} is not a split file: JSON {{"train": [ids], "val": [ids]}}'
        ) from error
    if both := sorted(set(split.train) & set(split.val)):
        raise ValueError(f"{path.name}: {_some(both)} in both train and val")
    if missing := sorted({*split.train, *split.val} - set(patients)):
        raise ValueError(f"{path.name}: {_some(missing)} not among the patients of the data")
    return split


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
