"""Owns the journal of a run: what was done, one line each, appended and never changed.

A line that a kill cut off counts as not written. Values are read back from the disk one row at a
time, so that memory does not grow with them. Knows nothing about how they were made.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pancseg.cohort.case import Case
from pancseg.processing.row import CaseResult
from pancseg.running.messages import MadeFrom
from pancseg.tables.fields import Value


class Journal:
    """The rows and masks that runs into one output folder have made."""

    def __init__(self, path: Path) -> None:
        """Open or begin a journal.

        Raises:
            OSError: it cannot be read or written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("ab")
        self._rows: defaultdict[str, dict[str, _RowLocation]] = defaultdict(dict)
        self._masks: defaultdict[str, dict[str, MadeFrom]] = defaultdict(dict)
        self._read()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def known(self, case: Case, *, failed: bool) -> frozenset[str]:
        """Return the keys under which a row has a result; with ``failed``, failures count."""
        places = self._rows[case.key].items()
        return frozenset(key for key, place in places if failed or place.usable)

    def own_masks(self, scan_name: str) -> dict[str, MadeFrom]:
        """Return the digests of all masks that were made of a scan, and what they are made from."""
        return self._masks[scan_name]

    def add_row(self, key: str, outcome: CaseResult) -> CaseResult:
        """Write a row down and return it with its values on the disk."""
        record = {
            "row": outcome.case.key,
            "key": key,
            "status": outcome.status,
            "reason": outcome.reason,
            "fact": outcome.fact,
            "values": dict(outcome.values),
        }
        place = _RowLocation(self._append(record), outcome.usable)
        if key:
            self._rows[outcome.case.key][key] = place
        return self._outcome(outcome.case, place)

    def row(self, key: str, case: Case) -> CaseResult:
        """Return a row that is known, for the case as it is now."""
        return self._outcome(case, self._rows[case.key][key])

    def add_mask(self, scan_name: str, digest: str, made: MadeFrom) -> None:
        """Write down that a mask was made, before it gets its name."""
        self._append({"mask": scan_name, "digest": digest, **made._asdict()})
        os.fsync(self._file.fileno())  # a mask whose line a power cut took would count as foreign
        self._masks[scan_name][digest] = made

    def _outcome(self, case: Case, place: _RowLocation) -> CaseResult:
        record = self._record(place)
        values = _Stored(self, place)
        return CaseResult(case, record["status"], record["reason"], record["fact"], values)

    def _record(self, place: _RowLocation) -> dict[str, Any]:
        with self._path.open("rb") as file:
            file.seek(place.offset)
            found: dict[str, Any] = json.loads(file.readline())
        return found

    def _append(self, record: dict[str, Any]) -> int:
        offset = self._file.tell()
        text = json.dumps(record, ensure_ascii=False, default=_plain)
        self._file.write(text.encode() + b"\n")
        self._file.flush()
        return offset

    def _read(self) -> None:
        line = b"\n"
        with self._path.open("rb") as file:
            for offset, line in _lines(file):
                self._note(offset, line)
        if not line.endswith(b"\n"):
            self._file.write(b"\n")

    def _note(self, offset: int, line: bytes) -> None:
        try:
            record = json.loads(line)
        except ValueError:  # a kill cut it off
            return
        if "mask" in record:
            made = MadeFrom(record["key"], record.get("scan", ""))
            self._masks[record["mask"]][record["digest"]] = made
        elif record["key"]:
            usable = record["status"] in ("pass", "warn")
            self._rows[record["row"]][record["key"]] = _RowLocation(offset, usable)


class _RowLocation:
    """Where a row is in the file, and whether it has values."""

    __slots__ = ("offset", "usable")

    def __init__(self, offset: int, usable: bool) -> None:
        self.offset, self.usable = offset, usable


class _Stored(Mapping[str, Value]):
    """A row's values, read from the journal whenever they are asked for."""

    __slots__ = ("_journal", "_place")

    def __init__(self, journal: Journal, place: _RowLocation) -> None:
        self._journal, self._place = journal, place

    def _load(self) -> dict[str, Value]:
        values: dict[str, Value] = self._journal._record(self._place)["values"]
        return values

    def __getitem__(self, name: str) -> Value:
        return self._load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def items(self) -> Any:
        return self._load().items()


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    offset = 0
    for line in file:
        yield offset, line
        offset += len(line)


def _plain(number: Any) -> Any:
    return number.item()  # NumPy's
