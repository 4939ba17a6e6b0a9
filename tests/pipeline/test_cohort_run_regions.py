"""Several regions of one scan: a row for each, and the scan is read and segmented once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from command_line import call

from pancseg import (
    Case,
    FeatureSettings,
    RunOptions,
    Segmenter,
    load_feature_settings,
    read_scan,
    write_scan,
)
from pancseg.cohort.regions import named_regions, one_per_region
from pancseg.phantom import Phantom
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.segmentation.segmenter import Segmented

pytestmark = pytest.mark.usefixtures("in_process")

HERE = RunOptions(workers=0, threads=2)


@pytest.fixture
def settings() -> FeatureSettings:
    """Two features, to be quick."""
    few = {"setting": {"binWidth": 25}, "featureClass": {"firstorder": ["Mean", "Median"]}}
    return load_feature_settings("pyradiomics_default").model_copy(update={"parameters": few})


@pytest.fixture
def folder(tmp_path: Path, phantom: Phantom) -> Path:
    """Scans of patients a and b; b has no tumour."""
    voxels = voxel_array(phantom.mask).astype(np.uint8)
    halves = voxels.copy()
    halves[:, :, 64:] *= 2
    for place in ("ct", "masks"):
        (tmp_path / place).mkdir()
    other = sitk.Image(phantom.image)
    other[0, 0, 0] = other[0, 0, 0] + 1
    for name, labels, image in (("a", halves, phantom.image), ("b", voxels, other)):
        write_scan(image, tmp_path / "ct" / f"{name}.nii.gz")
        write_scan(image_like(labels, phantom.mask), tmp_path / "masks" / f"{name}.nii.gz")
    return tmp_path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read, in order."""
    found: list[str] = []
    read = read_scan

    def noted(path: Path, _: object = None, *, series_uid: str | None = None) -> sitk.Image:
        found.append(f"{path.parent.name}/{path.name}")
        return read(path, series_uid=series_uid)

    monkeypatch.setattr("pancseg.processing.scan_reading.read_scan", noted)
    monkeypatch.setattr("pancseg.processing.scan_reading.read_mask", noted)
    return found


@pytest.fixture
def segmented(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the network was asked for, so far."""
    calls: list[int] = []
    segment = Segmenter.segment_and_compare

    def counting(self: Segmenter, scan: sitk.Image) -> Segmented:
        calls.append(1)
        return segment(self, scan)

    monkeypatch.setattr(Segmenter, "segment_and_compare", counting)
    return calls


def extract(settings: FeatureSettings) -> ProcessingPlan:
    return ProcessingPlan("extract", settings)


def run(settings: FeatureSettings) -> ProcessingPlan:
    return ProcessingPlan("run", settings, "monet_phantom")


def test_rows_come_scan_by_scan_in_the_order_of_the_regions(
    folder: Path, settings: FeatureSettings, reads: list[str]
) -> None:
    texts = ["pancreas=1,2", "tumour=2", "parenchyma=1", "ring5=ring(1,2;5mm;-300..400HU)"]
    cases = [Case(n, folder / "ct" / f"{n}.nii.gz", folder / "masks" / f"{n}.nii.gz") for n in "ab"]
    rows = one_per_region(cases, named_regions(texts))
    run_plan(rows, folder / "out", extract(settings), options=HERE)
    assert reads == ["ct/a.nii.gz", "masks/a.nii.gz", "ct/b.nii.gz", "masks/b.nii.gz"]
    frame = pd.read_csv(folder / "out" / "features.csv", keep_default_na=False)
    columns = ["patient_id", "roi", "qc_reasons", "qc_mask_label"]
    assert frame[columns].to_numpy().tolist() == [
        ["a", "pancreas", "", "1+2"],
        ["a", "tumour", "", "2"],
        ["a", "parenchyma", "", "1"],
        ["a", "ring5", "", "ring(1,2;5mm;-300..400HU)"],
        ["b", "pancreas", "", "1"],
        ["b", "tumour", "no_label", "2"],
        ["b", "parenchyma", "", "1"],
        ["b", "ring5", "", "ring(1;5mm;-300..400HU)"],
    ]
    volumes = pd.to_numeric(frame["qc_volume_ml"])
    assert volumes[0] == pytest.approx(volumes[1] + volumes[2])
    assert volumes[0] == volumes[4] == volumes[6]
    assert volumes[3] == volumes[7]
    means = frame["original_firstorder_Mean"]
    assert means[0] == means[4] != means[3]


def test_a_scan_is_segmented_once_for_all_its_regions(
    folder: Path, settings: FeatureSettings, reads: list[str], segmented: list[int]
) -> None:
    texts = ["all=all", "pancreas=1,2", "tumour=2", "ring5=ring(1,2;5mm)"]
    cases = [Case(name, folder / "ct" / f"{name}.nii.gz") for name in "ab"]
    rows = [*one_per_region(cases, named_regions(texts)), Case("b", cases[1].image, roi="spleen")]
    results = run_plan(rows, folder / "out", run(settings), options=HERE)
    assert len(segmented) == 2
    assert reads == ["ct/a.nii.gz", "ct/b.nii.gz"]
    written = sorted(path.name for path in (folder / "out" / "masks").iterdir())
    assert written == ["a.nii.gz", "b.nii.gz", "provenance.json"]
    reasons = ["", "", "no_label", ""]
    assert [result.reason for result in results] == [*reasons, *reasons, "no_mask"]
    assert results[2].fact == "the mask has no label 2; it has 1"
    made_of = [result.values.get("qc_mask_label") for result in results[:4]]
    assert made_of == ["1", "1", None, "ring(1;5mm)"]


def test_a_scan_that_cannot_be_read_is_tried_once(
    folder: Path, settings: FeatureSettings, reads: list[str]
) -> None:
    (folder / "ct" / "a.nii.gz").write_text("damaged")
    case = Case("a", folder / "ct" / "a.nii.gz")
    rows = one_per_region([case], named_regions(["x=1", "y=all"]))
    results = run_plan(rows, folder / "out", run(settings), options=HERE)
    assert [result.reason for result in results] == ["unreadable", "unreadable"]
    assert results[0].fact == results[1].fact
    assert reads == ["ct/a.nii.gz"]


def test_the_option_gives_the_rows_of_the_manifest(folder: Path) -> None:
    (folder / "p.yaml").write_text("featureClass: {firstorder: [Mean]}\n")
    (folder / "m.csv").write_text(
        "patient_id,image,roi,mask_label\n"
        "a,ct/a.nii.gz,tumour,2\n"
        "a,ct/a.nii.gz,ring5,ring(1+2;5mm)\n"
    )
    shared = ["--masks", folder / "masks", "--config", folder / "p.yaml", "--quiet"]
    (folder / "masks" / "b.nii.gz").unlink()
    (folder / "ct" / "b.nii.gz").unlink()
    options = ["--roi", "tumour=2", "--roi", "ring5=ring(1,2;5mm)"]
    first = call("extract", folder / "ct", "--out", folder / "o1", *shared, *options)
    second = call("extract", folder / "m.csv", "--out", folder / "o2", *shared)
    assert first == second == (0, "", "")
    tables = [(folder / name / "features.csv").read_bytes() for name in ("o1", "o2")]
    assert tables[0] == tables[1]
    assert tables[0].count(b"\n") == 3


def test_segment_writes_one_mask_per_scan_of_a_manifest_with_regions(folder: Path) -> None:
    rows = "a,ct/a.nii.gz,,\na,ct/a.nii.gz,tumour,2\n"
    (folder / "m.csv").write_text("patient_id,image,roi,mask_label\n" + rows)
    weights = ["--weights", "monet_phantom", "--threads", "2", "--quiet"]
    assert call("segment", folder / "m.csv", "--out", folder / "o", *weights)[0] == 0
    frame = pd.read_csv(folder / "o" / "masks.csv")
    assert frame[["patient_id", "roi"]].to_numpy().tolist() == [["a", "pancreas"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--roi", "a=1-3"], "--roi a: '1-3' is not a region expression; write for example 1,2 or"),
        (["--roi", "a=1", "--roi", "a=2"], "--roi 'a=2': a region 'a' is given already"),
        (["--roi", "2"], "--roi '2': expected NAME=EXPRESSION, such as 'tumour=2'"),
        (["--roi", "a=1", "--label", "2"], "--label and --roi both name regions; for label 2"),
        (["--roi", "a=1", "--manifest"], "a: the manifest names a region too"),
        (
            ["--manifest", "1-3"],
            "cohort: line 2 (a): mask_label '1-3' is not a region expression",
        ),
    ],
)
@pytest.mark.parametrize("command", ["extract", "run"])
def test_contradictions_are_refused_in_one_line_before_anything_runs(
    folder: Path, command: str, arguments: list[str], message: str
) -> None:
    cohort = folder / "ct"
    if "--manifest" in arguments:
        at = arguments.index("--manifest")
        arguments, labels = arguments[:at], arguments[at + 1 :] or ["2"]
        cohort = folder / "m.csv"
        cohort.write_text(f"patient_id,image,mask_label\na,ct/a.nii.gz,{labels[0]}\n")
    code, out, err = call(command, cohort, "--out", folder / "o", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (folder / "o").exists()
