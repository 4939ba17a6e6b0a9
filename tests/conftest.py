"""Shared fixtures: where the real data lie, and small synthetic scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from small_cohort import NAMES, make_cohort

from pancseg.phantom import Phantom, make_phantom
from pancseg.running.options import RunOptions

ROOT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--data", default=str(ROOT.parent / "shared" / "data"), help="real data")
    parser.addoption("--require-data", action="store_true", help="fail where real data is absent")


@pytest.fixture(scope="session")
def data(request: pytest.FixtureRequest) -> Path:
    """The folder with real CTs and reference values; skip (or fail) without it."""
    folder = Path(request.config.getoption("--data"))
    if not folder.is_dir():
        reason = "the real data are not here; give their folder with --data"
        if request.config.getoption("--require-data"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """A synthetic patient on a coarse grid, cut above and below: quick to segment."""
    whole = make_phantom(3, size=(128, 128, 64), spacing_mm=(2.8, 2.8, 3.0))
    return Phantom(*(image[:, :, 6:48] for image in whole))


@pytest.fixture
def block() -> sitk.Image:
    """A small int16 volume (z 6, y 7, x 8) with distinct voxels and an oblique, shifted grid."""
    rng = np.random.default_rng(5)
    image = sitk.GetImageFromArray(rng.integers(-1000, 1000, (6, 7, 8)).astype(np.int16))
    image.SetSpacing((0.8, 0.9, 2.5))
    image.SetOrigin((-100.5, 20.25, -300.0))
    turn = 0.05
    c, s = float(np.cos(turn)), float(np.sin(turn))
    image.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    return image


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands work in this process unless they are told otherwise: quicker, and all the same."""
    monkeypatch.setattr(RunOptions, "workers_for", lambda self, scans: self.workers or 0)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of six patients, the last two without masks of their own; do not change it."""
    return make_cohort(tmp_path_factory.mktemp("cohort"), NAMES)
