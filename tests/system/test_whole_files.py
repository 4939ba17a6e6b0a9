"""Files appear whole and together, or not at all; what a kill leaves has one name and goes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pancseg import Case, load_feature_settings
from pancseg.pipeline.output import RunOutput
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.messages import Request
from pancseg.system.whole_files import partial_path, remove_leftovers, whole_files, write_whole


def test_files_appear_together(tmp_path: Path) -> None:
    write_whole({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    with pytest.raises(OSError, match=r"."):
        write_whole({tmp_path / "a": b"3", tmp_path / "gone" / "b": b"4"})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"1", "b": b"2"}


def test_a_file_that_was_not_written_stops_all(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(FileNotFoundError), whole_files(paths) as partial:
        partial[paths[0]].write_bytes(b"1")
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_a_private_file_from_its_first_byte_on(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    partial_path(secret).write_bytes(b"of an earlier process with this number, readable by all")
    with whole_files([secret], private=True) as partial:
        assert partial[secret].read_bytes() == b""
        assert partial[secret].stat().st_mode & 0o777 == 0o600
        partial[secret].write_bytes(b"1")
    assert (secret.read_bytes(), secret.stat().st_mode & 0o777) == (b"1", 0o600)


KILLED = {
    "table": "write_whole({folder / 'a.csv': b'whole'})",
    "private": "write_whole({folder / 'a.csv': b'whole'}, private=True)",
    "volume": "sitk.WriteImage = die; write_scan(volume, folder / 'a.nii.gz')",
    "network's mask": "write_scan(volume, new); die()",
}
BEFORE = """
import os, signal, sys
from pathlib import Path
import SimpleITK as sitk
from pancseg.cohort.case import Case
from pancseg.running.messages import Request
from pancseg.scans.writing import write_scan
from pancseg.system.whole_files import write_whole

def die(_=None, name=None, **how):
    if name:
        Path(name).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

Path.write_bytes = lambda path, content: path.open("wb").write(b"half") and die()
folder, volume = Path(sys.argv[1]), sitk.Image(4, 4, 4, sitk.sitkUInt8)
new = Request((Case("a", Path("x")),), (frozenset(),), folder).new_mask_path
"""


@pytest.mark.parametrize("what", KILLED)
def test_what_a_killed_process_leaves_is_found_by_its_name(what: str, tmp_path: Path) -> None:
    (tmp_path / ".hidden").touch()
    (tmp_path / "kept").touch()
    code = BEFORE + KILLED[what]
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode
    assert ended == -9
    assert len(list(tmp_path.iterdir())) == 3
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "kept"]


def test_a_run_removes_what_killed_ones_left_beside_table_and_masks(tmp_path: Path) -> None:
    plan = ProcessingPlan("run", load_feature_settings(), "monet_phantom")
    output = RunOutput(tmp_path / "features.csv", plan, [])
    assert output.masks is not None
    output.masks.mkdir()
    request = Request((Case("a", Path("x")),), (frozenset(),), output.masks)
    (tmp_path / ".pancseg").mkdir()
    for left in (tmp_path / "features.csv", output.masks / "a.nii.gz", request.new_mask_path):
        partial_path(left, "4711").touch()
    request.new_mask_path.touch()
    about = {"inference": {"engine": "torch", "precision": "fp32"}, "weights": {"name": "x"}}
    output.start(about)
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert files == [".pancseg/scans.json", "masks/provenance.json"]
