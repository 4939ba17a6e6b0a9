"""The proof can fail: a value outside its tolerance is named and costs the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pancseg import selftest
from pancseg.cli import app
from pancseg.selftest import score


def test_everything_agrees_and_the_exit_code_is_0() -> None:
    result = CliRunner().invoke(app, ["selftest"])
    assert result.exit_code == 0
    assert " 612 of 612  values agree" in result.stdout


def test_a_value_outside_is_named_and_the_exit_code_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "EXCESS", 0.0)  # as if kurtosis were not IBSI's
    result = CliRunner().invoke(app, ["selftest"])
    assert result.exit_code == 1
    assert " 101 of 102  digital phantom, 3D, averaged" in result.stdout
    assert "stat_kurt: 2.64" in result.stdout


def test_references_that_are_missing_are_no_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [selftest.Agreement("digital phantom, 3D, averaged", 10, 10, ())]
    monkeypatch.setattr(selftest, "digital_phantom", lambda: iter(few))
    result = CliRunner().invoke(app, ["selftest"])
    assert result.exit_code == 1
    assert "3D, averaged: fewer than IBSI's 102 values were compared" in result.stderr


def test_a_folder_without_ibsis_data_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["selftest", "--ibsi-data", str(tmp_path)])
    assert result.exit_code == 2
    assert "IBSI's data lack ibsi_1_ct_radiomics_phantom" in result.stderr


def test_tolerance_includes_the_rounding_of_the_reference() -> None:
    table = "reference value;tolerance;tag\n8.54;0.05;a\n;;b\n0;0;c\n"
    references = score.read_references("\ufeff" + table)
    assert list(references) == ["a", "c"]
    assert score.missed("a", 8.594, references["a"]) == ""
    assert "IBSI 8.54 ± 0.05" in score.missed("a", 8.596, references["a"])
    assert score.missed("c", 1e-3, references["c"])


def test_scores_are_frozen_values() -> None:
    (first, *_) = selftest.digital_phantom()
    assert first == score.Agreement("digital phantom, 3D, averaged", 102, 102, ())
