"""Ask R for a number: a child process that reads tables and tells values by name.

R and its packages (all GPL) are an oracle of the tests and no part of pancseg.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

PACKAGES = ("survival", "cmprsk", "pROC")
"""What Debian calls r-cran-survival, r-cran-cmprsk and r-cran-proc."""
_TELL = """
options(warn = 1)
tell <- function(name, values) {
  cat(name, sprintf("%.17g", as.numeric(values)), "\\n", sep = "\\t")
}
"""


def missing() -> list[str]:
    """Return which of Rscript and its packages are not installed."""
    if shutil.which("Rscript") is None:
        return ["Rscript"]
    names = ", ".join(f'"{name}"' for name in PACKAGES)
    found = f"cat(Filter(function(p) !nzchar(system.file(package = p)), c({names})))"
    return _run(["-e", found]).split()


def ask(folder: Path, script: str, **tables: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return what a script tells.

    Args:
        folder: an empty or reused folder for script and tables.
        script: R code that calls ``tell(name, values)``.
        tables: read into data frames of these names, all digits kept.
    """
    read = []
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        table.to_csv(path, index=False, float_format="%.17g")
        read.append(f'{name} <- read.csv("{path.as_posix()}", check.names = FALSE)\n')
    file = folder / "script.R"
    file.write_text(_TELL + "".join(read) + script)
    said = [line.split("\t") for line in _run([str(file)]).splitlines() if "\t" in line]
    return {
        name: np.array([float("nan") if v == "NA" else float(v) for v in values if v])
        for name, *values in said
    }


def _run(words: list[str]) -> str:
    line = ["Rscript", "--vanilla", *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
