"""The work on one scan: everything once, one result per row, and what the verdict does to it."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pancseg import (
    Case,
    CaseResult,
    FeatureSettings,
    QualityLimits,
    Segmenter,
    load_feature_settings,
    load_segmenter,
    read_scan,
    write_scan,
)
from pancseg.cohort.roi import parse_roi
from pancseg.errors import OutputError
from pancseg.phantom import Phantom
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.scan import ScanProcessor
from pancseg.processing.scan_task import ScanTask
from pancseg.quality.limits import LimitRange, RegionLimits
from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import orient
from pancseg.segmentation.segmenter import Segmented
from pancseg.system.whole_files import partial_path

FEW = {
    "setting": {"binWidth": 25},
    "featureClass": {"firstorder": ["Mean"], "shape": ["MeshVolume", "Sphericity"]},
}


def settings_with(limits: QualityLimits | None = None, **setting: object) -> FeatureSettings:
    """Return settings with three features, to be quick."""
    parameters = {**FEW, "setting": {**FEW["setting"], **setting}}
    preset = load_feature_settings("pyradiomics_default")
    update = {"parameters": parameters, "quality": limits or QualityLimits()}
    return preset.model_copy(update=update)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter("monet_phantom", threads=2)


@pytest.fixture
def folder(tmp_path: Path, phantom: Phantom) -> Path:
    write_scan(phantom.image, tmp_path / "ct.nii.gz")
    write_scan(sitk.Cast(phantom.mask > 0, sitk.sitkUInt8), tmp_path / "m.nii.gz")
    return tmp_path


def extract(folder: Path, settings: FeatureSettings, keep_failed: bool = False) -> CaseResult:
    processor = ScanProcessor(ProcessingPlan("extract", settings, keep_failed=keep_failed))
    case = Case("a", folder / "ct.nii.gz", folder / "m.nii.gz")
    (result,) = processor.results(ScanTask((case,)))
    return result


def features_of(result: CaseResult) -> dict[str, float | str]:
    return {n: v for n, v in result.values.items() if n.startswith("original_")}


def test_a_ready_mask_gives_the_bytes_of_the_mask_just_made(
    folder: Path, segmenter: Segmenter
) -> None:
    """Axes and origin that NIfTI rounds, a ring, and the dropout's Dice: all the same."""
    scan = orient(read_scan(folder / "ct.nii.gz")[:, :, 16:26], "SAL")
    scan.SetOrigin((0.1, 1 / 3, -1e3 / 7))
    write_scan(scan, folder / "turned.nrrd")
    case = Case("a", folder / "turned.nrrd")
    rows = (case, Case("a", case.image, roi="ring", mask_label=parse_roi("ring(1;6mm)")))
    processor = ScanProcessor(
        ProcessingPlan("run", settings_with(), keep_failed=True, uncertainty=2), segmenter
    )
    new = partial_path(folder / "a.nii.gz", "new")
    told: list[Path] = []
    first = []

    def tell(path: Path, looks_dice: float | None) -> None:
        assert looks_dice is None
        told.append(path)

    for result in processor.results(ScanTask(rows, new_mask=new), tell):
        assert told == [new]
        assert new.is_file()
        first.append(result)
    again = list(processor.results(ScanTask(rows, None, new, "monet_phantom"), tell))
    assert told == [new]
    assert repr(again) == repr(first)
    assert all(o.values["original_firstorder_Mean"] for o in first)
    assert 0.3 < float(first[0].values["qc_uncertainty_dice"]) < 1
    corrected = next(processor.results(ScanTask(rows[:1], None, new, "corrected")))
    assert corrected.values["qc_mask_source"] == "corrected"
    assert "qc_uncertainty_dice" not in corrected.values


def test_scan_and_masks_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    read = read_scan

    def noted(path: Path, _: object = None, *, series_uid: str | None = None) -> sitk.Image:
        found.append(path.name)
        return read(path, series_uid=series_uid)

    monkeypatch.setattr("pancseg.processing.scan_reading.read_scan", noted)
    monkeypatch.setattr("pancseg.processing.scan_reading.read_mask", noted)
    write_scan(read(folder / "m.nii.gz"), folder / "n.nii.gz")
    names = ("m", "n", "m", "gone", "gone")
    rows = tuple(Case("a", folder / "ct.nii.gz", folder / f"{n}.nii.gz") for n in names)
    results = list(
        ScanProcessor(ProcessingPlan("extract", settings_with())).results(ScanTask(rows))
    )
    assert [o.reason for o in results] == ["", "", "", "unreadable", "unreadable"]
    assert results[3].fact == results[4].fact
    assert sorted(found) == ["ct.nii.gz", "gone.nii.gz", "m.nii.gz", "n.nii.gz"]


def test_a_scan_without_orientation_is_measured_with_a_warning_but_no_network_sees_it(
    folder: Path, segmenter: Segmenter
) -> None:
    """A MetaImage without a matrix, and a mask with the same header."""
    for name in ("ct", "m"):
        image = read_scan(folder / f"{name}.nii.gz")
        image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1))
        sitk.WriteImage(image, str(folder / f"{name}.mha"))
        whole = (folder / f"{name}.mha").read_bytes()
        matrix = b"TransformMatrix = 1 0 0 0 1 0 0 0 1\n"
        assert whole.count(matrix) == 1
        (folder / f"{name}.mha").write_bytes(whole.replace(matrix, b""))
    given = Case("a", folder / "ct.mha", folder / "m.mha")
    (measured,) = ScanProcessor(ProcessingPlan("extract", settings_with())).results(
        ScanTask((given,))
    )
    assert (measured.status, measured.reason) == ("warn", "geometry")
    assert measured.values["original_firstorder_Mean"] == pytest.approx(
        features_of(extract(folder, settings_with()))["original_firstorder_Mean"]
    )
    for command in ("run", "segment"):
        processor = ScanProcessor(ProcessingPlan(command, settings_with()), segmenter)
        (result,) = processor.results(
            ScanTask((Case("a", given.image),), new_mask=folder / "n.nii.gz")
        )
        assert (result.status, result.reason) == ("fail", "geometry")
        assert "sform_code" in result.fact
        assert not (folder / "n.nii.gz").exists()


class Broken:
    """A segmenter with a bug that counts its calls."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.checkpoint, self.calls = segmenter.checkpoint, 0

    def segment_and_compare(self, scan: sitk.Image) -> Segmented:
        self.calls += 1
        raise PermissionError("no output: a bug")


def test_a_bug_in_the_network_costs_its_rows_only(folder: Path, segmenter: Segmenter) -> None:
    broken = Broken(segmenter)
    case = Case("a", folder / "ct.nii.gz")
    rows = (case, Case("a", case.image, folder / "m.nii.gz"), case)
    processor = ScanProcessor(ProcessingPlan("run", settings_with()), broken)  # type: ignore[arg-type]
    results = list(processor.results(ScanTask(rows, folder / "new.nii.gz")))
    assert [o.status for o in results] == ["error", "pass", "error"]
    assert results[0].reason == "PermissionError"
    assert broken.calls == 1
    assert not (folder / "new.nii.gz").exists()


def test_a_mask_that_cannot_be_written_stops_the_run(folder: Path, segmenter: Segmenter) -> None:
    (folder / "file").write_text("in the way")
    processor = ScanProcessor(ProcessingPlan("segment", None), segmenter)
    task = ScanTask((Case("a", folder / "ct.nii.gz"),), folder / "file" / "new.nii.gz")
    with pytest.raises(OutputError):
        list(processor.results(task))


def test_what_fails_keeps_its_measures_and_no_features(folder: Path) -> None:
    own = RegionLimits(
        volume_ml=LimitRange(fail_below=1000, warn_below=1000, warn_above=None, fail_above=None)
    )
    limits = QualityLimits(regions={"pancreas": own})
    result = extract(folder, settings_with(limits))
    assert (result.status, result.reason) == ("fail", "volume")
    assert features_of(result) == {}
    assert result.values["qc_components"] == 1
    assert float(result.values["qc_volume_ml"]) > 25
    kept = extract(folder, settings_with(limits), keep_failed=True)
    assert (kept.status, kept.reason, kept.fact) == ("fail", "volume", result.fact)
    assert features_of(kept) == features_of(extract(folder, settings_with()))
    assert len(features_of(kept)) == 3


def test_shape_is_empty_where_the_region_is_cut_off(folder: Path) -> None:
    scan, mask = (read_scan(folder / f"{name}.nii.gz") for name in ("ct", "m"))
    inside = np.flatnonzero(voxel_array(mask).any(axis=(1, 2)))
    first = int(inside[len(inside) // 4])
    for name, image in (("ct", scan), ("m", mask)):
        write_scan(image[:, :, first:], folder / f"{name}.nii.gz")
    result = extract(folder, settings_with())
    assert result.status == "warn"
    assert "truncated" in result.reason.split(";")
    assert "missing_values" not in result.reason
    found = features_of(result)
    shape = [n for n in found if "_shape_" in n]
    assert len(shape) == 2
    assert all(math.isnan(float(found[n])) for n in shape)
    assert math.isfinite(float(found["original_firstorder_Mean"]))
    assert result.values["qc_touches_edge"] == 1


@pytest.mark.parametrize("mode", ["pyradiomics", "ibsi"])
@pytest.mark.parametrize(
    ("share", "expected"), [(0.9, ""), (0.7, "resegmented"), (0.3, "resegmented")]
)
def test_resegmentation_is_judged_in_both_modes(
    mode: str, share: float, expected: str, folder: Path
) -> None:
    scan, mask = (voxel_array(read_scan(folder / f"{n}.nii.gz")) for n in ("ct", "m"))
    limit = float(np.quantile(scan[mask == 1], share))
    few = settings_with(resegmentRange=[-1000, limit]).model_copy(update={"mode": mode})
    result = extract(folder, few)
    left = np.mean(scan[mask == 1] <= limit)
    assert result.values["qc_resegmented_share"] == pytest.approx(left, abs=1e-5)
    assert result.reason == expected
    assert result.status == ("pass" if not expected else "warn" if share > 0.5 else "fail")
    assert bool(features_of(result)) == result.usable
    plain = extract(folder, settings_with().model_copy(update={"mode": mode}))
    assert "qc_resegmented_share" not in plain.values


def test_resegmentation_is_judged_where_pyradiomics_corrects_masks(folder: Path) -> None:
    mask = read_scan(folder / "m.nii.gz")
    write_scan(mask[5:, :, :], folder / "m.nii.gz")
    both = settings_with(resegmentRange=[-1000, 90], correctMask=True)
    scan = voxel_array(read_scan(folder / "ct.nii.gz"))[voxel_array(mask) == 1]
    result = extract(folder, both, keep_failed=True)
    assert result.values["qc_resegmented_share"] == pytest.approx(np.mean(scan <= 90), abs=1e-5)
    assert len(features_of(result)) == 3


def test_a_mask_cut_to_a_box_gives_the_same_values_and_a_warning(folder: Path) -> None:
    whole = extract(folder, settings_with())
    mask = read_scan(folder / "m.nii.gz")
    write_scan(mask[5:, 3:-2, :], folder / "m.nii.gz")
    box = extract(folder, settings_with())
    assert (box.status, box.reason) == ("warn", "geometry")
    assert features_of(box) == features_of(whole)
    assert box.values["qc_volume_ml"] == whole.values["qc_volume_ml"]


@pytest.mark.parametrize("setting", [{"correctMask": True}, {"resampledPixelSpacing": [3, 3, 3]}])
@pytest.mark.parametrize("shift_mm", [120, 2000])
def test_a_mask_beyond_the_scan_is_called_so(
    shift_mm: float, setting: dict[str, object], folder: Path
) -> None:
    mask = read_scan(folder / "m.nii.gz")
    mask.SetOrigin([mask.GetOrigin()[0] + shift_mm, *mask.GetOrigin()[1:]])
    write_scan(mask, folder / "m.nii.gz")
    result = extract(folder, settings_with(**setting))
    assert (result.status, result.reason) == ("fail", "geometry")
    assert "lie outside of the scan" in result.fact


def test_a_ring_is_measured_but_not_judged_as_an_organ(folder: Path) -> None:
    processor = ScanProcessor(ProcessingPlan("extract", settings_with()))
    roi = parse_roi("ring(1;10mm)")
    case = Case("a", folder / "ct.nii.gz", folder / "m.nii.gz", roi, roi="ring")
    (result,) = processor.results(ScanTask((case,)))
    assert (result.status, result.reason) == ("pass", "")
    assert float(result.values["qc_median_hu"]) < 0
    assert float(result.values["qc_fat_share"]) > 0.3


def test_missing_values_are_told_beside_other_reasons(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pancseg.features.extract import compute_features

    measure = compute_features

    def with_nan(*arguments: object) -> object:
        found = measure(*arguments)  # type: ignore[arg-type]
        return found._replace(values={**found.values, "original_firstorder_Mean": math.inf})

    monkeypatch.setattr("pancseg.processing.row_filler.compute_features", with_nan)
    limits = QualityLimits(slice_mm=LimitRange(warn_above=1))
    result = extract(folder, settings_with(limits))
    assert (result.status, result.reason) == ("warn", "thick_slices;missing_values")
    assert "1 value could not be computed: original_firstorder_Mean" in result.fact
    assert math.isnan(float(result.values["original_firstorder_Mean"]))


def test_tasks_can_be_sent_to_another_process(folder: Path) -> None:
    cases = [Case("a", folder / "ct.nii.gz", roi=roi) for roi in ("pancreas", "tumour")]
    for thing in (ScanTask(tuple(cases)), ProcessingPlan("run", settings_with(), "monet_phantom")):
        assert pickle.loads(pickle.dumps(thing)) == thing


def test_uncertainty_needs_a_network_with_dropout(segmenter: Segmenter) -> None:
    with pytest.raises(ValueError, match="2 or more"):
        ScanProcessor(ProcessingPlan("segment", None, uncertainty=1), segmenter)
