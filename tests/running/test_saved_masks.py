"""A mask that somebody saves while the network makes another of that scan is never replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk

from pancseg import RunOptions, load_feature_settings, read_cohort, write_scan
from pancseg.cli.summary import Written, summary_of_run
from pancseg.cohort.case import Case
from pancseg.pictures.row_pictures import PICTURE
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing import scan as processing
from pancseg.processing.picture_names import PICTURES_FOLDER, mark_of, shows
from pancseg.processing.plan import ProcessingPlan
from pancseg.scans.reading import read_scan
from pancseg.system import whole_files
from pancseg.system.whole_files import move_to_free_name, unshare

HERE = RunOptions(workers=0)
Saved = Callable[[Path], None]


@pytest.fixture
def case(cohort: Path) -> Case:
    return next(case for case in read_cohort(cohort) if case.name == "auto1")


@pytest.fixture
def plan(cohort: Path) -> ProcessingPlan:
    settings = load_feature_settings(cohort.parent / "quick.yaml")
    return ProcessingPlan("run", settings, "monet_phantom")


def save_during(monkeypatch: pytest.MonkeyPatch, save: Saved, mask: Path) -> None:
    """Call ``save`` as soon as the network's mask is on the disk under its temporary name."""
    write = processing.write_scan

    def written(image: sitk.Image, path: Path) -> None:
        write(image, path)
        save(mask)

    monkeypatch.setattr(processing, "write_scan", written)


def drawn(case: Case) -> sitk.Image:
    """A person's mask: a box within the scan."""
    image = read_scan(case.image)
    mask = sitk.Image(image.GetSize(), sitk.sitkUInt8)
    mask.CopyInformation(image)
    mask[40:56, 40:56, 4:8] = 1
    return mask


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("weights", ["monet_open", "monet_phantom"])
def test_a_mask_saved_while_its_scan_is_segmented_is_kept_and_measured_by_the_next_run(
    weights: str,
    hard_links: bool,
    case: Case,
    plan: ProcessingPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, path = tmp_path / "out", tmp_path / "out" / "masks" / "auto1.nii.gz"
    if weights == "monet_open":  # an earlier run's mask, of other weights, lies there
        run_plan([case], out, ProcessingPlan("run", plan.settings, weights), options=HERE)
    if not hard_links:

        def none(*_: object, **__: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "no hard links")

        monkeypatch.setattr(os, "link", none)
    mine = drawn(case)
    with monkeypatch.context() as patched:
        save_during(patched, lambda mask: write_scan(mine, mask), path)
        (row,) = run_plan([case], out, plan, options=HERE)
    saved = path.read_bytes()
    write_scan(mine, tmp_path / "mine.nii.gz")
    assert saved == (tmp_path / "mine.nii.gz").read_bytes()
    assert (row.status, row.reason) == ("fail", "mask_exists")
    assert "run again to measure it" in row.fact
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []
    (again,) = run_plan([case], out, plan, options=HERE)
    assert path.read_bytes() == saved
    assert again.values["qc_mask_source"] == "corrected"
    voxel_ml = 3.6 * 3.6 * 15 / 1000
    assert again.values["qc_volume_ml"] == pytest.approx(16 * 16 * 4 * voxel_ml, rel=1e-4)


NAMES = ["auto1.nrrd", "AUTO1.NII.GZ", "auto1.nii", "auto1.seg.nrrd", "auto1_corrected.nii.gz"]


@pytest.mark.parametrize("name", NAMES)
def test_a_correction_saved_under_another_name_is_taken(
    name: str, case: Case, plan: ProcessingPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (made,) = run_plan([case], out, plan, options=HERE)
    mine = tmp_path / name.lower()
    sitk.WriteImage(drawn(case), mine)
    mine.rename(out / "masks" / name)
    (row,) = run_plan([case], out, plan, options=HERE)
    assert row.values["qc_mask_source"] == "corrected"
    voxel_ml = 3.6 * 3.6 * 15 / 1000
    assert row.values["qc_volume_ml"] == pytest.approx(16 * 16 * 4 * voxel_ml, rel=1e-4)
    (out / "masks" / name).unlink()
    (again,) = run_plan([case], out, plan, options=HERE)
    assert (again.status, dict(again.values)) == (made.status, dict(made.values))


def test_the_terminal_names_corrections_and_masks_that_fit_no_scan(
    case: Case, plan: ProcessingPlan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    written = Written(out, ("features.csv",))
    assert "corrected masks" not in summary_of_run(
        run_plan([case], out, plan, options=HERE), written
    )
    assert caplog.messages == []
    sitk.WriteImage(drawn(case), out / "masks" / "auto1.nrrd")
    (out / "masks" / "auto1_new.nii.gz").touch()
    rows = run_plan([case], out, plan, options=HERE)
    assert "corrected masks taken: auto1\n" in summary_of_run(rows, written)
    (message,) = caplog.messages
    assert message.startswith("1 mask file in the output folder (auto1_new.nii.gz) fits no scan")
    caplog.clear()
    of_pseudonyms = RunOptions(workers=0, pseudonyms=True)
    run_plan([case], tmp_path / "other", plan, options=of_pseudonyms)
    (tmp_path / "other" / "masks" / "Meyer.nii.gz").touch()
    run_plan([case], tmp_path / "other", plan, options=of_pseudonyms)
    assert "fits no scan" in caplog.text
    assert "Meyer" not in "".join(caplog.messages)


def test_a_row_whose_masks_were_not_read_shows_the_slices_of_its_scan(
    case: Case, plan: ProcessingPlan, tmp_path: Path
) -> None:
    out, plan = tmp_path / "out", replace(plan, pictures=True)
    run_plan([case], out, plan, options=HERE)
    pictures = out / PICTURES_FOLDER
    assert (pictures / "auto1.svg").exists()
    for name in NAMES[-2:]:
        sitk.WriteImage(drawn(case), out / "masks" / name)
    (row,) = run_plan([case], out, plan, options=HERE)
    assert row.reason == "mask_exists"
    assert not (pictures / "auto1.svg").exists(), "there is no contour"
    assert shows(pictures / f"auto1{PICTURE}", mark_of(row.values))


def test_two_corrections_are_refused(case: Case, plan: ProcessingPlan, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_plan([case], out, plan, options=HERE)
    for name in NAMES[-2:]:
        sitk.WriteImage(drawn(case), out / "masks" / name)
    (row,) = run_plan([case], out, plan, options=HERE)
    assert (row.status, row.reason) == ("fail", "mask_exists")
    assert "has 2 corrected masks" in row.fact
    (out / "masks" / NAMES[-1]).unlink()
    write_scan(drawn(case), out / "masks" / "auto1.nii.gz")  # changed in place, too
    (row,) = run_plan([case], out, plan, options=HERE)
    assert "has 2 corrected masks" in row.fact


def test_a_correction_may_be_cut_to_a_box(case: Case, plan: ProcessingPlan, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_plan([case], out, plan, options=HERE)
    sitk.WriteImage(drawn(case)[38:60, 38:60, 2:10], out / "masks" / "auto1.nrrd")
    (row,) = run_plan([case], out, plan, options=HERE)
    voxel_ml = 3.6 * 3.6 * 15 / 1000
    assert row.values["qc_volume_ml"] == pytest.approx(16 * 16 * 4 * voxel_ml, rel=1e-4)


def test_a_scan_named_like_a_correction_keeps_its_mask(
    case: Case, plan: ProcessingPlan, tmp_path: Path
) -> None:
    both = [case, Case("auto1_corrected", case.image)]
    run_plan(both, tmp_path / "out", plan, options=HERE)
    rows = run_plan(both, tmp_path / "out", plan, options=HERE)
    assert [row.values["qc_mask_source"] for row in rows] == ["monet_phantom"] * 2


def test_rows_of_other_regions_keep_their_own_masks(
    case: Case, plan: ProcessingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = case.image.with_name("auto1_mask.nii.gz")
    cases = [case, Case("auto1", case.image, mask=given, roi="drawn")]
    save_during(
        monkeypatch,
        lambda mask: write_scan(drawn(case), mask),
        tmp_path / "out" / "masks" / "auto1.nii.gz",
    )
    shared, own = run_plan(cases, tmp_path / "out", plan, options=HERE)
    assert (shared.reason, own.usable) == ("mask_exists", True)
    assert own.values["qc_mask_source"] == "given"


def test_a_mask_changed_between_looking_and_removing_stays(
    case: Case, plan: ProcessingPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, path = tmp_path / "out", tmp_path / "out" / "masks" / "auto1.nii.gz"
    run_plan([case], out, ProcessingPlan("run", plan.settings, "monet_open"), options=HERE)
    results = processing.ScanProcessor.takes_shared
    saved: list[bytes] = []

    def late(self: processing.ScanProcessor, one: Case) -> bool:
        if not saved:  # after the first look at the folder
            write_scan(drawn(case), path)
            saved.append(path.read_bytes())
        return results(self, one)

    monkeypatch.setattr(processing.ScanProcessor, "takes_shared", late)
    (row,) = run_plan([case], out, plan, options=HERE)
    assert row.reason == "mask_exists"
    assert [path.read_bytes()] == saved


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_file_takes_a_free_name_only(
    hard_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hard_links:
        monkeypatch.setattr(
            os, "link", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EPERM, "no"))
        )
    new, path = tmp_path / "new", tmp_path / "name"
    new.write_text("1")
    move_to_free_name(new, path)
    assert (path.read_text(), new.exists()) == ("1", False)
    new.write_text("2")
    with pytest.raises(FileExistsError):
        move_to_free_name(new, path)
    assert (path.read_text(), new.read_text()) == ("1", "2")


def test_a_file_of_two_names_is_copied_before_it_is_changed(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    os.link(one, other)
    unshare(one)
    with one.open("a") as file:
        file.write("2")
    assert (one.read_text(), other.read_text()) == ("12", "1")
    before = one.stat().st_ino
    unshare(one)
    assert one.stat().st_ino == before
    assert whole_files.partial_path(one).exists() is False
