"""Every reader of foreign bytes reads the seeds of the fuzzing, and survives damage to them."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from seeds import seeds
from targets import TARGETS, attempt

MOST_SECONDS = 20.0
READ_WHOLE = (
    "nifti", "nifti_gz", "nrrd", "metaimage", "dicom_tags", "dicom_seg", "rtstruct",
    "settings", "recipe", "model",
)  # fmt: skip


def damaged(content: bytes, number: int) -> bytes:
    """Cut, repeat, or change a few bytes; the number decides how."""
    rng = random.Random(number)
    changed = bytearray(content)
    for _ in range(rng.choice((1, 2, 5))):
        at = rng.randrange(len(changed) + 1)
        how = rng.randrange(4)
        if how == 0:
            changed[at : at + 1] = rng.randbytes(1)
        elif how == 1:
            del changed[at : at + rng.randrange(1, 20)]
        elif how == 2:
            changed[at:at] = changed[at : at + rng.randrange(1, 20)]
        else:
            changed[at:at] = rng.choice((b"0", b"9" * 30, b"\0", b"\n", b"-", b"{", b'"', b":"))
    return bytes(changed)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_damaged_ones_are_read_or_refused_in_short_lines(
    name: str, tmp_path: Path
) -> None:
    target, found = TARGETS[name], seeds(name, tmp_path)
    if name in READ_WHOLE:
        assert attempt(target, found[0]) == ""
    for content in [*found, *(damaged(one, number) for one in found for number in range(15))]:
        begin = time.process_time()
        attempt(target, content)
        assert time.process_time() - begin < MOST_SECONDS
