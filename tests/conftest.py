"""Shared fixtures: where the real data lie, and small synthetic scans."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from export_cohort import TARGETS, copy_of, make_output
from hypothesis import HealthCheck, settings
from small_cohort import NAMES, make_cohort

import pancseg
from pancseg import RunOptions
from pancseg.phantom import Phantom, make_phantom

ROOT = Path(__file__).parents[1]

settings.register_profile(  # a busy machine fails no test
    "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


SURROUNDINGS = (
    "COLUMNS", "LINES", "TERMINAL_WIDTH", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS",
    "GITHUB_ACTIONS", "SLURM_CPUS_PER_TASK", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "ZDOTDIR",
)  # fmt: skip
"""Variables of terminals, CI systems and clusters that would change what commands print or do."""


def pytest_configure() -> None:
    for name in SURROUNDINGS:
        os.environ.pop(name, None)


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


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that examples run in: a scan and its mask, a cohort, tables and a fitted model."""
    folder = tmp_path_factory.mktemp("examples")
    patient = make_phantom(3, size=(96, 96, 32), spacing_mm=(3.6, 3.6, 5.0))
    pancseg.write_scan(patient.image, folder / "scan.nii.gz")
    mask = sitk.Cast(patient.mask != 0, sitk.sitkUInt8)
    pancseg.write_scan(mask, folder / "mask.nii.gz")
    for name in ("masks", "references"):
        (folder / name).mkdir()
        pancseg.write_scan(mask, folder / name / "P1.nii.gz")
    (folder / "cohort.csv").write_text("patient_id,image\nP1,scan.nii.gz\n")
    rng = np.random.default_rng(7)
    ids = [f"P{i}" for i in range(60)]
    features = {f"original_firstorder_f{i}": rng.normal(size=60) for i in range(5)}
    features["original_shape_MeshVolume"] = rng.normal(60_000, 9_000, size=60)
    pd.DataFrame({"patient_id": ids, **features}).to_csv(folder / "features.csv", index=False)
    survival = {"os_months": rng.exponential(20, 60).round(2) + 0.1}
    survival["os_event"] = rng.integers(0, 2, 60)
    pd.DataFrame({"patient_id": ids, **survival}).to_csv(folder / "clinical.csv", index=False)
    pancseg.fit_model(
        folder / "features.csv",
        folder / "clinical.csv",
        folder / "model",
        time="os_months",
        event="os_event",
        folds=3,
        inner_folds=2,
        repeats=1,
        canary=0,
        workers=1,
    )
    return folder


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder of a DICOM, a NIfTI and an unusable patient; do not change it."""
    return make_output(tmp_path_factory.mktemp("measured"))


@pytest.fixture(scope="session")
def exported(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of exports of that output folder to all targets; do not change it."""
    out = copy_of(measured, tmp_path_factory.mktemp("exported"))
    account = pancseg.export_output(out, TARGETS)
    assert account.written == dict.fromkeys(TARGETS[:3], 1) | {"bids": 2, "slicer": 2}
    assert account.left_out == 2
    return out / "export"


@pytest.fixture(scope="session")
def scans(measured: Path) -> Path:
    """The folder of the scans of that output folder."""
    return measured.parent / "ct"


@pytest.fixture
def longest_cell_as_python_has_it() -> Iterator[None]:
    """Some libraries raise csv's limit for the whole process when they are imported."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)
