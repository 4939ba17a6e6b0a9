"""Settings that fail, or give less than they ask for, are refused before any scan is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import call

from pancseg import FeatureSettings, UnusableCase, load_feature_settings
from pancseg.features.check import check_feature_settings
from pancseg.features.expected_names import feature_names
from pancseg.features.extract import compute_features
from pancseg.processing import fingerprint

IBSI = "pancseg: {mode: ibsi}\n"
BOTH = ("", IBSI)


def loaded(folder: Path, text: str) -> FeatureSettings:
    (folder / "mine.yaml").write_text(text)
    return load_feature_settings(folder / "mine.yaml")


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("setting: {binWidth: '1e7'}", r"setting.binWidth: '1e7' is text, .* write 10000000$"),
        ("imageType: {Original: {binWidth: '9'}}", "imageType.Original.binWidth: '9' is text"),
        ("imageType: {LoG: {sigma: ['1']}}", r"imageType.LoG.sigma: '1' is text.* write 1$"),
        ("setting: {binWidth: 'inf'}", "binWidth: 'inf' is text, not a number; give a finite"),
        ("setting: {resegmentRange: [0, inf]}", r"resegmentRange: 'inf' is text.* write \.inf"),
        ("setting: {resegmentRange: [a, 9]}", "resegmentRange: 'a' is text.* give a number"),
        ("setting: {resegmentRange: [0, .nan]}", "setting.resegmentRange: nan cannot be used"),
        ("setting: {resegmentRange: [1, 2, 3]}", "has 3 values, expected 1–2"),
        ("setting: {resampledPixelSpacing: [1, 1]}", r"Spacing: \[1, 1\] has 2 values, expected 3"),
        (
            "setting: {resampledPixelSpacing: 1}",
            r"Spacing: 1 is not a list of num.*; write \[1\]",
        ),
        ("setting: {binWidth: [10]}", r"setting.binWidth: \[10\] is not a number"),
        ("setting: {binWidth: true}", "setting.binWidth: True is not a number"),
        ("setting: {binWidth: null}", "setting.binWidth is empty; give a number, or leave it out"),
        ("setting: {binWidth: .inf}", "setting.binWidth: inf cannot be used"),
        ("setting: {label: tumour}", "setting.label: 'tumour' is text, not a"),
        ("setting: {label: 1.5}", "label"),
        ("featureClass: {firstorder: Mean}", "firstorder .*list"),
        ("featureClass: {glcm: [Idm, Homogeneity1]}", "Homogeneity1 has no value, as pyradiomics"),
        ("featureClass: {glcm: [Homogeneity1]}", r"glcm gives no feature \(Homogeneity1\)"),
    ],
)
def test_what_would_fail_or_give_nothing_is_refused(
    mode: str, text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_feature_settings(loaded(tmp_path, mode + text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("imageType: {LoG: {}}", "imageType LoG gives no feature; it needs sigma"),
        ("imageType: {Wavelet: {wavelet: gaus1}}", "cannot be used: ValueError: .* gaus1 is a"),
        ("featureClass: {shape2D: }", "shape2D gives no feature; it needs force2D"),
        ("setting: {geometryTolerance: '1e-3'}", "geometryTolerance: '1e-3' is .* write 0.001"),
        (
            "imageType: {Original: {}, LoG: {sigma: [2]}}\nfeatureClass: {shape: }",
            "LoG gives no feature; featureClass asks for shapes alone",
        ),
    ],
)
def test_so_is_what_only_pyradiomics_would_pass_over(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        check_feature_settings(loaded(tmp_path, text))


def test_a_filter_without_its_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage.feature", None)
    with pytest.raises(ValueError, match="LBP2D gives no feature; it needs the package scikit-ima"):
        check_feature_settings(loaded(tmp_path, "imageType: {Original: {}, LBP2D: {}}"))


TOO_FAR = [
    ("setting: {binCount: 1000000}", r"binCount: 1000000 is out of range \(expected 1–10,000\)"),
    ("setting: {binWidth: 1e-12}", r"binWidth: 1e-12 is .*\(expected 1e-06–1,000,000,000\)"),
    ("setting: {binWidth: 1e308}", r"setting.binWidth: 1e\+308 is out of range"),
    ("setting: {binWidth: -25}", "setting.binWidth: -25 is out of range"),
    (f"setting: {{binWidth: 1{'0' * 90}}}", r"setting.binWidth: 1e\+90 is out of range"),
    ("setting: {label: 99999999999}", "setting.label: .* is out of range"),
    ("imageType: {LoG: {sigma: [1e308]}}", r"LoG.sigma: 1e\+308 .*\(expected 0.01–1,000 mm\)"),
    ("imageType: {LoG: {sigma: [1e-9]}}", "imageType.LoG.sigma: 1e-09 is out of range"),
    (
        f"imageType: {{LoG: {{sigma: {[*range(1, 102)]}}}}}",
        "LoG.sigma: a list from 1 has 101 values, expected 1–100",
    ),
    ("imageType: {Wavelet: {level: 100}}", r"Wavelet.level: 100 .*\(expected 1–20\)"),
    ("imageType: {Wavelet: {start_level: 100}}", "Wavelet.start_level: 100 is out of range"),
    ("setting: {distances: [1000]}", r"setting.distances: 1000 is .*\(expected 1–20\)"),
    (
        "setting: {resampledPixelSpacing: [1e-9, 1, 1]}",
        r"Spacing: 1e-09 is .*\(expected 0.001–1,000 mm, or 0 for the scan's\)",
    ),
    ("setting: {resampledPixelSpacing: [1, 1, 1e9]}", "Spacing: 1e.09 is out of range"),
    ("setting: {padDistance: 99999999}", "setting.padDistance: 99999999 is out of range"),
    ("voxelSetting: {kernelRadius: 1000}", r"voxelSetting.kernelRadius: 1000 .*1–100"),
    ("imageType: {LBP2D: {lbp2DSamples: 99999}}", "lbp2DSamples: 99999 is out of range"),
    ("setting: {gldm_a: 1e200}", "setting.gldm_a: 1e.200 is out of range"),
]


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize(("text", "message"), TOO_FAR)
def test_numbers_that_never_end_or_fill_the_memory_are_refused(
    mode: str, text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_feature_settings(loaded(tmp_path, mode + text))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 160


def test_so_are_those_of_thick_slices(tmp_path: Path) -> None:
    text = "pancseg: {thick_slices: {above_mm: 3, spacing_mm: [1, 1, 1e-9]}}"
    expected = r"thick_slices.spacing_mm.2: 1e-09 is out of range \(expected 0.001–1,000 mm\)"
    with pytest.raises(ValueError, match=expected):
        loaded(tmp_path, text)


def test_a_number_without_an_interpolator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"setting.interpolator: 3 .* write its name, sitkBSpline"):
        check_feature_settings(loaded(tmp_path, "setting: {interpolator: 3}"))
    check_feature_settings(loaded(tmp_path, "setting: {interpolator: 2}"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"binWidth": 1e-6}, r"in bins of 1e-06 make [\d,]+ grey levels; at most 1,000,000"),
        ({"binCount": 10_000}, r"the highest of them 10,000, .* a matrix of [\d.]+ GB .*binWidth"),
        ({"binCount": 100, "distances": [20]}, "in up to 34,460 directions make a matrix of"),
    ],
)
def test_levels_whose_matrices_would_fill_the_memory_are_refused(
    setting: dict[str, object], message: str
) -> None:
    """How many levels there are depends on the region."""
    voxels = np.random.default_rng(0).uniform(-1000, 1000, (30, 30, 30))
    scan = sitk.GetImageFromArray(voxels)
    region = sitk.GetImageFromArray(np.ones(voxels.shape, np.uint8))
    settings = FeatureSettings(name="custom", parameters={"setting": setting})
    with pytest.raises(UnusableCase, match=message) as caught:
        compute_features(scan, region, settings)
    assert caught.value.code == "many_levels"


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize(
    "text",
    [
        "setting: {resegmentRange: [-10, .inf]}",
        "setting: {resegmentRange: [-1e30, 1e30]}",
        "setting: {resegmentRange: null, label: null, binCount: null}",
        "setting: {binWidth: null, binCount: 32}",
        "setting: {binWidth: 1e1, resegmentRange: [-1e+3, 5e2]}",
        "imageType: {Original: {}, LoG: {sigma: [30, 0.1]}}",
        "featureClass: {shape: [Compactness1], firstorder: [StandardDeviation], glcm: []}",
        "setting: {resampledPixelSpacing: [0, 0, 5.0], binWidth: 0.0001}",
    ],
)
def test_what_can_be_measured_passes(mode: str, text: str, tmp_path: Path) -> None:
    check_feature_settings(loaded(tmp_path, mode + text))


def test_a_tolerance_of_pyradiomics_is_a_number(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "setting: {geometryTolerance: 1e-6}")
    check_feature_settings(settings)
    assert settings.parameters["setting"]["geometryTolerance"] == 1e-6


def test_settings_that_leave_nothing_say_why(tmp_path: Path) -> None:
    text = "pancseg: {mode: ibsi, ibsi: {outlier_sigma: 0.0001}}"
    with pytest.raises(ValueError, match=r"leave nothing to measure: .* voxels are left"):
        check_feature_settings(loaded(tmp_path, text))


def test_infinity_is_in_the_settings_json_and_hash(tmp_path: Path) -> None:
    ends = ["[-10, .inf]", "[-.inf, -10]"]
    both = [loaded(tmp_path, f"setting: {{resegmentRange: {end}}}") for end in ends]
    kept = [s.model_dump(mode="json")["parameters"]["setting"]["resegmentRange"] for s in both]
    assert kept == [[-10, ".inf"], ["-.inf", -10]]
    mirrored = loaded(tmp_path, "setting: {resegmentRange: [-10, -.inf]}")
    assert fingerprint.of_settings(mirrored) != fingerprint.of_settings(both[0])


@pytest.mark.parametrize(
    "setting", ["{minimumROISize: 99999}", "{resegmentRange: [0.5, 0.6], resegmentMode: relative}"]
)
def test_names_do_not_depend_on_what_a_block_lacks(setting: str, tmp_path: Path) -> None:
    assert len(feature_names(loaded(tmp_path, f"setting: {setting}"))) == 107


def test_thick_slices_go_with_an_empty_setting(phantom, tmp_path: Path) -> None:
    text = "pancseg: {mode: ibsi, thick_slices: {above_mm: 1, spacing_mm: [4, 4, 4]}}\nsetting:\n"
    settings = loaded(tmp_path, text)
    check_feature_settings(settings)
    region = sitk.Cast(phantom.mask > 0, sitk.sitkUInt8)
    assert compute_features(phantom.image, region, settings).spacing_mm == (4, 4, 4)


def test_a_command_says_so_in_one_line(cohort: Path, tmp_path: Path) -> None:
    """With exit code 2, and before any scan is read."""
    (tmp_path / "mine.yaml").write_text("setting: {binWidth: '1e1'}")
    out = tmp_path / "out"
    arguments = ("extract", cohort, "--out", out, "--config", tmp_path / "mine.yaml")
    code, printed, error = call(*arguments, "--workers", "0")
    assert (code, printed) == (2, "")
    assert "setting.binWidth: '1e1' is text, not a number; write 10\n" in error
    assert "Traceback" not in error
    assert not (out / "features.csv").exists()


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize(
    "text",
    [
        f"setting: {{binWidth: {'k' * 9000}}}",
        f"setting: {{interpolator: {'k' * 9000}}}",
        f"setting: {{resampledPixelSpacing: [{'1, ' * 9000}]}}",
        f"imageType: {{Original: {{}}, Wavelet: {{wavelet: {'k' * 9000}}}}}",
        f"featureClass: {{firstorder: [{'k' * 9000}]}}",
    ],
    ids=range(5),
)
def test_a_long_value_is_quoted_in_part(mode: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"k|resampled") as refused:
        check_feature_settings(loaded(tmp_path, mode + text))
    assert len(str(refused.value)) <= 600


def test_an_unknown_mode_and_a_text_in_place_of_keys_fit_into_a_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown mode 'mmm") as refused:
        check_feature_settings(loaded(tmp_path, f"pancseg: {{mode: {'m' * 9000}}}"))
    assert len(str(refused.value)) <= 500
    with pytest.raises(ValueError, match=r"^the settings file: pancseg holds no settings"):
        loaded(tmp_path, f"pancseg: {'m' * 9000}")
