"""The verdict: each check passes, warns and fails where its limits say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from pancseg import QualityLimits, UnusableCase, judge_region, judge_scan
from pancseg.quality.check import Check
from pancseg.quality.limits import LimitRange
from pancseg.quality.verdict import Verdict, judge_agreement, judge_looks, judge_resegmented
from pancseg.scans.geometry import orient

LIMITS = QualityLimits()


def scan_of(voxels: np.ndarray, slice_mm: float = 2.0) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((1.0, 1.0, slice_mm))
    return image


def abdomen(hu: float = 90.0) -> tuple[np.ndarray, np.ndarray]:
    """Return a scan of 40×60×60 voxels and a block of 50 mL (at 1×1×2 mm) in it."""
    voxels = np.full((40, 60, 60), hu, np.int16)
    voxels[:, :5] = -1000
    inside = np.zeros(voxels.shape, np.uint8)
    inside[5:30, 10:35, 10:50] = 1
    return voxels, inside


def codes(verdict: Verdict) -> dict[str, str]:
    return {finding.code: finding.grade for finding in verdict.findings}


@pytest.mark.parametrize(
    ("low", "high", "slice_mm", "expected"),
    [
        (-1000, 300, 2.0, {}),
        (-400, 300, 2.0, {"not_hu": "warn"}),
        (0, 4000, 2.0, {"not_hu": "fail"}),
        (-20, 60, 2.0, {"not_hu": "fail"}),
        (-1000, 300, 4.0, {"thick_slices": "warn"}),
        (-1000, 300, 5.0, {"thick_slices": "warn"}),
        (-1000, 300, 8.0, {"thick_slices": "fail"}),
        (-1000, 300, 5.000000000000001, {"thick_slices": "warn"}),  # DICOM, by where it begins
    ],
)
def test_scans(low: int, high: int, slice_mm: float, expected: dict[str, str]) -> None:
    voxels = np.zeros((4, 5, 6), np.int16)
    voxels[0], voxels[1] = low, high
    voxels[2:] = max(low, 0)
    verdict = judge_scan(scan_of(voxels, slice_mm), LIMITS)
    assert codes(verdict) == expected
    assert verdict.values["qc_slice_mm"] == pytest.approx(slice_mm)


def shrunk(voxels: np.ndarray, inside: np.ndarray) -> None:
    inside[9:] = 0


def two_pieces(voxels: np.ndarray, inside: np.ndarray) -> None:
    inside[20:25] = 0


def at_the_first_slice(voxels: np.ndarray, inside: np.ndarray) -> None:
    inside[:5, 10:35, 10:50] = 1


def in_fat(voxels: np.ndarray, inside: np.ndarray) -> None:
    voxels[5:16] = -100


def with_a_stent(voxels: np.ndarray, inside: np.ndarray) -> None:
    voxels[5:9] = 900


@pytest.mark.parametrize(
    ("hu", "change", "expected"),
    [
        (90, None, {}),
        (90, shrunk, {"volume": "fail"}),
        (90, two_pieces, {"fragmented": "warn", "gap": "warn"}),
        (90, at_the_first_slice, {"truncated": "warn"}),
        (90, in_fat, {"fat": "warn"}),
        (90, with_a_stent, {"dense": "fail"}),
        (20, None, {"hu_range": "warn"}),
        (-50, None, {"hu_range": "fail", "fat": "fail"}),
    ],
)
def test_regions(hu: float, change: Any, expected: dict[str, str]) -> None:
    voxels, inside = abdomen(hu)
    if change:
        change(voxels, inside)
    verdict = judge_region(
        scan_of(voxels), scan_of(inside), LIMITS, whole_pancreas=change is shrunk
    )
    assert codes(verdict) == expected
    assert all("\n" not in finding.fact for finding in verdict.findings)


def test_facts_are_written_as_people_write_them() -> None:
    voxels, inside = abdomen()
    inside[12] = 0
    (gap,) = (f for f in judge_region(scan_of(voxels), scan_of(inside)).findings if f.code == "gap")
    assert gap.fact.startswith("the region has 1 empty slice between its first and last (")
    large = judge_region(scan_of(voxels, 200.0), scan_of(inside, 200.0)).findings[0]
    assert large.fact == "the region's volume is 4,800 mL (expected 25–150 mL)"


def test_no_fact_names_a_limit_as_outside_of_itself() -> None:
    below = Check("volume", "the region's volume is 25 mL", "volume_ml", 24.978, "mL")
    found = below.finding(LIMITS)
    assert found is not None
    told = "the region's volume is 25 mL, more exactly 24.978 mL (expected 25–150 mL)"
    assert found.fact == told
    fat = Check("fat", "30 % of the region is below -30 HU", "fat_share", 0.30015, "%").finding(
        LIMITS
    )
    assert fat is not None
    assert fat.fact.endswith("-30 HU, more exactly 30.015 % (expected at most 30 %)")
    median = Check("hu_range", "the region's median is 39.96 HU", "median_hu", 39.96, "HU")
    assert "exactly" not in str(median.finding(LIMITS))
    assert "exactly" not in str(Check("volume", "24 mL", "volume_ml", 24.0, "mL").finding(LIMITS))


def test_norms_of_volume_are_for_the_whole_pancreas_only() -> None:
    voxels, inside = abdomen()
    inside[7:] = 0
    scan, region = scan_of(voxels), scan_of(inside)
    for whole, expected in ((True, {"volume": "fail"}), (False, {})):
        assert codes(judge_region(scan, region, LIMITS, whole_pancreas=whole)) == expected


def test_the_verdict_does_not_depend_on_the_axes_order() -> None:
    voxels, inside = abdomen()
    inside[20:25] = 0
    upright = judge_region(scan_of(voxels), scan_of(inside), LIMITS, whole_pancreas=True)
    turned = [orient(scan_of(v), "SAL") for v in (voxels, inside)]
    assert judge_region(*turned, LIMITS, whole_pancreas=True) == upright


def test_a_ring_is_measured_and_not_judged_as_tissue() -> None:
    voxels, inside = abdomen(-50)
    inside[12:25] = 0
    scan, region = scan_of(voxels), scan_of(inside)
    ring = judge_region(scan, region, LIMITS, whole_pancreas=False, ring=True)
    organ = judge_region(scan, region, LIMITS, whole_pancreas=False)
    assert codes(ring) == {}
    assert set(codes(organ)) == {"fragmented", "gap", "hu_range", "fat"}
    assert ring.values == organ.values


def test_an_empty_region_has_no_verdict() -> None:
    voxels, inside = abdomen()
    with pytest.raises(UnusableCase, match="none of the mask's 144,000 voxels"):
        judge_region(scan_of(voxels), scan_of(inside * 0), LIMITS, whole_pancreas=True)


def test_a_limit_itself_is_still_right() -> None:
    limits = LimitRange(fail_below=1, warn_below=2, warn_above=3, fail_above=4)
    graded = [limits.grade(v) for v in (0.9, 1, 1.9, 2, 3, 3.1, 4, 4.1)]
    assert graded == ["fail", "warn", "warn", "pass", "pass", "warn", "warn", "fail"]
    assert limits.in_words() == "2–3"
    assert LIMITS.slice_mm.in_words("mm") == "at most 3 mm"
    assert LIMITS.largest_share.in_words("%") == "at least 95 %"
    assert LimitRange(warn_below=0.3, warn_above=0.6).in_words("%") == "30–60 %"
    assert LimitRange(fail_below=2).in_words() == "at least 2"
    assert LimitRange(fail_above=3).in_words("HU") == "at most 3 HU"
    assert LimitRange().in_words("mL") == "any value"
    assert LimitRange(warn_below=-100, warn_above=-50).in_words("HU") == "-100 to -50 HU"


def test_shares_are_told_per_cent() -> None:
    voxels, inside = abdomen()
    inside[20] = 0
    voxels[5:7], voxels[8] = -100, 400
    limits = QualityLimits(fat_share={"warn_above": 0.07}, largest_share={"warn_below": 0.995})
    found = judge_region(scan_of(voxels), scan_of(inside), limits, whole_pancreas=False)
    facts = {finding.code: finding.fact for finding in found.findings}
    assert facts["fragmented"] == (
        "the largest of the region's 2 pieces is 62.5 % of it (expected at least 99.5 %)"
    )
    assert facts["fat"] == "8.33 % of the region is below -30 HU (expected at most 7 %)"
    assert facts["dense"] == "4.17 % of the region is above 300 HU (expected at most 1 %)"


def test_limits_that_a_file_does_not_name_stay() -> None:
    found = QualityLimits.model_validate(
        {"slice_mm": {"warn_above": 4}, "volume_ml": {"warn_below": None}}
    )
    assert found.slice_mm == LimitRange(warn_above=4, fail_above=5)
    assert found.volume_ml == LimitRange(fail_below=10, warn_above=150, fail_above=300)
    assert found.median_hu == LIMITS.median_hu
    for wrong, problem in (
        ({"warn_above": 6}, "warn_above 6 is greater than fail_above 5; give both"),
        ({"warn_above": float("nan")}, "null switches a limit off"),
    ):
        with pytest.raises(ValueError, match=problem):
            QualityLimits.model_validate({"slice_mm": wrong})


def test_values_that_are_no_hu_are_judged_where_they_should_be() -> None:
    voxels, _ = abdomen()
    positive = scan_of(voxels + 2000)
    assert codes(judge_scan(positive, LIMITS)) == {"not_hu": "fail"}
    assert codes(judge_scan(positive, LIMITS, hu=False)) == {}


@pytest.mark.parametrize(
    ("value", "resegmented", "uncertain"),
    [
        (0.9, {}, {}),
        (0.8, {}, {"uncertain": "warn"}),
        (0.75, {"resegmented": "warn"}, {"uncertain": "warn"}),
        (0.6, {"resegmented": "warn"}, {"uncertain": "fail"}),
        (0.4, {"resegmented": "fail"}, {"uncertain": "fail"}),
    ],
)
def test_shares_that_are_measured_later(
    value: float, resegmented: dict[str, str], uncertain: dict[str, str]
) -> None:
    assert codes(judge_resegmented(value, LIMITS)) == resegmented
    assert codes(judge_agreement(value, LIMITS)) == uncertain


def test_looks_that_disagree_are_told_where_a_limit_is_set() -> None:
    free = judge_looks(0.1234567, LIMITS)
    assert (free.values, free.findings) == ({"qc_looks_dice": 0.123457}, ())
    limits = QualityLimits.model_validate({"looks_dice": {"warn_below": 0.8, "fail_below": 0.5}})
    for dice, grade in ((0.8, {}), (0.79, {"uncertain": "warn"}), (0.4, {"uncertain": "fail"})):
        assert codes(judge_looks(dice, limits)) == grade
    (finding,) = judge_looks(0.4, limits).findings
    assert finding.fact == (
        "the mask of both looks agrees with the first look's with a Dice of 40 % "
        "(expected at least 80 %)"
    )


def test_limits_of_a_region_survive_the_provenance() -> None:
    given = QualityLimits(regions={"tumour": {"median_hu": {"warn_below": 20, "fail_above": None}}})
    written = given.model_dump(mode="json")
    assert written["regions"] == {"tumour": {"median_hu": {"warn_below": 20, "fail_above": None}}}
    read = QualityLimits.model_validate(written)
    for drawn in (True, False):
        one, other = (each.of_region("tumour", drawn=drawn) for each in (given, read))
        assert one.median_hu == other.median_hu
        assert one.median_hu.warn_above == 160
