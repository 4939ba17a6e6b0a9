"""Split patients into training and validation, identically on every machine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from pancseg.system.regular_files import read_regular
from pancseg.system.whole_files import write_whole
from pancseg.system.yaml_file import FrozenModel

_LARGEST_BYTES = 1 << 24
VALIDATION_SHARE = 0.3
"""Share of validation patients, the paper's 70/30: of 281 patients, 196 train and 85 validate."""
_WHAT = "the split file"


class Split(FrozenModel):
    """The patient ids of both parts; a split file has them as JSON."""

    train: tuple[str, ...]
    val: tuple[str, ...]

    def part_of(self, patient: str) -> str | None:
        """Return ``train`` or ``val``, or None for a patient in neither."""
        return "train" if patient in self.train else "val" if patient in self.val else None

    def check(self) -> None:
        """Refuse a split without training patients or without validation patients.

        Raises:
            ValueError: a part is empty.
        """
        for part, what in ((self.train, "training"), (self.val, "validation")):
            if not part:
                raise ValueError(
                    f"the {what} set is empty: none of the {len(self.train) + len(self.val)} "
                    "patients belongs to it; add patients, or assign them in a `split_file`"
                )

    def write(self, path: Path) -> None:
        """Write a split file; it appears whole or not at all."""
        write_whole({path: (json.dumps(self.model_dump(), indent=1) + "\n").encode()})


def split_patients(patients: Iterable[str], seed: int) -> Split:
    """Split patients at random by their sorted ids and a seed; 30 % (rounded up) validate."""
    ids = sorted(set(patients))
    held_out = math.ceil(VALIDATION_SHARE * len(ids))
    order = [ids[i] for i in np.random.default_rng(seed).permutation(len(ids))]
    return Split(train=tuple(sorted(order[held_out:])), val=tuple(sorted(order[:held_out])))


def read_split(path: Path, patients: Iterable[str]) -> Split:
    """Read a split file and check it against the patients of the data.

    Patients in neither part are not used.

    Raises:
        OSError: the file cannot be read, or is larger than 16 MiB.
        ValueError: not a split file, a patient in both parts, or a patient that the data lack.
    """
    try:
        split = Split.model_validate_json(read_regular(path, _LARGEST_BYTES).decode("utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ValueError(
            f'{_WHAT} is not a split file; expected JSON {{"train": [ids], "val": [ids]}}'
        ) from error
    if both := sorted(set(split.train) & set(split.val)):
        raise ValueError(f"{_WHAT}: in both train and val: {_some(both)}; keep each in one")
    if missing := sorted({*split.train, *split.val} - set(patients)):
        raise ValueError(f"{_WHAT}: patients that the data lack: {_some(missing)}")
    return split


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
