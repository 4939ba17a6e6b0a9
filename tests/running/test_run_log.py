"""What a run's log says of the whole run, and the summary's lines from it."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from pancseg import Case, CaseResult
from pancseg.cli.console import summary
from pancseg.running.messages import ScanDone
from pancseg.running.run_log import RunLog, account_of


def test_the_slowest_scans_and_the_shares_of_time_are_in_the_summary(tmp_path: Path) -> None:
    spent = {"a": (4.0, 1.0), "b": (9.0, 3.0), "c": (0.0, 0.0), "d": (2.0, 1.0)}
    results = [CaseResult(Case(name, Path(name)), "pass") for name in spent]
    path = tmp_path / "run.jsonl"
    with closing(RunLog(path)) as log:
        log.start({"rows": 4})
        for result, (network, features) in zip(results, spent.values(), strict=True):
            stages = {"network": network, "features": features} if network else {}
            log.scan(result.case.name, [result], not network, ScanDone(network + features, stages))
        log.end(Counter(passed=4))
    account = account_of(path)
    assert account.reused == 1
    assert account.slowest == [(12.0, "b"), (5.0, "a"), (3.0, "d")]
    assert account.shares == [("network", pytest.approx(0.75)), ("features", pytest.approx(0.25))]
    lines = summary(results, None, path).splitlines()
    assert lines[1:] == [
        "rows unchanged since an earlier run: 1",
        "slowest: b 12.0 s, a 5.0 s, d 3.0 s",
        "share of the time: network 75%, features 25%",
    ]
