"""Settings of pyradiomics that change nothing are named, never ignored."""

from __future__ import annotations

from pathlib import Path

from command_line import call

from pancseg import FeatureSettings
from pancseg.phantom import Phantom
from pancseg.scans.writing import write_scan

ALL = {"additionalInfo": True, "geometryTolerance": 1e-3, "label_channel": 1, "binWidth": 25}


def _names(parameters: dict[str, object]) -> list[str]:
    settings = FeatureSettings(name="custom", parameters=parameters)
    return [each.partition(" (")[0] for each in settings.not_followed]


def test_each_is_named_where_it_asks_for_something_else() -> None:
    assert _names({"setting": ALL, "voxelSetting": {"kernelRadius": 2}}) == [
        "additionalInfo",
        "geometryTolerance",
        "label_channel",
        "voxelSetting",
    ]
    asked = {"additionalInfo": False, "label_channel": 0, "geometryTolerance": None}
    assert _names({"setting": asked, "voxelSetting": None}) == []
    assert _names({"setting": None}) == _names({}) == []


def test_a_run_names_them_once(tmp_path: Path, phantom: Phantom) -> None:
    write_scan(phantom.image, tmp_path / "a.nii.gz")
    write_scan(phantom.mask, tmp_path / "m.nii.gz")
    (tmp_path / "own.yaml").write_text(
        "setting: {additionalInfo: true, geometryTolerance: 0.001}\nfeatureClass: {shape: }\n"
    )
    code, out, _ = call(
        "extract", tmp_path / "a.nii.gz", "--masks", tmp_path / "m.nii.gz",
        "--out", tmp_path / "o", "--config", tmp_path / "own.yaml",
    )  # fmt: skip
    assert code == 0
    line = out.splitlines()[0]
    assert line == (
        "settings: a file, mode pyradiomics; not followed: additionalInfo (the table has its own "
        "columns for it), geometryTolerance (it is always a tenth of a voxel)"
    )
