"""The whole way on a cohort with every kind of bad input: one row each, the rest done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from pancseg import (
    Case,
    CaseResult,
    RunOptions,
    load_feature_settings,
    read_cohort,
    read_scan,
    results_table,
    write_scan,
)
from pancseg.cli import app
from pancseg.cohort.roi import parse_roi
from pancseg.phantom import Phantom
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.quality.verdict import volume_ml
from pancseg.running.run_log import account_of
from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import grid_difference_mm
from pancseg.segmentation import engines

DEFAULT = load_feature_settings("pyradiomics_default")
SEGMENT = ProcessingPlan("segment", None, "monet_phantom")
EXTRACT = ProcessingPlan("extract", DEFAULT)
RUN = ProcessingPlan("run", DEFAULT, "monet_phantom")
HERE = RunOptions(workers=0, threads=2)


def make_bad_cohort(folder: Path, phantom: Phantom) -> Path:
    """Write a manifest in which only the first and the last patient are usable."""
    image, mask = phantom.image, sitk.Cast(phantom.mask != 0, sitk.sitkUInt8)
    write_scan(image, folder / "good.nii.gz")
    write_scan(mask, folder / "mask.nii.gz")
    write_scan(mask * 0, folder / "empty.nii.gz")
    write_scan(mask[:, :, :-3], folder / "other_grid.nii.gz")
    whole = (folder / "good.nii.gz").read_bytes()
    (folder / "truncated.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "text.nii.gz").write_text("not an image")
    floats = sitk.Cast(image, sitk.sitkFloat32)
    floats[3, 3, 3] = float("nan")
    special = {
        "nan": floats,
        "flat": image[:, :, 5],
        "slice": image[:, :, 5:6],
        "four": sitk.JoinSeries([image, image]),
        "rgb": sitk.Compose(*[sitk.Cast(image, sitk.sitkUInt8)] * 3),
    }
    for name, volume in special.items():
        sitk.WriteImage(volume, str(folder / f"{name}.nii.gz"))
    (folder / "nothing").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes" / "IM0001").write_text("not DICOM")
    rows = [
        "patient_id,image,mask,mask_label",
        "good,good.nii.gz,mask.nii.gz,",
        "text,text.nii.gz,,",
        "truncated,truncated.nii.gz,,",
        "flat,flat.nii.gz,,",
        "four,four.nii.gz,,",
        "rgb,rgb.nii.gz,,",
        "nan,nan.nii.gz,,",
        "slice,slice.nii.gz,,",
        "folder,nothing,,",
        "notes,notes,,",
        "empty,good.nii.gz,empty.nii.gz,",
        "label,good.nii.gz,mask.nii.gz,9",
        "grid,good.nii.gz,other_grid.nii.gz,",
        "badmask,good.nii.gz,text.nii.gz,",
        "segmented,good.nii.gz,,",
        "gone,gone.nii.gz,,",
        "nomask,good.nii.gz,gone.nii.gz,",
    ]
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


REASONS = {
    "good": "duplicate",
    "text": "unreadable",
    "truncated": "unreadable",
    "flat": "not_3d",
    "four": "not_3d",
    "rgb": "not_scalar",
    "nan": "not_hu",
    "slice": "one_slice",
    "folder": "unreadable",
    "notes": "unreadable",
    "empty": "empty_mask;duplicate",
    "label": "no_label;duplicate",
    "grid": "geometry;duplicate",
    "badmask": "unreadable;duplicate",
    "segmented": "duplicate",
    "gone": "unreadable",
    "nomask": "unreadable;duplicate",
}


@pytest.fixture(scope="module")
def bad_run(
    tmp_path_factory: pytest.TempPathFactory, phantom: Phantom
) -> tuple[Path, list[CaseResult]]:
    folder = tmp_path_factory.mktemp("bad")
    cases = read_cohort(make_bad_cohort(folder, phantom))
    told: list[CaseResult] = []
    results = run_plan(cases, folder / "out", RUN, told.append, HERE)
    assert [result.case.name for result in told] == [o.case.name for o in results]
    return folder / "out", results


def test_every_patient_has_one_row_with_its_reason(bad_run: tuple[Path, list[CaseResult]]) -> None:
    frame = pd.read_csv(bad_run[0] / "features.csv", keep_default_na=False)
    assert dict(zip(frame["patient_id"], frame["qc_reasons"], strict=True)) == REASONS
    assert list(frame["patient_id"]) == list(REASONS)
    features = frame.filter(like="original_")
    assert features.shape[1] == 107
    usable = frame["qc_status"] == "warn"
    assert (frame["qc_status"][~usable] == "fail").all()
    assert (features[~usable] == "").all(axis=None)
    assert (features[usable] != "").all(axis=None)


def test_every_refusal_is_one_line_without_a_path(bad_run: tuple[Path, list[CaseResult]]) -> None:
    out, results = bad_run
    for result in results:
        assert "\n" not in result.fact
        assert bool(result.fact) == (result.status != "pass")
        assert str(out.parent) not in result.fact
        assert ".nii" not in result.fact


def test_the_table_starts_with_ids_and_verdict_and_is_plain_csv(
    bad_run: tuple[Path, list[CaseResult]],
) -> None:
    content = (bad_run[0] / "features.csv").read_bytes()
    header = content.split(b"\n")[0].decode()
    assert header.startswith(
        "patient_id,scan_id,roi,qc_status,qc_reasons,qc_message,"
        "qc_mask_source,qc_mask_label,qc_volume_ml,qc_grid_mm,qc_components,qc_largest_share,"
        "qc_touches_edge,qc_empty_slices,qc_median_hu,qc_fat_share,qc_dense_share,qc_lowest_hu,"
        "qc_slice_mm,qc_slice_thickness_mm,qc_series_choice,qc_phase_hint,qc_resegmented_share,"
        "qc_uncertainty_dice,qc_looks_dice,"
        "image_sha256,mask_sha256,settings_sha256,original_"
    )
    assert b"\r" not in content
    assert str(bad_run[0].parent).encode() not in content


def test_masks_lie_on_the_scans_grid_and_nothing_is_half_written(
    bad_run: tuple[Path, list[CaseResult]], phantom: Phantom
) -> None:
    out = bad_run[0]
    files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert files == [
        ".pancseg/journal.jsonl",
        ".pancseg/lock",
        ".pancseg/scans.json",
        "codebook.csv",
        "datapackage.json",
        "features.csv",
        "masks/provenance.json",
        "masks/segmented.nii.gz",
        "provenance.json",
        "run.jsonl",
        "value_labels.tsv",
    ]
    mask = read_scan(out / "masks" / "segmented.nii.gz")
    assert grid_difference_mm(mask, phantom.image) < 1e-3
    assert np.unique(voxel_array(mask)).tolist() == [0, 1]


def test_provenance_tells_what_made_the_table(bad_run: tuple[Path, list[CaseResult]]) -> None:
    text = (bad_run[0] / "provenance.json").read_text()
    record = json.loads(text)
    asked = {"command": "run", "weights": "monet_phantom", **record["inference"]}
    assert asked.items() <= record["run"].items()
    first = (bad_run[0] / "run.jsonl").read_text().splitlines()[0]
    assert json.loads(first)["run"] == record["run"]
    assert len(record["weights"]["sha256"]) == 64
    assert record["features"]["parameters"]["setting"]["binWidth"] == 25
    used = {"pancseg", "pyradiomics-bhklab", "SimpleITK", "numpy"}
    assert used <= set(record["versions"])
    frame = pd.read_csv(bad_run[0] / "features.csv")
    assert set(frame["settings_sha256"]) == {record["settings_sha256"]}
    hashed = frame.set_index("patient_id")["image_sha256"].dropna()
    assert list(hashed.index) == [
        "good",
        "empty",
        "label",
        "grid",
        "badmask",
        "segmented",
        "nomask",
    ]
    assert hashed.nunique() == 1
    assert str(bad_run[0].parent) not in text


def test_the_same_run_again_gives_the_same_bytes(
    bad_run: tuple[Path, list[CaseResult]], tmp_path: Path
) -> None:
    good = [result.case for result in bad_run[1] if result.usable]
    tables = []
    for order in (good, good[::-1]):
        run_plan(order, tmp_path, RUN, options=HERE)
        lines = (tmp_path / "features.csv").read_bytes().split(b"\n")
        tables.append(sorted(lines))
    assert tables[0] == tables[1]
    few, whole = (
        pd.read_csv(path, dtype=str).fillna("").drop(columns="qc_message")
        for path in (tmp_path / "features.csv", bad_run[0] / "features.csv")
    )  # the messages name all scans with the same voxels
    assert set(few.itertuples(index=False, name=None)) <= set(
        whole.itertuples(index=False, name=None)
    )


@pytest.fixture
def twins(tmp_path: Path, phantom: Phantom) -> list[Case]:
    """One scan under two ids, once as another format, another under a third id, one unreadable."""
    other = sitk.Image(phantom.image)
    other[0, 0, 0] = other[0, 0, 0] + 1
    for name, image in (("a.nii.gz", phantom.image), ("b.nrrd", phantom.image), ("c.nii", other)):
        write_scan(image, tmp_path / name)
    write_scan(phantom.mask, tmp_path / "m.nii.gz")
    names = ("a.nii.gz", "b.nrrd", "c.nii", "gone.nii")
    return [Case(name[0], tmp_path / name, tmp_path / "m.nii.gz") for name in names]


def test_a_scan_under_two_ids_is_a_warning_on_both(twins: list[Case], tmp_path: Path) -> None:
    """In the same bytes in whatever order they were done, and by however many workers."""
    tables = []
    for out, workers in (("one", 0), ("two", 2)):
        options = RunOptions(workers=workers, threads=2)
        results = run_plan(twins, tmp_path / out, EXTRACT, options=options)
        assert [o.reason for o in results] == ["duplicate", "duplicate", "", "unreadable"]
        assert [o.status for o in results] == ["warn", "warn", "pass", "fail"]
        assert results[0].fact == "its scan has the same voxels as that of b"
        tables.append((tmp_path / out / "features.csv").read_bytes())
    run_plan(twins[:1], tmp_path / "later", EXTRACT, options=HERE)
    assert b"duplicate" not in (tmp_path / "later" / "features.csv").read_bytes()
    run_plan(twins, tmp_path / "later", EXTRACT, options=HERE)
    assert account_of(tmp_path / "later" / "run.jsonl").reused == 1
    tables.append((tmp_path / "later" / "features.csv").read_bytes())
    assert tables[0] == tables[1] == tables[2]
    assert tables[0].count(b"duplicate") == 2


def test_regions_of_one_scan_are_no_duplicates(twins: list[Case], tmp_path: Path) -> None:
    cases = [twins[0], replace(twins[0], roi="other")]
    results = run_plan(cases, tmp_path / "out", EXTRACT, options=HERE)
    assert [o.reason for o in results] == ["", ""]


def test_the_network_does_not_stand_in_for_another_region(tmp_path: Path, phantom: Phantom) -> None:
    write_scan(phantom.image, tmp_path / "a.nii.gz")
    case = Case("a", tmp_path / "a.nii.gz", roi="tumour")
    (result,) = run_plan([case], tmp_path / "out", RUN, options=HERE)
    assert (result.status, result.reason) == ("fail", "no_mask")


def test_finished_rows_are_kept_when_a_run_is_stopped(tmp_path: Path, phantom: Phantom) -> None:
    write_scan(phantom.image, tmp_path / "a.nii.gz")
    write_scan(phantom.mask, tmp_path / "m.nii.gz")
    cases = [Case(name, tmp_path / "a.nii.gz", tmp_path / "m.nii.gz") for name in "abc"]
    told: list[CaseResult] = []

    def stop(result: CaseResult) -> None:
        told.append(result)
        if len(told) == 2:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    run_plan(cases[:1], out, EXTRACT, options=HERE)
    before = {name: (out / name).read_bytes() for name in ("features.csv", "provenance.json")}
    with pytest.raises(KeyboardInterrupt):
        run_plan(cases, out, EXTRACT, stop, HERE)
    for name, content in before.items():
        assert (out / name).read_bytes() == content
    run_plan(cases, out, EXTRACT, options=HERE)
    assert account_of(out / "run.jsonl").reused == 2


def test_a_scan_without_mask_fails_when_nothing_segments(tmp_path: Path, phantom: Phantom) -> None:
    write_scan(phantom.image, tmp_path / "a.nii.gz")
    case = Case("a", tmp_path / "a.nii.gz")
    (result,) = run_plan([case], tmp_path / "out", EXTRACT, options=HERE)
    assert (result.status, result.reason) == ("fail", "no_mask")


def test_the_table_keeps_its_provenance_when_masks_are_made_beside_it(
    tmp_path: Path, phantom: Phantom
) -> None:
    (tmp_path / "ct").mkdir()
    write_scan(phantom.image, tmp_path / "ct" / "a.nii.gz")
    write_scan(phantom.mask, tmp_path / "m.nii.gz")
    out, cases = tmp_path / "out", [Case("a", tmp_path / "ct" / "a.nii.gz", tmp_path / "m.nii.gz")]
    run_plan(cases, out, EXTRACT, options=HERE)
    before = (out / "provenance.json").read_bytes()
    run_plan(read_cohort(tmp_path / "ct"), out, SEGMENT, options=HERE)
    assert (out / "masks.csv").exists()
    assert (out / "provenance.json").read_bytes() == before


def test_labels_asked_for_are_written_as_those_measured(tmp_path: Path) -> None:
    case = Case("a", tmp_path / "none.nii.gz", mask_label=parse_roi("1,2"))
    (result,) = run_plan([case], tmp_path / "out", EXTRACT, options=HERE)
    assert result.status == "fail"
    assert results_table([result])["qc_mask_label"].tolist() == ["1+2"]


def test_corrected_masks_are_picked_up_between_the_stages(tmp_path: Path, phantom: Phantom) -> None:
    """Segment, let somebody edit the mask, extract: the features are those of the edited mask."""
    (tmp_path / "ct").mkdir()
    write_scan(phantom.image, tmp_path / "ct" / "a.nii.gz")
    run_plan(read_cohort(tmp_path / "ct"), tmp_path / "out", SEGMENT, options=HERE)
    assert pd.read_csv(tmp_path / "out" / "masks.csv")["qc_status"].tolist() == ["pass"]
    made_by = json.loads((tmp_path / "out" / "masks" / "provenance.json").read_text())
    engine = engines.pick()
    assert made_by["inference"] == {"engine": engine, "precision": "fp32", "looks": 1}
    assert ("openvino" in made_by["versions"]) == (engine == "openvino")
    assert ("torch" in made_by["versions"]) == (engine != "openvino")
    write_scan(phantom.mask, tmp_path / "out" / "masks" / "a.nii.gz")
    cases = read_cohort(tmp_path / "ct", tmp_path / "out" / "masks")
    (result,) = run_plan(cases, tmp_path / "out2", EXTRACT, options=HERE)
    assert result.values["qc_volume_ml"] == pytest.approx(volume_ml(phantom.mask))
    assert result.values["qc_mask_source"] == "given"


@pytest.mark.usefixtures("in_process")
def test_the_limits_of_segment_come_from_a_settings_file(cohort: Path, tmp_path: Path) -> None:
    words = ["segment", str(cohort.parent / "scans" / "a.nii.gz"), "--weights", "monet_phantom"]
    grades = []
    for name, more in (("a", ["--config", str(cohort.parent / "quick.yaml")]), ("b", [])):
        CliRunner().invoke(app, [*words, "--out", str(tmp_path / name), "--quiet", *more])
        grades.append(pd.read_csv(tmp_path / name / "masks.csv")["qc_status"].tolist())
    assert grades == [["pass"], ["fail"]]  # slices are 15 mm apart
    told = json.loads((tmp_path / "a" / "provenance.json").read_text())
    assert told["quality"]["slice_mm"]["fail_above"] == 20
