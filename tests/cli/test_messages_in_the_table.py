"""The table, the page and the terminal have one sentence for what was found."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from small_cohort import SETTINGS, make_cohort
from typer.testing import CliRunner

from pancseg import RunOptions, extract_cohort
from pancseg.cli import app
from pancseg.report.page import PAGE

STRICT = SETTINGS.replace("quality: {", "quality: {volume_ml: {warn_below: 140}, ")
NAMED = "name it: --roi tumour=1, or a manifest's column roi"


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    manifest = make_cohort(tmp_path, ("a",))
    (tmp_path / "quick.yaml").write_text(STRICT)
    return manifest


def told(cohort: Path, command: str, table: str) -> tuple[str, str, Path]:
    """Return the message of the only row in the table, the terminal's line, and the folder."""
    out, settings = cohort.parent / "out", str(cohort.parent / "quick.yaml")
    words = [command, str(cohort), "--config", settings, "--out", str(out), "--workers", "0"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.output.splitlines() if "a: warn (volume)" in line)
    return pd.read_csv(out / table)["qc_message"][0], line, out


def test_of_a_command_line_all_three_name_options(cohort: Path) -> None:
    message, line, out = told(cohort, "extract", "features.csv")
    assert NAMED in message
    assert "`" not in message
    assert line.endswith(f"(volume): {message}")
    assert message in (out / PAGE).read_text(encoding="utf-8")


def test_the_table_of_a_check_has_the_terminals_sentence_too(cohort: Path) -> None:
    message, line, _ = told(cohort, "check", "check.csv")
    assert NAMED in message
    assert line.endswith(f"(volume): {message}")


def test_of_the_library_the_table_names_parameters(cohort: Path) -> None:
    out, settings = cohort.parent / "out", cohort.parent / "quick.yaml"
    extract_cohort(cohort, out, settings=settings, options=RunOptions(workers=0))
    assert "name it: `roi` tumour=1" in pd.read_csv(out / "features.csv")["qc_message"][0]
