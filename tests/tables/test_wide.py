"""The regions of a scan side by side: the same values, names without collisions, all described."""

from __future__ import annotations

import json
from pathlib import Path

import frictionless
import pandas as pd
import pytest
from command_line import call
from small_cohort import make_cohort

import pancseg
from pancseg import Case, CaseResult, RunOptions, TableFormat, results_table
from pancseg.modelling.inputs.features_table import TableOptions, read_features
from pancseg.tables.wide import region_tags

HERE = RunOptions(workers=0, threads=1)
REGIONS = {"pancreas": "1", "ring 5": "ring(1;5mm)", "Ring-5": "ring(1;9mm)"}
TAGS = {"pancreas": "pancreas", "ring 5": "ring_5", "Ring-5": "Ring_5_2"}


def extract(folder: Path, out: Path, style: TableFormat) -> list[CaseResult]:
    return pancseg.extract_cohort(
        folder / "cohort.csv", out, regions=REGIONS, settings=folder / "quick.yaml", table=style,
        pictures=False, options=HERE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients with masks, the second one's scan broken, and the output of a wide run."""
    folder = tmp_path_factory.mktemp("wide")
    make_cohort(folder, ("a", "b"))
    (folder / "scans" / "b.nii.gz").write_bytes(b"no scan")
    extract(folder, folder / "out", TableFormat(wide=True))
    return folder


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_every_value_of_the_long_table_is_in_the_wide_one_once(folder: Path) -> None:
    long, wide = read(folder / "out" / "features.csv"), read(folder / "out" / "features_wide.csv")
    assert len(long) == 6
    assert wide["patient_id"].tolist() == ["a", "b"]
    assert list(wide.columns[:3]) == ["patient_id", "scan_id", "settings_sha256"]
    others = [c for c in long.columns if c not in ("patient_id", "scan_id", "settings_sha256")]
    others.remove("roi")
    assert len(wide.columns) == 3 + 3 * len(others)
    rows = wide.set_index("patient_id")
    for record in long.to_dict("records"):
        row, tag = rows.loc[record["patient_id"]], TAGS[record["roi"]]
        assert row["settings_sha256"] == record["settings_sha256"]
        assert {name: row[f"{tag}__{name}"] for name in others} == {n: record[n] for n in others}
    assert rows.loc["b", "ring_5__qc_status"] == "fail"


def test_codebook_package_and_labels_describe_it(folder: Path) -> None:
    out = folder / "out"
    wide, codebook = read(out / "features_wide.csv"), read(out / "codebook_wide.csv")
    assert codebook["name"].tolist() == list(wide.columns)
    long = read(out / "codebook.csv").set_index("name")
    row = codebook.set_index("name").loc["Ring_5_2__original_glcm_Contrast"]
    assert (row["region"], row["column"]) == ("Ring-5", "original_glcm_Contrast")
    same = ["original_name", "unit", "family", "binning", "ibsi_code", "ibsi_status"]
    assert row[same].equals(long.loc["original_glcm_Contrast", same])
    assert row["description"].startswith("Ring-5: Contrast (grey level co-occurrence matrix)")
    report = frictionless.validate(str(out / "datapackage.json"))
    assert report.valid, report.flatten(["rowNumber", "fieldName", "message"])
    package = json.loads((out / "datapackage.json").read_text())
    found = {resource["name"]: resource for resource in package["resources"]}
    assert list(found) == ["features", "codebook", "features_wide", "codebook_wide"]
    assert found["features_wide"]["schema"]["primaryKey"] == ["patient_id", "scan_id"]
    labels = pd.read_csv(out / "value_labels.tsv", sep="\t")
    assert {"qc_status", "ring_5__qc_status"} <= set(labels["column"])
    assert set(labels["column"]) <= set(wide.columns) | set(read(out / "features.csv").columns)


def test_the_library_gives_the_same_table(folder: Path, tmp_path: Path) -> None:
    results = extract(folder, tmp_path, TableFormat())
    frame = results_table(results, folder / "quick.yaml", wide=True)
    wide = read(folder / "out" / "features_wide.csv")
    assert list(frame.columns) == list(wide.columns)
    name = "ring_5__original_firstorder_Mean"
    assert frame[name][0] == float(wide[name][0])
    assert frame["patient_id"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "style",
    [
        TableFormat("parquet", wide=True),
        TableFormat(decimal_comma=True, excel=True, wide=True),
        TableFormat(names="pyradiomics", wide=True),
    ],
)
def test_every_format_and_nothing_stays_of_another(
    style: TableFormat, folder: Path, tmp_path: Path
) -> None:
    extract(folder, tmp_path, TableFormat(wide=True))
    extract(folder, tmp_path, style)
    names = {path.name for path in tmp_path.iterdir() if "wide" in path.name}
    assert names == {f"features_wide.{style.kind}", "codebook_wide.csv"}
    if style.kind == "parquet":
        frame = pd.read_parquet(tmp_path / "features_wide.parquet")
    else:
        sep, decimal = style.delimiter, "," if style.decimal_comma else "."
        frame = pd.read_csv(tmp_path / "features_wide.csv", sep=sep, decimal=decimal)
        frame.columns = [name.lstrip("\ufeff") for name in frame.columns]
    assert frame["pancreas__original_firstorder_Mean"].notna().tolist() == [True, False]
    assert frictionless.validate(str(tmp_path / "datapackage.json")).valid
    extract(folder, tmp_path, TableFormat())
    assert not [path.name for path in tmp_path.iterdir() if "wide" in path.name]


def test_a_region_that_only_some_scans_have_is_empty_in_the_others() -> None:
    results = [
        CaseResult(Case("P1", Path(), scan_id="t1"), "pass", values={"qc_volume_ml": 60.0}),
        CaseResult(Case("P2", Path()), "pass", values={"qc_volume_ml": 61.0}),
        CaseResult(Case("P1", Path(), scan_id="t1", roi="Tumour"), "pass"),
        CaseResult(Case("P1", Path(), scan_id="t2", roi="tumour"), "warn", "fat", "much fat"),
    ]
    table = results_table(results, wide=True)
    assert table[["patient_id", "scan_id"]].values.tolist() == [
        ["P1", "t1"], ["P2", ""], ["P1", "t2"],
    ]  # fmt: skip
    status = table[["pancreas__qc_status", "Tumour__qc_status"]].fillna("").values.tolist()
    assert status == [["pass", "pass"], ["pass", ""], ["", "warn"]]


def test_names_of_regions_never_collide_and_stay_short() -> None:
    regions = ["a b", "a_b", "A-B", "ä", "ö", "1", "x1", "_", "a__b", "t" * 30, "t" * 31, "a b 2"]
    tags = region_tags(regions)
    assert len(set(map(str.casefold, tags.values()))) == len(regions)
    for tag in tags.values():
        assert len(tag) <= 20
        assert tag[0].isalpha()
        assert tag.isascii()
        assert "__" not in tag
        assert not tag.endswith("_")


def test_long_names_end_with_their_hash_so_that_spss_keeps_them_apart() -> None:
    long = "log-sigma-1-0-mm-3D_gldm_SmallDependenceHighGrayLevelEmphasis"
    values = {long: 1.0, f"{long}X": 2.0}
    table = results_table([CaseResult(Case("P1", Path()), "pass", values=values)], wide=True)
    found = [name for name in table.columns if "gldm" in name]
    assert table[found].values.tolist() == [[1.0, 2.0]]
    assert all(len(name) == 64 for name in found)
    assert found[0] != found[1]
    assert max(map(len, table.columns)) == 64


def test_a_model_says_which_table_it_needs(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"3 regions side by side .*give features.csv"):
        read_features(folder / "out" / "features_wide.csv", TableOptions())


def test_the_command_writes_and_names_it(folder: Path, tmp_path: Path) -> None:
    code, out, _ = call(
        "extract", folder / "cohort.csv", "--out", tmp_path, "--config", folder / "quick.yaml",
        "--roi", "pancreas=1", "--wide", "--no-report", "--workers", 0,
    )  # fmt: skip
    assert code == 1
    assert "table: features.csv and features_wide.csv" in out
    assert len(read(tmp_path / "features_wide.csv")) == 2
    assert json.loads((tmp_path / "provenance.json").read_text())["run"]["wide"] is True
