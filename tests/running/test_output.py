"""Outputs that fail and inputs that vanish: one line, and nothing is lost for the next run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pancseg import RunOptions, load_feature_settings, read_cohort
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan


def extract(cohort: Path, out: Path, *limits: str) -> subprocess.CompletedProcess[str]:
    """Run in a shell that may limit what a process can write."""
    settings = cohort.parent / "quick.yaml"
    words = ["extract", str(cohort), "--out", str(out), "--config", str(settings), "--workers", "1"]
    script = "; ".join([*limits, 'exec "$@"'])
    return subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, "-m", "pancseg", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def with_masks(cohort: Path, folder: Path) -> Path:
    """A copy of the cohort with the patients that have masks."""
    shutil.copytree(cohort.parent, folder)
    manifest = folder / "cohort.csv"
    rows = [row for row in manifest.read_text().splitlines() if not row.startswith("auto")]
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


def test_a_disk_that_is_full_stops_the_run_and_the_next_goes_on(
    cohort: Path, tmp_path: Path
) -> None:
    manifest, out, other = with_masks(cohort, tmp_path / "in"), tmp_path / "out", tmp_path / "other"
    full = extract(manifest, out, "ulimit -f 4")  # no file beyond 4 KiB: the journal's second row
    assert full.returncode == 2
    assert full.stderr.count("\n") == 1
    assert "the output cannot be written: File too large" in full.stderr
    assert not (out / "features.csv").exists()
    assert extract(manifest, out).returncode == 0
    assert extract(manifest, other).returncode == 0
    assert (out / "features.csv").read_bytes() == (other / "features.csv").read_bytes()


def test_an_output_that_cannot_be_made_is_one_line(cohort: Path, tmp_path: Path) -> None:
    manifest = with_masks(cohort, tmp_path / "in")
    (tmp_path / "file").write_text("")
    refused = extract(manifest, tmp_path / "file" / "out")
    assert refused.returncode == 2
    assert refused.stderr == "pancseg: the output cannot be written: Not a directory\n"


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="a folder that nobody can write")
def test_a_read_only_output_is_one_line(cohort: Path, tmp_path: Path) -> None:
    manifest = with_masks(cohort, tmp_path / "in")
    refused = extract(manifest, Path("/sys/kernel/pancseg_out"))  # not even by root
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith("pancseg: the output cannot be written: ")
    assert refused.stderr.count("\n") == 1


def test_an_output_that_vanishes_in_the_middle_is_gone_on_with_when_it_is_back(
    cohort: Path, tmp_path: Path
) -> None:
    cases = read_cohort(with_masks(cohort, tmp_path / "in"))
    work = ProcessingPlan("extract", load_feature_settings(cohort.parent / "quick.yaml"))
    out, away, here = tmp_path / "out", tmp_path / "away", RunOptions(workers=0)

    def vanish(result: object) -> None:
        if out.exists():
            out.rename(away)

    with pytest.raises(OSError, match="No such file"):
        run_plan(cases, out, work, vanish, here)
    assert not (away / "features.csv").exists()
    shutil.rmtree(out, ignore_errors=True)
    away.rename(out)
    assert all(o.usable for o in run_plan(cases, out, work, options=here))
    log = (out / "run.jsonl").read_text()
    assert '"reused": 1' in log  # what was finished before is not done again
    run_plan(cases, tmp_path / "other", work, options=here)
    tables = [(tmp_path / name / "features.csv").read_bytes() for name in ("out", "other")]
    assert tables[0] == tables[1]


def test_scans_that_vanish_in_the_middle_cost_their_rows_until_they_are_back(
    cohort: Path, tmp_path: Path
) -> None:
    cases = read_cohort(with_masks(cohort, tmp_path / "in"))
    work = ProcessingPlan("extract", load_feature_settings(cohort.parent / "quick.yaml"))
    share, away = tmp_path / "in" / "scans", tmp_path / "away"

    def vanish(result: object) -> None:
        if share.exists():
            share.rename(away)

    here = RunOptions(workers=0)
    results = run_plan(cases, tmp_path / "out", work, vanish, here)
    assert [o.reason for o in results] == ["", "unreadable", "unreadable", "unreadable"]
    assert pd.read_csv(tmp_path / "out" / "features.csv")["qc_status"].tolist().count("fail") == 3
    away.rename(share)
    for out in ("out", "other"):
        assert all(o.usable for o in run_plan(cases, tmp_path / out, work, options=here))
    tables = [(tmp_path / out / "features.csv").read_bytes() for out in ("out", "other")]
    assert tables[0] == tables[1]
