"""Settings: presets by name, files by path, unknown keys refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pancseg import load_feature_settings, preset_names
from pancseg.features.check import check_feature_settings
from pancseg.features.settings import preset_folder


def test_presets_are_there_valid_and_explained() -> None:
    assert {"pancreas_ct", "pyradiomics_default"} <= set(preset_names())
    for name in preset_names():
        settings = load_feature_settings(name)
        assert settings.name == name
        check_feature_settings(settings)
        assert f"`{name}`" in (preset_folder() / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pancseg: {backnd: x}", "backnd"),
        ("pancseg: {thick_slices: {above_mm: -1, spacing_mm: [2, 2, 2]}}", "greater than 0"),
        ("- a list", "holds no settings"),
        ("a: [", "not YAML"),
        ("1: 2", "the key 1 is not text; put it in quotes"),
        ("", "holds no settings"),
        (
            "setting: {binWidth: 5}\nsetting: {}",
            "the settings file: 'setting' is given twice, again on line 2",
        ),
        ("setting:\n  binWidth: 5\n  binWidth: 6", "'binWidth' is given twice, again on line 3"),
        ("pancseg: {quality: {slice_mm: {warn_above: .nan}}}", "null switches a limit off"),
        ("setting: [1, 2]", r"the settings file: setting: \[1, 2\] is no settings \(expected 'key"),
        ("setting: abc", "setting: 'abc' is no settings"),
        ("featureClass: [firstorder]", r"featureClass: \['firstorder'\] is no settings"),
        ("imageType: Original", "imageType: 'Original' is no settings"),
        ("voxelSetting: 1", "voxelSetting: 1 is no settings"),
        ("setting: {label: x}", "setting.label: 'x' is text, not a number"),
        ("setting: {label: 1.5}", "setting.label: 1.5 is not a whole number"),
        ("setting: {resegmentRange: 5}", "setting.resegmentRange: 5 is not a list of numbers"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_feature_settings(tmp_path / "mine.yaml")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_key_may_stand_once_in_each_mapping_and_be_merged(tmp_path: Path) -> None:
    text = "a: &a {binWidth: 5}\nb: {<<: *a, binWidth: 6}\nc: {<<: *a}\n"
    (tmp_path / "mine.yaml").write_text(text)
    found = load_feature_settings(tmp_path / "mine.yaml").parameters
    assert found == {"a": {"binWidth": 5}, "b": {"binWidth": 6}, "c": {"binWidth": 5}}
    text = "a: &a {x: 1}\np: {q: &b {<<: *a, x: 2}}\nc: {<<: *b}\n"
    (tmp_path / "mine.yaml").write_text(text)
    assert load_feature_settings(tmp_path / "mine.yaml").parameters["c"] == {"x": 2}


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match="pancreas_ct, pancreas_ct_filters, pyr"):
        load_feature_settings("pancreas_mri")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_feature_settings().name = "other"
