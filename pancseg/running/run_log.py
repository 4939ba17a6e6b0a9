"""Write and summarise ``run.jsonl``, a run's log, with a line per scan: time, memory, statuses.

The log contains no path and no file name, only the ids that are in the table.
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
    """The log of one run; it replaces the log of an earlier run."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def start(self, record: dict[str, Any]) -> None:
        """Write the first line: the time and what is run."""
        self._write({"event": "start", "time": _now(), **record})

    def scan(self, name: str, results: Sequence[CaseResult], reused: int, done: ScanDone) -> None:
        """Write a scan's line: its rows, the number of reused ones, and the time and memory."""
        self._write(
            {
                "event": "scan",
                "case": name,
                "seconds": round(done.seconds, 3),
                "stages": {stage: round(seconds, 3) for stage, seconds in done.stages.items()},
                "peak_mb": round(done.peak_bytes / 1e6) or None,
                "reused": reused,
                "rows": [
                    {"roi": r.case.roi, "status": r.status, "reasons": r.reason} for r in results
                ],
            }
        )

    def end(self, statuses: Counter[str]) -> None:
        """Write the last line: the time and the number of rows with each status."""
        self._write({"event": "end", "time": _now(), "rows": dict(statuses)})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunAccount(NamedTuple):
    """Summary of a run's log.

    Attributes:
        reused: number of rows reused from an earlier run.
        slowest: seconds and name of the slowest scans, the slowest first.
        shares: stages with their shares of the time of all stages, 0–1, the largest first.
    """

    reused: int
    slowest: list[tuple[float, str]]
    shares: list[tuple[str, float]]


def account_of(path: Path, slowest: int = 3) -> RunAccount:
    """Summarise a run's log.

    Args:
        path: ``run.jsonl`` of the run.
        slowest: number of slowest scans to name.
    """
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
