"""An output folder with masks of the network, given masks, and a scan without a mask."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from viewed_output import make_scans, run


@pytest.fixture(scope="session")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a cohort and its output ``out``; do not change it."""
    folder = tmp_path_factory.mktemp("viewed")
    run(make_scans(folder), folder / "out")
    return folder


@pytest.fixture
def folder(viewed: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    copy = tmp_path / "copy"
    shutil.copytree(viewed, copy)
    noted = copy / "out" / ".pancseg" / "scans.json"
    noted.write_text(noted.read_text().replace(str(viewed), str(copy)))
    return copy
