"""JSON nested without end, left in an output folder, counts as damaged and ends no command."""

from __future__ import annotations

from pathlib import Path

import pytest

from pancseg.features.settings import load_feature_settings
from pancseg.pipeline.estimation.workload import earlier_rows
from pancseg.report import ibsi_score as kept_score
from pancseg.report.output_folder import read_output
from pancseg.report.whereabouts import noted
from pancseg.running.drawn import corrected_given, saved_here, scans_drawn_on

DEEP = "[" * 100_000


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "features.csv").write_text("patient_id,qc_status,qc_reasons\nP1,pass,\n")
    (tmp_path / ".pancseg").mkdir()
    return tmp_path


def test_the_table_is_shown_without_provenance_and_log(out: Path) -> None:
    (out / "provenance.json").write_text(DEEP)
    (out / "run.jsonl").write_text(f'{DEEP}\n{{"event": "end"}}\n')
    found = read_output(out)
    assert (found.provenance, found.unreadable) == ({}, ("provenance.json",))
    assert list(found.log) == [{"event": "end"}]
    assert list(found.table["patient_id"]) == ["P1"]


def test_notes_count_as_none(out: Path) -> None:
    state = out / ".pancseg"
    for name in ("scans.json", "drawn.json", "corrected.json", "saved.json"):
        (state / name).write_text(DEEP)
    whereabouts = noted(out, [])
    assert not whereabouts.cases
    assert "does not say where the scans are" in whereabouts.advice
    assert [scans_drawn_on(state), corrected_given(state), saved_here(state)] == [{}, {}, {}]


def test_an_estimate_counts_no_row_of_it(out: Path) -> None:
    (out / "provenance.json").write_text(DEEP)
    assert earlier_rows(out, load_feature_settings("pancreas_ct")) == frozenset()


def test_the_score_of_ibsi_is_computed_again(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (out / ".pancseg/ibsi_score.json").write_text(DEEP)
    computed = kept_score.IbsiScore(1, 2)
    monkeypatch.setattr(kept_score, "_computed", lambda: computed)
    assert kept_score.ibsi_score(out) == computed
    assert kept_score.ibsi_score(out) == computed
