"""No table holds a name that a spreadsheet would run, no report one that a browser would run."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

import pancseg
from pancseg import Case, CohortError, read_cohort, write_scan
from pancseg.cohort.formulas import is_formula
from pancseg.cohort.regions import named_regions
from pancseg.evaluation.pairing import find_pairs

FORMULAS = ["=cmd|' /C calc'!A0", "+1", "@SUM(1)", "-a1", " =1", "\t=1", "＝1", "-1+2", "\rP1"]
NAMES = ["P1", "007", "a=b", "-12", "é", "a-b", "1+1", ""]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_recognised(text: str) -> None:
    assert is_formula(text)


def test_names_are_not_taken_for_formulas() -> None:
    assert not any(map(is_formula, NAMES))


@pytest.mark.parametrize("column", ["patient_id", "scan_id", "roi"])
@pytest.mark.parametrize("bad", ["=1+1", "+1", "@a", "-a1"])
def test_a_manifest_with_a_formula_is_refused_with_its_line(
    column: str, bad: str, tmp_path: Path
) -> None:
    row = {"patient_id": "P1", "image": "scan.nii.gz", "scan_id": "s", "roi": "r"} | {column: bad}
    lines = [",".join(row), ",".join(row.values())]
    (tmp_path / "cohort.csv").write_text("\n".join(lines) + "\n")
    write_scan(sitk.Image(4, 4, 4, sitk.sitkInt16), tmp_path / "scan.nii.gz")
    for show in ({}, {"pseudonymise": lambda cases: list(cases)}):
        with pytest.raises(CohortError) as caught:
            read_cohort(tmp_path / "cohort.csv", **show)
        (problem,) = caught.value.problems
        assert re.match(rf"line 2( \(.+\))?: {column} begins like a formula", problem)


def test_files_regions_cases_and_masks_with_such_names_are_refused(tmp_path: Path) -> None:
    image = sitk.Image(4, 4, 4, sitk.sitkInt16)
    for folder in ("scans", "masks"):
        (tmp_path / folder).mkdir()
        write_scan(image, tmp_path / folder / "=1+1.nii.gz")
    with pytest.raises(CohortError, match=r"the name '=1.1' begins like a formula"):
        read_cohort(tmp_path / "scans")
    with pytest.raises(ValueError, match="'@tumour' begins like a formula"):
        named_regions(["@tumour=2"])
    case = Case("=1+1", tmp_path / "scans" / "=1+1.nii.gz")
    with pytest.raises(ValueError, match="ids and regions: 1 of 2 begin like formulas"):
        pancseg.check_cohort([case])
    with pytest.raises(ValueError, match=r"masks' names: 1 of 1 begin like formulas.*rename"):
        find_pairs({"A": tmp_path / "masks"}, tmp_path / "masks")
    with pytest.raises(ValueError, match="models' names: 1 of 1 begin like formulas"):
        find_pairs({"=A": tmp_path / "masks"}, tmp_path / "masks")


def study(folder: Path, **changed: list[str]) -> tuple[Path, Path]:
    """A table of features and a clinical file, with other texts in some columns."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    ids = [f"P{i}" for i in range(60)]
    names = changed.get("names", ["texture_a", "texture_b", "volume"])
    signal = np.arange(60) % 2 * np.array([[1], [-1], [0]])  # so that a model uses some
    columns = zip(names, signal, strict=False)
    table = pd.DataFrame({name: rng.normal(size=60) + part for name, part in columns})
    table.insert(0, "patient_id", changed.get("ids", ids))
    classes = changed.get("classes", ["low", "high"])
    clinical = pd.DataFrame({"patient_id": changed.get("clinical_ids", ids)})
    clinical["grade"] = [classes[i % 2] for i in range(60)]
    clinical["site"] = changed.get("sites", ["A", "B", "C"] * 20)
    table.to_csv(folder / "features.csv", index=False)
    clinical.to_csv(folder / "clinical.csv", index=False)
    return folder / "features.csv", folder / "clinical.csv"


IDS = [f"P{i}" for i in range(60)]


@pytest.mark.parametrize(
    ("changed", "asked", "message"),
    [
        ({"ids": [*IDS[:-1], "=cmd"]}, {}, "feature table: ids: 1 of 60 .* number 60, '=cmd'"),
        ({"clinical_ids": ["@x", *IDS[1:]]}, {}, "clinical file: ids: 1 of 60 .* number 1, '@x'"),
        ({"names": ["=a", "volume"]}, {}, "names of columns: 1 of 2 .*leave them out .`drop`"),
        ({"sites": ["A", "-B", "C"] * 20}, {"group": "site"}, "`group`: values: 1 of 3"),
    ],
)
def test_a_study_with_formulas_is_refused(
    changed: dict[str, list[str]], asked: dict[str, str], message: str, tmp_path: Path
) -> None:
    features, clinical = study(tmp_path, **changed)
    with pytest.raises(ValueError, match=message):
        pancseg.fit_model(features, clinical, tmp_path / "out", label="grade", **asked)
    assert not (tmp_path / "out").exists()


def test_reports_run_and_load_nothing_and_tables_hold_no_formula(tmp_path: Path) -> None:
    script, picture = "<script>alert(1)</script>", "![x](https://example.org/pixel.png)"
    features, clinical = study(
        tmp_path,
        names=[f"texture {script}", f"$\\bad${picture}", "volume"],
        classes=[f"low {script}", f"high {picture}"],
    )
    quick = {"folds": 3, "inner_folds": 2, "repeats": 1, "canary": 0, "workers": 1}
    pancseg.fit_model(features, clinical, tmp_path / "out", label="grade", **quick)
    for name in ("report.md", "report.html", "CLEAR.md"):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert not re.search(r"(?<!\\)<script", text), name
        assert name.endswith("html") or not re.search(r"(?<!\\)\[x\]\(https", text), name
        assert '<img src="http' not in text
    written = [*(tmp_path / "out").glob("*.csv")]
    assert {path.name for path in written} >= {"predictions.csv", "folds.csv", "features_used.csv"}
    for path in written:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                texts = [cell for cell in row if not re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell)]
                assert not any(map(is_formula, texts)), path.name
    weights = pd.read_csv(tmp_path / "out" / "features_used.csv")["mean_weight"]
    assert weights.min() < 0 < weights.max()  # negative numbers stay numbers
