"""The README's code runs; the examples run."""

from __future__ import annotations

import re
import runpy
import sys
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT

import pancseg
from pancseg import read_scan, write_scan
from pancseg.phantom import Phantom


def test_readme_block_runs(
    tmp_path: Path,
    phantom: Phantom,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Eight lines, as printed; only the weights are the phantom's, since the scan is one."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert len([line for line in block.splitlines() if line.strip()]) <= 8
    monkeypatch.chdir(tmp_path)
    write_scan(phantom.image, "scan.nii.gz")
    phantoms = partial(pancseg.load_segmenter, "monet_phantom", threads=2)
    monkeypatch.setattr(pancseg, "load_segmenter", phantoms)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out == "pass 409 values\n"
    assert read_scan("pancreas.nii.gz").GetSize() == phantom.image.GetSize()


def test_example_runs(
    tmp_path: Path,
    phantom: Phantom,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scan(phantom.image, "scan.nii.gz")
    script = ROOT / "examples" / "segment_and_measure.py"
    monkeypatch.setattr(sys, "argv", [str(script), "scan.nii.gz", "monet_phantom"])
    runpy.run_path(str(script))
    assert "original_shape_MeshVolume" in capsys.readouterr().out


def test_walkthrough_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = runpy.run_path(str(ROOT / "examples" / "cohort_walkthrough.py"))
    assert namespace["usable"]["patient_id"].tolist() == ["phantom_01", "phantom_02"]
    assert "phantom_02" in capsys.readouterr().out


def test_every_example_is_listed() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "examples").glob("*.py"):
        assert f"`{path.name}`" in text
