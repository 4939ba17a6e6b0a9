"""Settings files that extend a preset or another file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import call

from pancseg import FeatureSettings, load_feature_settings
from pancseg.features.expected_names import feature_names
from pancseg.processing import fingerprint

DEFAULT = load_feature_settings()
LIMITS = "pancseg:\n  quality:\n    slice_mm: {warn_above: 5, fail_above: 10}\n"
Load = Callable[..., FeatureSettings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write the first text as the file to load, and others beside it under their names."""

    def write_and_load(text: str, **others: str) -> FeatureSettings:
        for name, content in ({"mine": text} | others).items():
            (tmp_path / f"{name}.yaml").write_text(content)
        return load_feature_settings(tmp_path / "mine.yaml")

    return write_and_load


@pytest.mark.parametrize("text", [LIMITS, f"extends: pancreas_ct\n{LIMITS}"])
def test_limits_alone_extend_the_default_preset(load: Load, text: str) -> None:
    settings = load(text)
    assert len(feature_names(settings)) == len(feature_names(DEFAULT)) == 386
    assert (settings.mode, settings.extends) == ("ibsi", "pancreas_ct")
    assert settings.described == "a file extending pancreas_ct"
    assert settings.thick_slices == DEFAULT.thick_slices
    assert settings.quality.slice_mm.fail_above == 10
    assert settings.quality.volume_ml == DEFAULT.quality.volume_ml
    assert fingerprint.of_settings(settings) == fingerprint.of_settings(DEFAULT)


@pytest.mark.parametrize(
    "text", ["pancseg: {}", "pancseg:", "extends: pancreas_ct", "pancseg: {extends: pancreas_ct}"]
)
def test_nothing_of_its_own_is_the_preset(load: Load, text: str) -> None:
    assert fingerprint.of_settings(load(text)) == fingerprint.of_settings(DEFAULT)


def test_other_keys_under_pancseg_belong_to_the_default_preset_too(load: Load) -> None:
    assert load("pancseg: {ibsi: {outlier_sigma: 3}}").parameters == DEFAULT.parameters
    settings = load("pancseg: {thick_slices: null}")
    assert (settings.mode, settings.thick_slices) == ("ibsi", None)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("setting: {binWidth: 5}", "pyradiomics"),
        (f"setting: {{binWidth: 5}}\n{LIMITS}", "pyradiomics"),
        ("pancseg: {mode: pyradiomics}", "pyradiomics"),
        ("pancseg: {mode: ibsi}", "ibsi"),
        ("setting: {binWidth: 5}\npancseg: {mode: ibsi}", "ibsi"),
    ],
)
def test_a_file_with_parameters_or_a_mode_of_its_own_stands_alone(
    load: Load, text: str, mode: str
) -> None:
    settings = load(text)
    assert (settings.mode, settings.extends, settings.described) == (mode, "", "a file")
    assert settings.parameters.get("setting", {"binWidth": 5}) == {"binWidth": 5}
    assert "imageType" not in settings.parameters


def test_mappings_are_merged_and_lists_replaced(load: Load) -> None:
    text = "extends: pancreas_ct\nsetting: {resegmentRange: [0, 200], label: 2}\nvoxelSetting:\n"
    settings = load(f"{text}pancseg: {{thick_slices: {{above_mm: 4}}}}")
    expected = {**DEFAULT.parameters["setting"], "resegmentRange": [0, 200], "label": 2}
    assert settings.parameters["setting"] == expected
    assert settings.parameters["imageType"] == DEFAULT.parameters["imageType"]
    assert settings.thick_slices is not None
    assert settings.thick_slices.model_dump() == {"above_mm": 4, "spacing_mm": (2, 2, 2)}
    assert load("extends: pancreas_ct\nsetting:\nimageType:\n").parameters == DEFAULT.parameters
    assert load("extends: pancreas_ct\nsetting: {resegmentRange: null}").parameters["setting"][
        "resegmentRange"
    ] is None  # fmt: skip


def test_what_is_computed_is_replaced_as_a_whole(load: Load) -> None:
    settings = load("extends: pancreas_ct\nfeatureClass: {shape: , glcm: [Idm]}\n")
    assert settings.parameters["featureClass"] == {"shape": None, "glcm": ["Idm"]}
    settings = load("extends: pancreas_ct\nimageType: {LoG: {sigma: [3]}}\n")
    assert settings.parameters["imageType"] == {"LoG": {"sigma": [3]}}


@pytest.mark.parametrize("mode", ["ibsi", "pyradiomics"])
def test_number_and_width_of_bins_replace_one_another(load: Load, mode: str) -> None:
    base = f"setting: {{binWidth: 5}}\npancseg: {{mode: {mode}}}"
    assert load("extends: b.yaml\nsetting: {binCount: 8}", b=base).parameters["setting"] == {
        "binCount": 8
    }
    base = base.replace("binWidth", "binCount")
    assert load("extends: b.yaml\nsetting: {binWidth: 8}", b=base).parameters["setting"] == {
        "binWidth": 8
    }


def test_files_extend_files_down_to_a_preset(load: Load) -> None:
    middle = "extends: low.yaml\npancseg: {quality: {slice_mm: {fail_above: 9}}}"
    low = f"extends: ibsi_c\n{LIMITS}"
    settings = load("extends: middle.yaml\nsetting: {binWidth: 7}", middle=middle, low=low)
    assert settings.extends == "ibsi_c"
    assert settings.parameters["setting"]["binWidth"] == 7
    assert settings.parameters["setting"]["resampledPixelSpacing"] == [2, 2, 2]
    assert settings.quality.slice_mm.model_dump(exclude_none=True) == {
        "warn_above": 5, "fail_above": 9
    }  # fmt: skip
    plain = load("extends: b.yaml\nsetting: {label: 1}", b="setting: {binWidth: 5}")
    assert (plain.mode, plain.described) == ("pyradiomics", "a file extending a file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: mine.yaml", "`extends` leads back to the same file"),
        ("extends: other.yaml", "`extends` leads back to the same file"),
        ("extends: long1.yaml", "`extends` leads through more than 8 files"),
        ("extends: pancreas_mri", "neither a preset nor a file in the same folder; .* ibsi_a, "),
        ("extends: sub/in.yaml", "neither a preset"),
        ("extends: ../x.yaml", "neither a preset"),
        ("extends: ''", "neither a preset"),
        ("extends: .", "neither a preset"),
        ("extends: pipe.yaml", "neither a preset"),
        (f"extends: {'x' * 999}", "neither a preset"),
        ('extends: "a\\0b"', "neither a preset|not YAML"),
        ("extends: [pancreas_ct, ibsi_c]", "takes one name"),
        ("extends:", "takes one name"),
        ("extends: 5", "takes one name"),
        ("extends: ibsi_c\npancseg: {extends: ibsi_c}", "is given twice"),
        ("extends: broken.yaml", "a file that the settings file extends is not YAML"),
        ("extends: odd.yaml", "unknown|Extra inputs"),
    ],
)
def test_what_cannot_be_extended_is_refused_in_one_line(
    load: Load, tmp_path: Path, text: str, message: str
) -> None:
    import os

    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "in.yaml").write_text("setting: {binWidth: 5}")
    os.mkfifo(tmp_path / "pipe.yaml")
    many = {f"long{i}": f"extends: long{i + 1}.yaml" for i in range(1, 12)}
    others = {"other": "extends: mine.yaml", "broken": "a: [", "odd": "pancseg: {sizes: 1}"}
    with pytest.raises(ValueError, match=message) as refused:
        load(text, **many, **others)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert str(tmp_path) not in str(refused.value)


def test_a_run_says_in_one_line_what_it_computes(
    cohort: Path, tmp_path: Path, in_process: None
) -> None:
    secret = tmp_path / "settings of Miller.yaml"
    secret.write_text(f"extends: ibsi_c\nfeatureClass: {{shape: }}\n{LIMITS}")
    code, printed, _ = call("extract", cohort, "--out", tmp_path / "out", "--config", secret)
    assert "settings: a file extending ibsi_c, mode ibsi\n" in printed
    assert "Miller" not in printed
    assert code == 1
    _, printed, _ = call("check", cohort)
    assert "settings: pancreas_ct (limits alone)\n" in printed
    _, printed, _ = call("check", cohort, "--quiet")
    assert "settings:" not in printed
