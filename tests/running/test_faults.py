"""A disk that fails once at any moment costs that run alone: the next gives the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import call
from faulty_files import FaultyFiles

FILES = ("features.csv", "codebook.csv", "datapackage.json", "masks/auto1.nii.gz")
STEPS = 8
"""Operations from one fault to the next in the quick test; kinds differ from step to step."""


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


def fail_each(manifest: Path, folder: Path, first: int, step: int) -> set[str]:
    """Let every ``step``-th operation fail in a run of its own; return the kinds that failed."""
    with pytest.MonkeyPatch.context() as patched:
        seen = FaultyFiles().install(patched).seen
        assert run(manifest, folder / "undisturbed") == (0, "")
    expected, failed = left_in(folder / "undisturbed"), set()
    for number in range(first, len(seen) + 1, step):
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
    assert {"write", "fsync"} <= fail_each(manifest, tmp_path, 3, STEPS)


@pytest.mark.soak
@pytest.mark.usefixtures("in_process")
def test_every_operation_may_fail(manifest: Path, tmp_path: Path) -> None:
    kinds = fail_each(manifest, tmp_path, 1, 1)
    assert kinds == {"write", "flush", "fsync", "replace", "link", "image"}
