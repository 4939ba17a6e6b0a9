"""Rows get their pictures while the scan is in memory, and never fail because of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import pancseg
from pancseg.cohort.case import Case
from pancseg.errors import OutputError
from pancseg.processing import picture_files
from pancseg.processing.picture_names import PICTURES_FOLDER, Mark, mark_of, shows
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.processing.scan import ScanProcessor
from pancseg.processing.scan_task import ScanTask
from pancseg.quality.limits import LimitRange

PARAMETERS = {
    "imageType": {"Original": {}},
    "featureClass": {"firstorder": ["Mean"]},
    "setting": {"resampledPixelSpacing": [2, 2, 2]},
}
SETTINGS = pancseg.FeatureSettings(name="custom", mode="ibsi", parameters=PARAMETERS)


@pytest.fixture(scope="module")
def scan_and_labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small scan, and a map of pancreas (1) and tumour (2)."""
    folder = tmp_path_factory.mktemp("scan")
    phantom = pancseg.phantom.make_phantom(2, size=(64, 64, 24), spacing_mm=(5.4, 5.4, 6.0))
    labels = sitk.GetArrayFromImage(phantom.mask != 0)
    z, y, x = np.argwhere(labels)[len(np.argwhere(labels)) // 2]
    labels[z - 1 : z + 2, y - 2 : y + 3, x - 2 : x + 3] *= 2
    mask = sitk.GetImageFromArray(labels)
    mask.CopyInformation(phantom.image)
    pancseg.write_scan(phantom.image, folder / "scan.nii.gz")
    pancseg.write_scan(mask, folder / "labels.nii.gz")
    return folder / "scan.nii.gz", folder / "labels.nii.gz"


def results(folder: Path, *cases: Case) -> list[CaseResult]:
    processor = ScanProcessor(ProcessingPlan("extract", SETTINGS, keep_failed=True, pictures=True))
    return list(processor.results(ScanTask(cases, pictures=folder)))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_region_has_its_own_pictures(
    scan_and_labels: tuple[Path, Path], tmp_path: Path
) -> None:
    scan, labels = scan_and_labels
    whole = Case("P 1", scan, mask=labels)
    tumour = Case("P 1", scan, mask=labels, mask_label=2, roi="tumour")
    rows = results(tmp_path, whole, tumour)
    assert names(tmp_path) == sorted(
        f"{stem}{suffix}"
        for stem in ("P 1", "P 1.tumour")
        for suffix in (".jpg", ".svg", ".measured.svg", ".thumb.jpg")
    )
    first, second = (mark_of(row.values) for row in rows)
    assert first != second
    assert shows(tmp_path / "P 1.jpg", first)
    assert not shows(tmp_path / "P 1.jpg", second)
    assert shows(tmp_path / "P 1.tumour.jpg", second)
    assert not shows(tmp_path / "gone.jpg", first)
    pixels = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = tmp_path / "again"
    again.mkdir()
    results(again, whole, tumour)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == pixels


def test_pictures_that_no_longer_belong_to_a_row_are_removed(
    scan_and_labels: tuple[Path, Path], tmp_path: Path
) -> None:
    scan, labels = scan_and_labels
    results(tmp_path, Case("P1", scan, mask=labels))
    (row,) = results(tmp_path, Case("P1", scan, mask=labels, mask_label=9))
    assert row.reason.endswith("no_label")
    assert names(tmp_path) == ["P1.jpg", "P1.thumb.jpg"]
    results(tmp_path, Case("P1", scan.with_name("gone.nii.gz"), mask=labels))
    assert names(tmp_path) == []


def test_an_id_that_is_no_file_name_has_no_picture(
    scan_and_labels: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    scan, labels = scan_and_labels
    ids = ("../P1", "a/b", "nul", ".hidden")
    for name in ids:
        (row,) = results(folder, Case(name, scan, mask=labels))
        assert "original_firstorder_Mean" in row.values
    assert names(folder) == []
    assert names(tmp_path) == ["pictures"]


def test_a_row_does_not_fail_because_of_its_picture(
    scan_and_labels: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise MemoryError

    scan, labels = scan_and_labels
    (expected,) = results(tmp_path, Case("P1", scan, mask=labels))
    monkeypatch.setattr(picture_files, "row_pictures", broken)
    (row,) = results(tmp_path, Case("P1", scan, mask=labels))
    assert row == expected
    assert names(tmp_path) == []


def test_a_full_disk_stops_the_run(scan_and_labels: tuple[Path, Path], tmp_path: Path) -> None:
    scan, labels = scan_and_labels
    with pytest.raises(OutputError):
        results(tmp_path / "gone", Case("P1", scan, mask=labels))


@pytest.mark.parametrize("mode", ["ibsi", "pyradiomics"])
def test_pictures_made_later_are_those_made_with_the_row(
    mode: str, scan_and_labels: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measured grid too, with re-segmented voxels, whatever filters the settings have."""
    parameters = {
        "imageType": {"Original": {}, "LoG": {"sigma": [6.0]}, "Wavelet": {}},
        "featureClass": {"firstorder": ["Mean"], "glcm": ["Contrast"]},
        "setting": {
            "resampledPixelSpacing": [4, 4, 4],
            "resegmentRange": [60, 110],
            "binCount": 16,
        },
    }
    settings = pancseg.FeatureSettings(name="custom", mode=mode, parameters=parameters)
    plan = ProcessingPlan("extract", settings, keep_failed=True, pictures=True)
    scan, labels = scan_and_labels
    first, later = tmp_path / "first", tmp_path / "later"
    first.mkdir()
    later.mkdir()
    case = Case("P1", scan, mask=labels)
    processor = ScanProcessor(plan)
    (row,) = processor.results(ScanTask((case,), pictures=first))
    assert "P1.measured.svg" in names(first), row.fact
    monkeypatch.setattr("pancseg.processing.row_filler.compute_features", None)
    processor.draw(ScanTask((case,), pictures=later), [Mark(mark_of(row.values), measured=True)])
    contents = [
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in (first, later)
    ]
    assert contents[0] == contents[1]
    processor.draw(ScanTask((case,), pictures=later), [Mark(mark_of(row.values), measured=False)])
    assert "P1.measured.svg" not in names(later), "a row without features has no such grid"


def test_a_later_run_makes_the_same_pictures(
    scan_and_labels: tuple[Path, Path], tmp_path: Path
) -> None:
    scan, labels = scan_and_labels
    case = Case("P1", scan, mask=labels)
    options = pancseg.RunOptions(workers=0, threads=1)
    settings = SETTINGS.model_copy(
        update={"quality": SETTINGS.quality.model_copy(update={"slice_mm": LimitRange()})}
    )
    for folder, pictures in (("a", True), ("b", False), ("b", True)):
        pancseg.extract_cohort(
            case, tmp_path / folder, settings=settings, pictures=pictures, options=options
        )
    one, other = (tmp_path / folder / PICTURES_FOLDER for folder in ("a", "b"))
    assert "P1.measured.svg" in names(one)
    for name in names(one):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_pipe_is_no_picture_and_is_not_waited_for(tmp_path: Path) -> None:
    pipe, mark = tmp_path / "P1.jpg", mark_of({"image_sha256": "1" * 64})
    os.mkfifo(pipe)
    both_ends = os.open(pipe, os.O_RDWR)  # so that a reader would not wait for ever
    try:
        os.write(both_ends, mark + b"\0" * 60_000)
        assert not shows(pipe, mark)
    finally:
        os.close(both_ends)
