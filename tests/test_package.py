"""The wheel holds what an installed pancseg needs beside its code."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT


def test_the_wheel_carries_presets_weights_and_recipes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    for expected in (
        "pancseg/py.typed",
        "pancseg/segmentation/weights/monet_open.safetensors",
        "pancseg/segmentation/weights/monet_open.md",
        "pancseg/segmentation/weights/monet_taught.safetensors",
        "pancseg/segmentation/weights/monet_taught.md",
        "pancseg/segmentation/weights/unet16_open.safetensors",
        "pancseg/segmentation/weights/unet16_open.md",
        "pancseg/training/recipes/monet.yaml",
        "pancseg/training/slice_sets/open.yaml",
        "pancseg/radiomics_cfg/pancreas_ct.yaml",
        "pancseg/features/ibsi_codes.csv",
        "pancseg/selftest/digital_phantom.csv",
        "pancseg/report/templates/page.html",
        "pancseg/report/static/page.css",
        "pancseg/report/static/table.js",
        "pancseg/viewer/static/index.html",
        "pancseg/viewer/static/viewer.js",
        "pancseg/viewer/static/niivue/niivue.umd.js",
        "pancseg/viewer/static/niivue/LICENSE",
    ):
        assert expected in names
    code = "from pancseg.features.settings import preset_folder, load_feature_settings as load\n"
    code += "print(preset_folder(), load('pancreas_ct').name)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "site",
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == [
        str(tmp_path / "site" / "pancseg" / "radiomics_cfg"),
        "pancreas_ct",
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.py")), ids=lambda p: p.name)
def test_studies_import_what_there_is(path: Path) -> None:
    """They are not run by the tests; their figures stand in docs."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pancseg"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                found = hasattr(module, alias.name)
                assert found or importlib.import_module(f"{node.module}.{alias.name}")
