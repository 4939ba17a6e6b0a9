"""Which rows ask for a look is said in one place, for summary, page and library alike."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pancseg import Case, CaseResult
from pancseg.report.output_folder import read_output
from pancseg.report.rows import rows_of
from pancseg.review.decisions import Decision, add_decisions, now

SHA = "a" * 64
ROWS = [
    ("warn", "monet_open", "", "thick_slices", True),
    ("pass", "monet_open", "", "", False),
    ("fail", "monet_open", "", "volume", False),
    ("warn", "given", "", "volume", False),
    ("warn", "corrected", "", "volume", False),
    ("warn", "drawn", "", "volume", False),
    ("warn", "given", "native", "phase", True),
    ("warn", "given", "arterial", "phase", False),
    ("warn", "monet_open", "arterial", "phase", True),
    ("warn", "", "", "thick_slices", False),
]


@pytest.mark.parametrize(("status", "source", "phase", "reason", "look"), ROWS)
def test_a_result_and_its_row_on_the_page_agree(
    status: str, source: str, phase: str, reason: str, look: bool, tmp_path: Path
) -> None:
    values = {"qc_mask_source": source, "qc_phase_hint": phase, "mask_sha256": SHA}
    result = CaseResult(Case("P1", Path()), status, reason, values=values)  # type: ignore[arg-type]
    assert result.to_look_at == look
    row = {"patient_id": "P1", "scan_id": "", "roi": "pancreas", "qc_status": status}
    pd.DataFrame([row | {"qc_reasons": reason} | values]).to_csv(
        tmp_path / "features.csv", index=False
    )
    (shown,) = rows_of(read_output(tmp_path))
    assert shown.to_look_at == look
    add_decisions(tmp_path, [Decision("P1", "", "pancreas", "accept", "fine", "KM", now(), SHA)])
    (shown,) = rows_of(read_output(tmp_path))
    assert not shown.to_look_at


def test_an_accepted_result_asks_for_no_look() -> None:
    values = {"qc_mask_source": "monet_open"}
    result = CaseResult(Case("P1", Path()), "warn", "volume;accepted", values=values)
    assert not result.to_look_at
