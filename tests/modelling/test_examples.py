"""The examples for other programs run, where the program is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMANDS = {
    "model_with_scikit_learn.py": [sys.executable],
    "model_with_r.R": ["Rscript", "--vanilla"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_example(name, tmp_path):
    if shutil.which(COMMANDS[name][0]) is None:
        pytest.skip("the interpreter is not there")
    x = np.random.default_rng(0).normal(size=(40, 3))
    table = pd.DataFrame(x, columns=list("abc"))
    table.insert(0, "patient_id", [f"{n:03d}" for n in range(40)])
    table.insert(1, "qc_status", ["fail"] + ["pass"] * 39)
    table.insert(2, "roi", "pancreas")
    table.loc[5, "c"] = np.nan
    table.to_csv(tmp_path / "f.csv", index=False)
    families = ["id", "quality", "id", "shape", "shape", "shape"]
    pd.DataFrame({"name": table.columns, "family": families}).to_csv(tmp_path / "b.csv")
    clinical = pd.DataFrame({"patient_id": table["patient_id"], "label": (x[:, 0] > 0).astype(int)})
    clinical.to_csv(tmp_path / "c.csv", index=False)
    files = [str(tmp_path / f"{letter}.csv") for letter in "fbc"]
    done = subprocess.run(
        [*COMMANDS[name], str(EXAMPLES / name), *files, "label"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if name.endswith(".py"):
        assert "39 patients, 3 features" in done.stdout
