"""Owns ``run.jsonl``: what a run did, one line per scan: stages, seconds, memory, outcome.

No path and no name of a file is in it, only the ids that are in the table.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pancseg.processing.row import CaseResult
from pancseg.running.messages import ScanDone


class RunLog:
    """The log of one run; an earlier run's is replaced."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def start(self, about: dict[str, Any]) -> None:
        """Note what is run."""
        self._write({"event": "start", "time": _now(), **about})

    def scan(self, name: str, outcomes: Sequence[CaseResult], reused: int, done: ScanDone) -> None:
        """Note what became of a scan's rows, and what it took."""
        self._write(
            {
                "event": "scan",
                "case": name,
                "seconds": round(done.seconds, 3),
                "stages": {stage: round(seconds, 3) for stage, seconds in done.stages.items()},
                "peak_mb": round(done.peak_bytes / 1e6) or None,
                "reused": reused,
                "rows": [
                    {"roi": o.case.roi, "status": o.status, "reasons": o.reason} for o in outcomes
                ],
            }
        )

    def end(self, outcomes: Counter[str]) -> None:
        """Note how the run ended."""
        self._write({"event": "end", "time": _now(), "rows": dict(outcomes)})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunAccount(NamedTuple):
    """What a log says of a whole run.

    Attributes:
        reused: rows that were there already.
        slowest: seconds and name of the slowest scans, the slowest first.
        shares: each stage's share of the time of all stages, the largest first.
    """

    reused: int
    slowest: list[tuple[float, str]]
    shares: list[tuple[str, float]]


def account_of(path: Path, slowest: int = 3) -> RunAccount:
    """Read a run's log."""
    reused, scans = 0, []
    seconds: Counter[str] = Counter()
    with path.open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            if record["event"] == "scan":
                reused += record["reused"]
                scans.append((record["seconds"], record["case"]))
                seconds.update(record["stages"])
    total = sum(seconds.values())
    shares = [(stage, spent / total) for stage, spent in seconds.most_common()] if total else []
    return RunAccount(reused, sorted(scans, reverse=True)[:slowest], shares)
