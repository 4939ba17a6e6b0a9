"""A name to leave out that a mask does not describe is a warning, and the rest is measured."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from command_line import call

from pancseg.phantom import Phantom
from pancseg.scans.writing import write_scan


@pytest.mark.parametrize(("described", "status"), [("tumor", "pass"), ("duct", "warn")])
def test_a_patient_without_a_tumour_has_a_pancreas(
    tmp_path: Path, phantom: Phantom, described: str, status: str
) -> None:
    write_scan(phantom.image, tmp_path / "P1.nii.gz")
    write_scan(phantom.mask, tmp_path / "m.nii.gz")
    (tmp_path / "m.json").write_text(json.dumps({"1": "pancreas", "9": described}))
    (tmp_path / "s.yaml").write_text(
        "featureClass: {shape: [MeshVolume]}\n"
        "pancseg: {mode: ibsi, quality: {slice_mm: {warn_above: 20, fail_above: 20}}}\n"
    )
    code, _, problems = call(
        "extract", tmp_path / "P1.nii.gz", "--masks", tmp_path / "m.nii.gz", "--out",
        tmp_path / "o", "--config", tmp_path / "s.yaml", "--roi", "pancreas=pancreas without tumor",
        "--workers", "0", "--no-report",
    )  # fmt: skip
    assert code == 0, problems
    (row,) = pd.read_csv(tmp_path / "o" / "features.csv").fillna("").to_dict("records")
    assert row["qc_status"] == status
    assert ("no_label" in row["qc_reasons"]) is (status == "warn")
    assert ("no segment tumor to leave out" in row["qc_message"]) is (status == "warn")
    assert row["original_shape_MeshVolume"] > 0
