"""Write and summarise ``run.jsonl``, a run's log, with a line per scan: time, memory, statuses.

A scan that takes longer than ten seconds also has lines about its progress.

The log contains no path and no file name, only the ids that are in the table.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pancseg.processing.row import CaseResult
from pancseg.running.messages import ScanDone
from pancseg.system.json_file import parse_json
from pancseg.system.stage import Stage

if TYPE_CHECKING:
    from pancseg.running.progress import RunProgress


class RunLog:
    """The log of one run; it replaces the log of an earlier run."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # opening it could empty another file that shares its content
        self._file = path.open("x", encoding="utf-8")

    def start(self, record: dict[str, Any]) -> None:
        """Write the first line: the time and what is run."""
        self._write({"event": "start", "time": _now(), **record})

    def progress(self, name: str, stage: Stage, seconds: float, left_s: float | None) -> None:
        """Write a line about a scan in work.

        Args:
            name: of the scan.
            stage: that it has reached.
            seconds: since a worker began with it.
            left_s: seconds that the run will still take; None if they are not known.
        """
        counted = {"done": stage.done, "total": stage.total} if stage.total else {}
        self._write(
            {
                "event": "progress",
                "time": _now(),
                "case": name,
                "stage": stage.name,
                **counted,
                "seconds": round(seconds, 1),
                "eta_s": _whole(left_s),
            }
        )

    def scan(
        self,
        name: str,
        results: Sequence[CaseResult],
        reused: int,
        done: ScanDone,
        progress: RunProgress,
    ) -> None:
        """Write a scan's line: its rows, the number of reused ones, time, memory and progress."""
        self._write(
            {
                "event": "scan",
                "case": name,
                "seconds": round(done.seconds, 3),
                "stages": {stage: round(seconds, 3) for stage, seconds in done.stages.items()},
                "peak_mb": round(done.peak_bytes / 1e6) or None,
                "reused": reused,
                "rows": _rows(results),
                "done": progress.done,
                "total": progress.total,
                "eta_s": _whole(progress.left_s),
            }
        )

    def kept(self, name: str, results: Sequence[CaseResult]) -> None:
        """Write the line of a scan whose rows are kept from an earlier run, unseen."""
        self._write({"event": "kept", "case": name, "rows": _rows(results)})

    def end(self, statuses: Counter[str]) -> None:
        """Write the last line: the time and the number of rows with each status."""
        self._write({"event": "end", "time": _now(), "rows": dict(statuses)})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()


def _rows(results: Sequence[CaseResult]) -> list[dict[str, str]]:
    return [{"roi": r.case.roi, "status": r.status, "reasons": r.reason} for r in results]


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunAccount(NamedTuple):
    """Summary of a run's log.

    Attributes:
        reused: number of rows reused from an earlier run.
        kept: number of rows kept from an earlier run without a look at their scans.
        slowest: seconds and name of the slowest scans, the slowest first.
        shares: stages with their shares of the time of all stages, 0–1, the largest first.
    """

    reused: int
    kept: int
    slowest: list[tuple[float, str]]
    shares: list[tuple[str, float]]


def account_of(path: Path, slowest: int = 3) -> RunAccount:
    """Summarise a run's log.

    Args:
        path: ``run.jsonl`` of the run.
        slowest: number of slowest scans to name.
    """
    reused, kept, scans = 0, 0, []
    seconds: Counter[str] = Counter()
    with path.open(encoding="utf-8", errors="replace") as lines:
        for record in filter(None, map(_object, lines)):
            if _is_scan(record):
                reused += record["reused"]
                scans.append((record["seconds"], record["case"]))
                seconds.update(record["stages"])
            elif record.get("event") == "kept" and isinstance(record.get("rows"), list):
                kept += len(record["rows"])
    total = sum(seconds.values())
    shares = [(stage, spent / total) for stage, spent in seconds.most_common()] if total else []
    return RunAccount(reused, kept, sorted(scans, reverse=True)[:slowest], shares)


def _object(line: str) -> dict[str, Any] | None:
    """Return a line's record; None of a line that somebody has changed."""
    try:
        record = parse_json(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _is_scan(record: dict[str, Any]) -> bool:
    """Return whether a record is that of a scan, with all that is summed up."""
    kinds = {"case": str, "reused": int, "seconds": int | float, "stages": dict}
    if record.get("event") != "scan":
        return False
    if not all(isinstance(record.get(name), kind) for name, kind in kinds.items()):
        return False
    return all(isinstance(spent, int | float) for spent in record["stages"].values())
