"""Mistakes in paths, columns and outcomes are told before what fits models is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

HEAVY = ("sklearn", "scipy", "joblib", "matplotlib", "docx", "torch", "skops", "radiomics")
RUN = """
import sys
from pancseg.cli import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    code = end.code
loaded = [name for name in {heavy} if name in sys.modules]
print("loaded:", loaded, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    random = np.random.default_rng(0)
    ids = pd.Index([f"P{n:02}" for n in range(40)], name="patient_id")
    pd.DataFrame(random.normal(size=(40, 4)), ids, [f"f{j}" for j in range(4)]).to_csv(
        folder / "features.csv"
    )
    outcomes = {
        "label": random.permutation(["a", "b"] * 20),
        "one": "a",
        "age": random.normal(65, 9, 40).round(),
        "months": random.exponential(12, 40).round(1) + 0.1,
        "negative": -1.0,
        "died": random.permutation([0, 1] * 20),
    }
    pd.DataFrame(outcomes, ids).to_csv(folder / "clinical.csv")
    (folder / "icc.csv").write_text("name,icc\nf0,0.9\n")
    (folder / "file").write_text("no folder\n")
    return folder


def refused(tables: Path, kind: str, *words: str, features: str = "features.csv") -> str:
    """Run the command in a fresh process, and return its line."""
    given = ("model", kind, str(tables / features), "--outcome", str(tables / "clinical.csv"))
    if "--out" not in words:
        words = (*words, "--out", str(tables / "out"))
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(heavy=HEAVY), *given, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tables,
    )
    assert done.returncode == 2, done.stderr
    line, loaded = done.stderr.splitlines()
    assert loaded == "loaded: []"
    assert not (tables / "out").exists()
    return line


LABEL = ("--label", "label")
TIMES = ("--time", "months", "--event", "died")


@pytest.mark.parametrize(
    ("kind", "words", "fact"),
    [
        ("subtype", ("--label", "grade"), "'grade'"),
        ("subtype", ("--label", "one"), "class"),
        ("subtype", ("--label", "label", "--positive", "c"), "'c'"),
        ("subtype", (*LABEL, "--clinical", "bmi"), "'bmi'"),
        ("subtype", (*LABEL, "--stability", "icc.csv"), "'feature' and 'icc'"),
        ("subtype", (*LABEL, "--subgroup", "sex"), "'sex'"),
        ("subtype", (*LABEL, "--leave-out", "site"), "'site'"),
        ("subtype", (*LABEL, "--out", "file"), ""),
        ("survival", ("--time", "weeks", "--event", "died"), "'weeks'"),
        ("survival", ("--time", "negative", "--event", "died"), "negative"),
        ("survival", ("--time", "months", "--event", "label"), "label"),
        ("survival", (*TIMES, "--leave-out", "site"), "'site'"),
    ],
)
def test_a_mistake_is_told_before_models_are_imported(
    tables: Path, kind: str, words: tuple[str, ...], fact: str
) -> None:
    assert fact in refused(tables, kind, *words)


def test_a_missing_file_is_told_before_models_are_imported(tables: Path) -> None:
    assert refused(tables, "subtype", *LABEL, features="nowhere.csv").startswith("pancseg: ")
