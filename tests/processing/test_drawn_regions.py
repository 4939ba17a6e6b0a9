"""What a person drew is measured with a warning; the network's pancreas keeps its limits."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pancseg import (
    Case,
    CaseResult,
    FeatureSettings,
    QualityLimits,
    load_feature_settings,
    write_scan,
)
from pancseg.cohort.roi import as_roi
from pancseg.phantom import Phantom
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.scan import ScanProcessor
from pancseg.processing.scan_task import ScanTask
from pancseg.quality.limits import LimitRange
from pancseg.scans.arrays import voxel_array

MEAN = "original_firstorder_Mean"
FEW = {"firstorder": ["Mean"], "shape": ["MeshVolume"]}
NO_VOLUME = QualityLimits(volume_ml=LimitRange(), empty_slices=LimitRange())
IMPLAUSIBLE = {"volume", "fragmented", "gap", "hu_range", "fat", "dense"}


def settings_with(limits: QualityLimits | None, **setting: object) -> FeatureSettings:
    """Return settings with two features, to be quick."""
    parameters = {"setting": {"binWidth": 25, **setting}, "featureClass": FEW}
    update = {"parameters": parameters, "quality": limits or QualityLimits()}
    return load_feature_settings("pyradiomics_default").model_copy(update=update)


@pytest.fixture
def folder(tmp_path: Path, phantom: Phantom) -> Path:
    """Write a scan, and two small blocks of which one is fat and the other metal, label 2."""
    scan = voxel_array(phantom.image).astype(np.int16)
    drawn = np.zeros(scan.shape, np.uint8)
    middle = [side // 2 for side in scan.shape]
    for along, hu in ((-3, -200), (2, 900)):
        first = middle[0] + along
        block = (slice(first, first + 2), *(slice(m, m + 4) for m in middle[1:]))
        scan[block], drawn[block] = hu, 2
    for name, voxels in (("ct", scan), ("m", drawn)):
        image = sitk.GetImageFromArray(voxels)
        image.CopyInformation(phantom.image)
        write_scan(image, tmp_path / f"{name}.nii.gz")
    return tmp_path


def measured(
    folder: Path,
    *,
    source: str = "given",
    roi: str = "pancreas",
    limits: QualityLimits | None = None,
    keep: bool = False,
    **setting: object,
) -> CaseResult:
    settings = settings_with(limits, **setting)
    plan = ProcessingPlan("extract", settings, keep_truncated_shape=keep)
    mask = folder / "m.nii.gz"
    if source == "given":
        task = ScanTask((Case("a", folder / "ct.nii.gz", mask, as_roi(2), roi=roi),))
    else:
        case = Case("a", folder / "ct.nii.gz", mask_label=as_roi(2), roi=roi)
        task = ScanTask((case,), ready_mask=mask, ready_source=source)
    (result,) = ScanProcessor(plan).results(task)
    return result


@pytest.mark.parametrize("source", ["given", "corrected"])
def test_what_a_person_drew_is_measured_with_a_warning(source: str, folder: Path) -> None:
    result = measured(folder, source=source)
    assert result.status == "warn"
    assert set(result.reason.split(";")) >= {"volume", "fragmented", "gap", "fat", "dense"}
    assert set(result.reason.split(";")) <= IMPLAUSIBLE
    assert math.isfinite(float(result.values[MEAN]))
    assert ("name it: `roi` tumour=2" in result.fact) == (source == "given")
    assert result.fact.count("name it") <= 1
    assert "(expected 25–150 mL)" in result.fact


def test_the_networks_pancreas_keeps_its_limits(folder: Path) -> None:
    result = measured(folder, source="monet_paper")
    assert (result.status, MEAN in result.values) == ("fail", False)
    assert "name it" not in result.fact


@pytest.mark.parametrize("source", ["given", "monet_paper"])
def test_another_region_has_no_usual_volume_and_only_warns(source: str, folder: Path) -> None:
    result = measured(folder, source=source, roi="tumour")
    assert result.status == "warn"
    assert "volume" not in result.reason
    assert result.fact.count("`pancseg: quality: regions: tumour:`") == 1
    assert math.isfinite(float(result.values[MEAN]))


def test_a_region_can_have_limits_of_its_own(folder: Path) -> None:
    off: dict[str, object] = {"warn_below": None, "warn_above": None}
    own = {
        "volume_ml": {"fail_below": 1000},
        "largest_share": off,
        "empty_slices": off,
        "fat_share": off,
        "dense_share": {"warn_above": 0.9},
        "median_hu": off,
    }
    limits = QualityLimits.model_validate({"regions": {"tumour": own}})
    failed = measured(folder, roi="tumour", limits=limits)
    assert (failed.status, failed.reason) == ("fail", "volume")
    assert "(expected at least 1000 mL)" in failed.fact
    own["volume_ml"] = {"warn_below": 0.1}
    limits = QualityLimits.model_validate({"regions": {"tumour": own}})
    assert measured(folder, roi="tumour", limits=limits).status == "pass"
    assert "volume" in measured(folder, limits=limits).reason  # the pancreas keeps its own


def test_limits_of_a_region_that_cross_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="regions: tumour: warn_below 200 is greater than"):
        QualityLimits.model_validate({"regions": {"tumour": {"median_hu": {"warn_below": 200}}}})


@pytest.mark.parametrize(
    ("setting", "grade"),
    [
        ({}, "fail"),
        ({"resegmentRange": [-1000, 300]}, "warn"),
        ({"resegmentRange": [-1000, 800]}, "fail"),
        ({"resegmentRange": [-3, 3], "resegmentMode": "sigma"}, "fail"),
        ({"resegmentRange": [-1000]}, "fail"),
    ],
)
def test_dense_voxels_that_resegmentation_removes_are_no_failure(
    setting: dict[str, object], grade: str
) -> None:
    settings = settings_with(None, **setting)
    assert settings.limits.dense_share.grade(0.5) == grade
    assert settings.limits.model_copy(update={"dense_share": LimitRange()}) == (
        settings.quality.model_copy(update={"dense_share": LimitRange()})
    )


@pytest.fixture
def cropped(folder: Path, phantom: Phantom) -> Path:
    """Write a scan that ends within the pancreas, towards the feet and on the patient's right."""
    inside = np.argwhere(voxel_array(phantom.mask))
    z, _, x = (int(middle) for middle in np.median(inside, axis=0))
    mask = sitk.Cast(phantom.mask > 0, sitk.sitkUInt8) * 2
    for name, image in (("ct", phantom.image), ("m", mask)):
        write_scan(image[x:, :, z:], folder / f"{name}.nii.gz")
    return folder


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("source", ["given", "corrected", "monet_paper"])
def test_the_shape_of_what_is_cut_off_is_a_choice_for_masks_that_a_person_drew(
    source: str, keep: bool, cropped: Path
) -> None:
    result = measured(cropped, source=source, keep=keep, limits=NO_VOLUME)
    drawn = source != "monet_paper"
    assert result.reason == "truncated"
    assert "first or last slice (towards the feet) and edge on the patient's right" in result.fact
    assert math.isfinite(float(result.values["original_shape_MeshVolume"])) == (drawn and keep)
    assert math.isfinite(float(result.values[MEAN]))
    assert ("its shape is left empty" in result.fact) != (drawn and keep)
    assert ("`keep_truncated_shape`" in result.fact) == (drawn and not keep)


def test_a_stent_in_a_pancreas_is_not_taken_for_a_tumour(folder: Path) -> None:
    off = dict.fromkeys(
        ("volume_ml", "empty_slices", "median_hu", "fat_share", "largest_share"), LimitRange()
    )
    result = measured(folder, limits=QualityLimits(**off))
    assert (result.status, result.reason) == ("warn", "dense")
    assert result.fact == "50 % of the region is above 300 HU (expected at most 1 %)"
    of_tumour = measured(folder, limits=QualityLimits(**off), roi="tumour")
    assert of_tumour.fact.endswith("gives this region its own")
