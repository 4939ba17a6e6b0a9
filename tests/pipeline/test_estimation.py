"""How long a run will take: what is to do comes from headers, the speed from made-up scans."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import call
from dicom_series import write_series
from two_looks import PHANTOM_WINDOWS, two_looks

from pancseg import (
    Case,
    FeatureSettings,
    RunOptions,
    estimate_run,
    load_feature_settings,
    read_cohort,
    read_scan,
    run_cohort,
)
from pancseg.cli.estimate import lines_of
from pancseg.pipeline.estimation import trial
from pancseg.pipeline.estimation.estimate import (
    RunEstimate,
    _wall_seconds,
    slices_again,
    slices_to_network,
)
from pancseg.pipeline.estimation.made_up import make_up
from pancseg.pipeline.estimation.second_look import cost_of_second_look
from pancseg.pipeline.estimation.trial import Speed, Trial, region_voxels
from pancseg.pipeline.estimation.workload import earlier_rows, workload_of
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.memory import SECOND_LOOK_BYTES
from pancseg.scans.slice_preview import SlicePreview, preview_slices
from pancseg.scans.writing import write_scan
from pancseg.segmentation import engines
from pancseg.segmentation.slice_search import Steps, search

HERE = RunOptions(workers=0, threads=1)


@pytest.fixture
def quick(cohort: Path) -> FeatureSettings:
    return load_feature_settings(cohort.parent / "quick.yaml")


@pytest.mark.parametrize("slice_mm", [0.6, 1.0, 1.5, 2.5, 5.0])
def test_the_number_of_slices_is_that_of_the_search(slice_mm: float) -> None:
    count, height_mm = round(400 / slice_mm), 100.0
    first, last = 0.4 * count, 0.4 * count + height_mm / slice_mm
    steps = Steps.of(slice_mm)
    looked_at = search(
        count, steps, lambda wanted: [first <= i < last for i in wanted], int(6 / slice_mm)
    )
    assert slices_to_network(count, slice_mm, height_mm) == pytest.approx(
        len(looked_at), abs=2 * steps.first / steps.then
    )


def test_scans_go_to_the_first_worker_to_be_free() -> None:
    assert _wall_seconds([5, 1, 1, 1, 1, 1], 2) == 5
    assert _wall_seconds([1, 1, 1, 1, 1, 5], 2) == 7
    assert _wall_seconds([2, 3], 1) == 5
    assert _wall_seconds([2, 3], 9) == 3


def test_headers_tell_what_is_to_do(
    cohort: Path, quick: FeatureSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pancseg.scans.reading.read_voxels", lambda _: pytest.fail("voxels read"))
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no header")
    cases = [*read_cohort(cohort), Case("broken", broken), Case("gone", tmp_path / "gone.nii.gz")]
    work = workload_of(cases, quick, "openvino", frozenset({"a", "auto1"}))
    assert (len(work.scans), work.rows, work.kept_rows, work.unreadable) == (4, 4, 2, 2)
    assert [scan.segmented for scan in work.scans] == [False, False, False, True]
    assert {scan.slices.slices for scan in work.scans} == {12}
    assert all(scan.memory_bytes > 650e6 for scan in work.scans)


def test_slices_are_counted_along_the_patient(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((10, 20, 30), np.int16))  # x 30, y 20, z 10
    image.SetSpacing((5.0, 0.7, 0.8))
    image.SetDirection((0, 1, 0, 0, 0, 1, 1, 0, 0))  # the file's first axis runs up
    write_scan(image, tmp_path / "scan.nii.gz")
    assert preview_slices(tmp_path / "scan.nii.gz") == (
        *(30, 200, pytest.approx(0.7), pytest.approx(5.0)),
    )


def test_a_dicom_series_is_as_dense_as_its_slices_are_thick(tmp_path: Path) -> None:
    write_series(tmp_path, [0.0, 3.0, 6.0, 9.0], "1.2.3.111", SliceThickness=3.0)
    assert preview_slices(tmp_path) == (4, 30, 0.8, 3.0)


def test_regions_are_counted_on_the_grid_of_their_features() -> None:
    scan = SlicePreview(100, 512 * 512, 0.5, 4.0)
    own = FeatureSettings(name="own", mode="ibsi", parameters={})
    fine = FeatureSettings(
        name="fine", mode="ibsi", parameters={"setting": {"resampledPixelSpacing": [2, 2, 0]}}
    )
    assert region_voxels(80, scan, own) == pytest.approx(80_000)
    assert region_voxels(80, scan, fine) == pytest.approx(5_000)


def test_a_second_look_sees_the_organ_and_its_margin() -> None:
    assert slices_again(300, 1.5, 90.0, 10.0) == pytest.approx(110 / 1.5)
    assert slices_again(30, 5.0, 160.0, 10.0) == 30


def test_a_second_look_takes_time_and_memory(
    cohort: Path, quick: FeatureSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The looks are those of the weights, or those that are asked for."""
    speed = Speed(2.0, 0.1, 1e-7, 0.5, 3.0, 0.2, 10_000, 40_000, 300_000, 0.5, 10.0)
    asked: list[int | None] = []

    def measured(plan: ProcessingPlan, *_: object, **__: object) -> Trial:
        asked.append(plan.looks)
        one_look = speed._replace(again_s=0.0)
        return Trial(speed if plan.looks == 2 else one_look, "openvino", 12.0)

    monkeypatch.setattr("pancseg.pipeline.estimation.estimate.measure_speed", measured)
    two_looks().save(tmp_path / "two.safetensors")
    cases = [case for case in read_cohort(cohort) if not case.mask]
    both, alone = (
        estimate_run(
            cases, settings=quick, weights=tmp_path / "two.safetensors", looks=looks, options=HERE
        )
        for looks in (None, 1)
    )
    assert asked == [2, 1]
    slices = sum(
        slices_again(s.slices, s.slice_mm, 70.0, 10.0)
        for s in (preview_slices(case.image) for case in cases)
    )
    assert both.seconds[0] - alone.seconds[0] == pytest.approx(0.8 * 0.5 * slices)
    assert both.shares["segment"] > alone.shares["segment"]
    assert both.memory_bytes - alone.memory_bytes == SECOND_LOOK_BYTES[engines.pick(gpu=False)]


def test_the_cost_of_a_second_look_is_measured(tmp_path: Path) -> None:
    two_looks().save(tmp_path / "two.safetensors")
    plan = ProcessingPlan("run", None, str(tmp_path / "two.safetensors"), looks=2)
    found = cost_of_second_look(plan, make_up(tmp_path, 5.0), "openvino", 1)
    assert found.margin_mm == PHANTOM_WINDOWS.margin_mm
    assert found.slices > 0


@pytest.mark.parametrize("slice_mm", [0.8, 2.5, 6.0])
def test_a_made_up_region_is_like_a_pancreas(slice_mm: float, tmp_path: Path) -> None:
    made = make_up(tmp_path, slice_mm)
    assert 60 < made.region_ml < 100
    scan, mask = read_scan(made.scan), read_scan(made.mask)
    assert scan.GetSize() == mask.GetSize()
    inside = sitk.GetArrayFromImage(mask) > 0
    assert inside[[0, -1]].sum() == inside[:, [0, -1]].sum() == inside[:, :, [0, -1]].sum() == 0
    assert float(inside.sum() * np.prod(mask.GetSpacing()) / 1000) == pytest.approx(made.region_ml)
    assert [read_scan(path).GetSize()[2] for path in (made.warm_up, made.slices)] == [2, 8]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def earlier(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run over two of the cohort's patients."""
    out = tmp_path_factory.mktemp("earlier") / "out"
    cases = [case for case in read_cohort(cohort) if case.name in ("a", "b")]
    settings = load_feature_settings(cohort.parent / "quick.yaml")
    weights = "monet_phantom"
    run_cohort(cases, out, settings=settings, weights=weights, options=HERE, pictures=False)
    return out


def test_rows_of_an_earlier_run_count_as_done_and_nothing_is_written(
    cohort: Path, quick: FeatureSettings, earlier: Path
) -> None:
    before = everything_in(earlier)
    assert earlier_rows(earlier, quick) == {"a", "b"}
    assert earlier_rows(earlier, load_feature_settings("pancreas_ct")) == frozenset()
    assert earlier_rows(earlier.parent / "none", quick) == earlier_rows(None, quick) == frozenset()
    assert everything_in(earlier) == before
    (earlier / "provenance.json").rename(earlier / "provenance.txt")  # as after an interruption
    try:
        assert earlier_rows(earlier, quick) == {"a", "b"}
    finally:
        (earlier / "provenance.txt").rename(earlier / "provenance.json")


def test_where_nothing_is_left_nothing_is_measured(
    cohort: Path, quick: FeatureSettings, earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "run_plan", lambda *_, **__: pytest.fail("measured"))
    cases = [case for case in read_cohort(cohort) if case.name in ("a", "b")]
    found = estimate_run(cases, earlier, settings=quick, weights="monet_phantom")
    assert (found.rows, found.kept_rows, found.seconds) == (0, 2, (0.0, 0.0))
    assert lines_of(found, 10**9, 10**9) == [
        "0 rows of 0 scans to make; 2 rows of an earlier run, if unchanged, will be kept"
    ]


def test_an_estimate_is_of_the_order_of_the_run(
    cohort: Path, quick: FeatureSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a factor of eight, by this process's own time: the machine may be busy."""
    weights = "monet_phantom"
    cases = [case for case in read_cohort(cohort) if case.name in ("a", "auto1")]
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    found = estimate_run(cases, settings=quick, weights=weights, options=HERE)
    assert list((tmp_path / "temporary").iterdir()) == []
    began = time.perf_counter()
    run_cohort(cases, tmp_path / "out", settings=quick, weights=weights, options=HERE)
    spent = time.perf_counter() - began
    assert found.seconds[0] / 8 < spent < 8 * found.seconds[1]
    assert (found.scans, found.rows, found.workers) == (2, 2, 0)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert 1e9 > found.memory_bytes > 650e6
    written = sum(map(len, everything_in(tmp_path / "out").values()))
    assert written / 4 < found.disk_bytes < 4 * written


def test_the_command_says_it_in_three_lines(cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speed = Speed(2.0, 0.1, 1e-7, 0.5, 3.0, 0.2, 10_000, 40_000, 300_000)
    asked: list[dict[str, object]] = []

    def measured(*_: object, **named: object) -> Trial:
        asked.append(named)
        return Trial(speed, "openvino", 12.0)

    monkeypatch.setattr("pancseg.pipeline.estimation.estimate.measure_speed", measured)
    words = ["--config", cohort.parent / "quick.yaml", "--weights", "monet_phantom"]
    code, out, err = call("check", cohort, "--estimate", "--workers", 2, *words)
    assert (code, err, asked) == (0, "", [{"network": True}])
    rows, spent, needs = out.splitlines()
    assert rows == "6 rows of 6 scans to make"
    assert spent.startswith("time: ")
    assert "with 2 workers and openvino (segment " in spent
    assert spent.endswith(", as measured in 12 s")
    assert needs.startswith("memory: up to ")


def test_without_scans_to_segment_the_network_is_not_measured(
    cohort: Path, quick: FeatureSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*_: object, network: bool) -> Trial:
        assert not network
        return Trial(Speed(2.0, 0.1, 1e-7, 0.0, 3.0, 0.2, 10_000, 40_000, 300_000), "openvino", 9.0)

    monkeypatch.setattr("pancseg.pipeline.estimation.estimate.measure_speed", measured)
    cases = [case for case in read_cohort(cohort) if case.mask]
    found = estimate_run(cases, settings=quick, weights="monet_phantom", options=HERE)
    assert found.shares["segment"] == 0
    assert found.seconds[0] > 2.0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--weights", "monet_phantom"], "check runs no network; --weights, --engine"),
        (["--estimate", "--weights", "no_such"], "no_such"),
        (["--estimate", "--engine", "abacus"], "unknown engine 'abacus'"),
    ],
)
def test_what_cannot_be_estimated_is_one_line(words: list[str], told: str, cohort: Path) -> None:
    code, out, err = call("check", cohort, "--workers", 0, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


def test_a_cohort_without_a_readable_header_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "P1.nii.gz").write_bytes(b"no header")
    (tmp_path / "cohort.csv").write_text("patient_id,image\nP1,P1.nii.gz\n")
    code, out, err = call("check", tmp_path / "cohort.csv", "--estimate", "--workers", 0)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no scan that is left to process has a header that can be read" in err


def test_lines_say_what_is_not_counted() -> None:
    shares = {"segment": 0.9, "features": 0.06, "other": 0.04}
    found = RunEstimate(
        *(199, 212, 30, 1, 2, "openvino"), (9000.0, 16000.0), shares, 2 * 10**9, 10**8, 12.0
    )
    assert lines_of(found, 4 * 10**9, 25 * 10**9) == [
        "212 rows of 199 scans to make; 30 rows of an earlier run, if unchanged, will be kept",
        "1 scan without a header that can be read; it is not counted",
        "time: 2.5–4.5 h with 2 workers and openvino (segment 90 %, features 6 %, other 4 %), as "
        "measured in 12 s",
        "memory: up to 2.0 GB of 4.0 GB that are free; disk: about 100 MB of 25.0 GB that are free",
    ]
