"""Whatever bytes change in a small valid scan: reading gives a volume or a reason, nothing else."""

from __future__ import annotations

import gzip
import random
import time
from pathlib import Path

import pytest
import SimpleITK as sitk
import small_files as small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pancseg import UnusableCase, read_scan

WORDS = (b"-1", b"0", b"99999999999", b"nan", b"inf", b"1e308", b"\n", b"", b":", b"=", b"LIST")
NUMBERS = (b"\xff" * 4, b"\0" * 4, b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\xff\x7f")
FORMATS = (
    ".nii", ".nii.gz", "unpacked .nii.gz", ".nrrd", ".mha",
    "DICOM", "enhanced DICOM", "RLE", "JPEG2000", "JPEG",
)  # fmt: skip
MOST_SECONDS = 20.0


def place_of(kind: str, folder: Path) -> tuple[Path, Path]:
    """Write a valid scan; return what to read, and the file that is to be changed."""
    if kind.endswith((".nii", ".nii.gz", ".nrrd", ".mha")):
        path = small.write(folder / f"scan{kind.split()[-1]}", packed=kind.endswith("gz"))
        return path, path
    if kind == "enhanced DICOM":
        (folder / "ct").mkdir()
        small.save(small.enhanced(), folder / "ct" / "2.dcm")
    elif kind == "DICOM":
        small.write_slices(folder / "ct")
    else:
        small.write_slices(folder / "ct", lambda d, _: small.packed(d, kind, folder))
    return folder / "ct", folder / "ct" / "2.dcm"


def mutated(content: bytes, seed: int, first_bytes: int) -> bytes:
    """Change, remove or add a few bytes, most of them in the header."""
    rng = random.Random(seed)
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(max(1, min(first_bytes, len(changed))))
        how = rng.randrange(10)
        if how < 4:
            changed[at : at + 1] = bytes([rng.choice((0, 1, 2, 127, 128, 254, 255, at % 256))])
        elif how < 5:
            changed[at : at + 2] = rng.randrange(65536).to_bytes(2, "little")
        elif how < 6:
            changed[at : at + 4] = rng.choice(NUMBERS)
        elif how < 7:
            changed[at : at + rng.randrange(1, 6)] = rng.choice(WORDS)
        elif how < 8:
            del changed[at : at + rng.randrange(1, 9)]
        elif how < 9:
            changed[at:at] = rng.randbytes(rng.randrange(1, 9))
        else:
            del changed[rng.randrange(1, max(2, len(changed))) :]
    return bytes(changed)


def volume_or_reason(path: Path) -> sitk.Image | str:
    try:
        return read_scan(path)
    except UnusableCase as unusable:
        return unusable.fact


def try_mutations(kind: str, folder: Path, examples: int) -> None:
    to_read, to_change = place_of(kind, folder)
    valid = to_change.read_bytes()
    inside = kind.startswith("unpacked")
    valid = gzip.decompress(valid) if inside else valid
    first_bytes = {".nii": 352, ".nii.gz": len(valid), "unpacked .nii.gz": 352}.get(kind, 1500)

    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.integers(0, 2**32))
    def look(seed: int) -> None:
        content = mutated(valid, seed, first_bytes)
        to_change.write_bytes(gzip.compress(content, 1) if inside else content)
        start = time.process_time()
        found = volume_or_reason(to_read)
        if isinstance(found, str):
            assert "\n" not in found
            assert str(folder) not in found
        else:
            assert found.GetDimension() == 3
            assert min(found.GetSize()) > 1
            assert min(found.GetSpacing()) > 0
        assert time.process_time() - start < MOST_SECONDS

    assert read_scan(to_read).GetSize() == (12, 16, 5 if to_read.is_dir() else 6)
    look()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_changed_file_gives_a_volume_or_a_reason(kind: str, tmp_path: Path) -> None:
    try_mutations(kind, tmp_path, 25 if kind[0].isupper() or "DICOM" in kind else 60)


@pytest.mark.soak
@pytest.mark.parametrize("kind", FORMATS)
def test_many_changed_files_give_volumes_or_reasons(kind: str, tmp_path: Path) -> None:
    try_mutations(kind, tmp_path, 5000)
