"""A manifest's own columns stand in the tables, are described there, and are never features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from command_line import call
from small_cohort import make_cohort

from pancseg.modelling.inputs.features_table import TableOptions, read_features


def test_columns_are_carried_described_and_no_features(tmp_path: Path) -> None:
    make_cohort(tmp_path, ("a", "b"))
    table = pd.read_csv(tmp_path / "cohort.csv", dtype=str)
    table["Age (years)"], table["note"] = ["63", "71"], ["=HYPERLINK(1)", "ok"]
    table.to_csv(tmp_path / "cohort.csv", index=False)
    code, _, told = call(
        "extract", tmp_path / "cohort.csv", "--out", tmp_path / "out", "--config",
        tmp_path / "quick.yaml", "--roi", "all=1", "--roi", "ring=ring(1;5mm)", "--wide",
        "--workers", "0", "--no-report",
    )  # fmt: skip
    assert "go into the table as they are: x_Age (years), x_note" in told
    assert code == 0
    out = tmp_path / "out"
    found = pd.read_csv(out / "features.csv", dtype=str)
    assert list(found.columns[:6]) == [
        "patient_id", "scan_id", "roi", "x_Age__years_", "x_note", "qc_status"
    ]  # fmt: skip
    assert found["x_Age__years_"].tolist() == ["63", "63", "71", "71"]
    assert found["x_note"].tolist() == ["'=HYPERLINK(1)"] * 2 + ["ok"] * 2
    codebook = pd.read_csv(out / "codebook.csv", index_col="name")
    assert codebook.loc["x_note", "family"] == "manifest"
    assert "as in the manifest" in codebook.loc["x_note", "description"]
    (features, *_) = json.loads((out / "datapackage.json").read_text())["resources"]
    described = {field["name"]: field for field in features["schema"]["fields"]}
    assert described["x_Age__years_"]["title"] == "x_Age (years)"
    wide = pd.read_csv(out / "features_wide.csv", dtype=str)
    assert wide["x_note"].tolist() == ["'=HYPERLINK(1)", "ok"]
    assert not [name for name in wide.columns if "__x_" in name]


def test_they_are_no_features_of_a_model(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=(4, 2))
    table = pd.DataFrame(numbers, columns=["original_firstorder_Mean", "x_age"])
    table.insert(0, "patient_id", ["a", "b", "c", "d"])
    table.insert(1, "qc_status", "pass")
    table.to_csv(tmp_path / "features.csv", index=False)
    read = read_features(tmp_path / "features.csv", TableOptions())
    assert list(read.values.columns) == ["original_firstorder_Mean"]
    assert "Columns of the manifest were not taken as features: x_age." in read.notes
    table.drop(columns="qc_status").to_csv(tmp_path / "other.csv", index=False)
    read = read_features(tmp_path / "other.csv", TableOptions())
    assert list(read.values.columns) == ["original_firstorder_Mean", "x_age"]
