"""What a run's log says of the whole run, and the summary's lines from it."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pancseg import Case, CaseResult
from pancseg.cli.summary import summary
from pancseg.running.messages import ScanDone
from pancseg.running.progress import RunProgress
from pancseg.running.run_log import RunLog, account_of
from pancseg.system.stage import Stage


def lines_of(path: Path, event: str) -> list[dict[str, Any]]:
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == event]


def test_the_slowest_scans_and_the_shares_of_time_are_in_the_summary(tmp_path: Path) -> None:
    spent = {"a": (4.0, 1.0), "b": (9.0, 3.0), "c": (0.0, 0.0), "d": (2.0, 1.0)}
    results = [CaseResult(Case(name, Path(name)), "pass") for name in spent]
    path = tmp_path / "run.jsonl"
    with closing(RunLog(path)) as log:
        log.start({"rows": 4})
        for count, (result, (network, features)) in enumerate(
            zip(results, spent.values(), strict=True), 1
        ):
            stages = {"network": network, "features": features} if network else {}
            done = ScanDone(network + features, stages)
            log.progress(result.case.name, Stage("segment", 90, 100), 900.0, None)
            log.scan(result.case.name, [result], not network, done, RunProgress(count, 4, 9.7, {}))
        log.end(Counter(passed=4))
    account = account_of(path)
    assert [(line["done"], line["total"], line["eta_s"]) for line in lines_of(path, "scan")] == [
        (count, 4, 10) for count in (1, 2, 3, 4)
    ]
    assert account.reused == 1
    assert account.slowest == [(12.0, "b"), (5.0, "a"), (3.0, "d")]
    assert account.shares == [("network", pytest.approx(0.75)), ("features", pytest.approx(0.25))]
    lines = summary(results, log=path).splitlines()
    assert lines[1:] == [
        "rows unchanged since an earlier run: 1",
        "slowest: b 12.0 s, a 5.0 s, d 3.0 s",
        "share of the time: network 75 %, features 25 %",
    ]


def test_a_line_about_progress_says_what_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with closing(RunLog(path)) as log:
        log.progress("P1", Stage("segment", 120, 280), 23.14, 2050.4)
        log.progress("P2", Stage("read"), 11.0, None)
    first, second = lines_of(path, "progress")
    assert first.pop("time")
    assert second.pop("time")
    assert first == {
        **{"event": "progress", "case": "P1", "stage": "segment", "done": 120, "total": 280},
        **{"seconds": 23.1, "eta_s": 2050},
    }
    assert second == {
        **{"event": "progress", "case": "P2", "stage": "read", "seconds": 11.0, "eta_s": None}
    }
