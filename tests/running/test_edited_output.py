"""What somebody changes in an output folder between two runs enters no table unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call


@pytest.fixture
def words(cohort: Path) -> list[str | Path]:
    manifest = cohort.with_name("one.csv")
    manifest.write_text("patient_id,image,mask\na,scans/a.nii.gz,scans/a_mask.nii.gz\n")
    return ["extract", manifest, "--config", cohort.parent / "quick.yaml", "--workers", "0"]


def test_an_edited_journal_is_told_once_and_its_row_is_made_again(
    words: list[str | Path], tmp_path: Path
) -> None:
    out = ["--out", tmp_path / "out"]
    assert call(*words, *out)[0] == 0
    table, journal = (
        tmp_path / "out" / name for name in ("features.csv", ".pancseg/journal.jsonl")
    )
    right = table.read_bytes()
    (line,) = journal.read_text().splitlines()
    volume = str(json.loads(line)["values"]["qc_volume_ml"])
    edited = line.replace(volume, f"9{volume[1:]}")
    assert edited != line
    journal.write_text(f"{edited}\n[1, 2]\n7\n")
    code, _, err = call(*words, *out)
    assert code == 0
    assert err == (
        "pancseg: the journal of earlier runs: 3 lines are damaged, edited or of an earlier "
        "version and counted as not written; rows that they held are made again\n"
    )
    assert table.read_bytes() == right
    code, said, err = call(*words, *out)
    assert (code, err) == (0, "")
    assert "rows unchanged since an earlier run: 1" in said
    assert table.read_bytes() == right


def test_a_log_of_other_lines_ends_no_run(words: list[str | Path], tmp_path: Path) -> None:
    out = ["--out", tmp_path / "out"]
    call(*words, *out)
    (tmp_path / "out" / "run.jsonl").write_bytes(b"7\n\xff\0\n[" + b"[" * 99_999 + b"\n")
    code, _, err = call(*words, *out)
    assert (code, err) == (0, "")
