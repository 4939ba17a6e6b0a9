"""A disk that fails once at any moment costs that run alone: the next gives the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from command_line import call
from faulty_files import FaultyFiles

FILES = ("features.csv", "codebook.csv", "datapackage.json", "masks/auto1.nii.gz")
CHOSEN = (
    ("replace", "scans.json"), ("write", "journal.jsonl"), ("image", "auto1.nii.gz"),
    ("link", "auto1.nii.gz"), ("flush", "journal.jsonl"), ("write", "codebook.csv"),
    ("replace", "codebook.csv"), ("replace", "features.csv"),
)  # fmt: skip
"""Kind and end of a name: the first such operation fails in the quick test."""
KINDS = {"write", "flush", "fsync", "replace", "link", "image"}


@pytest.fixture
def manifest(cohort: Path, tmp_path: Path) -> Path:
    """One patient with a mask and one whose mask the network makes."""
    folder = tmp_path / "in"
    shutil.copytree(cohort.parent, folder)
    rows = ["patient_id,image,mask", "a,scans/a.nii.gz,scans/a_mask.nii.gz"]
    (folder / "two.csv").write_text("\n".join([*rows, "auto1,scans/auto1.nii.gz,", ""]))
    return folder / "two.csv"


def run(manifest: Path, out: Path) -> tuple[int, str]:
    words = ["--weights", "monet_phantom", "--config", manifest.parent / "quick.yaml", "--quiet"]
    code, _, err = call("run", manifest, "--out", out, *words)
    return code, err


def left_in(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def numbers_of_chosen(seen: list[tuple[str, str]]) -> list[int]:
    """Return the numbers, from 1, of the chosen operations, and of the fsync before a link."""
    found = []
    for kind, end in CHOSEN:
        found.append(
            next(n for n, (k, name) in enumerate(seen, 1) if k == kind and name.endswith(end))
        )
    link = found[CHOSEN.index(("link", "auto1.nii.gz"))]
    return [*found, link - 1]


def fail_each(
    manifest: Path, folder: Path, numbers: Callable[[list[tuple[str, str]]], Iterable[int]]
) -> set[str]:
    """Let operations fail, each in a run of its own; return the kinds that failed."""
    with pytest.MonkeyPatch.context() as patched:
        seen = FaultyFiles().install(patched).seen
        assert run(manifest, folder / "undisturbed") == (0, "")
    expected, failed = left_in(folder / "undisturbed"), set()
    for number in numbers(seen):
        out = folder / "out"
        with pytest.MonkeyPatch.context() as patched:
            disk = FaultyFiles(number).install(patched)
            code, err = run(manifest, out)
        kind, name = disk.seen[number - 1]
        assert code in (0, 2), (kind, name, err)
        assert err.count("\n") == (code == 2), (kind, name, err)
        assert code == 0 or err.startswith("pancseg: the output cannot be written: "), err
        failed.add(kind)
        assert run(manifest, out) == (0, ""), (kind, name)
        assert left_in(out) == expected, (kind, name)
        hidden = [path.name for path in out.rglob(".*") if path.name != ".pancseg"]
        assert hidden == [], (kind, name)
        shutil.rmtree(out)
    return failed


@pytest.mark.usefixtures("in_process")
def test_operations_that_fail_once_change_no_byte_of_the_next_run(
    manifest: Path, tmp_path: Path
) -> None:
    assert fail_each(manifest, tmp_path, numbers_of_chosen) == KINDS


@pytest.mark.soak
@pytest.mark.usefixtures("in_process")
def test_every_operation_may_fail(manifest: Path, tmp_path: Path) -> None:
    assert fail_each(manifest, tmp_path, lambda seen: range(1, len(seen) + 1)) == KINDS
