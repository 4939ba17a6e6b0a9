"""Record the rows and masks of a run in a journal, from which later runs take what is unchanged.

The journal has one line per row or mask; lines are appended and never changed. A line that is
incomplete because the process was killed is ignored. Values are read back from the disk one row at
a time, so memory does not grow with the number of rows.
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
    """The rows and masks that all runs into one output folder have made."""

    def __init__(self, path: Path) -> None:
        """Open a journal, or create it.

        Raises:
            OSError: the journal cannot be read or written.
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
        """Return the keys under which the journal has a result for a case.

        Args:
            case: the case.
            failed: count results that are not usable too.
        """
        rows = self._rows[case.key].items()
        return frozenset(key for key, location in rows if failed or location.usable)

    def earlier_masks(self, scan_name: str) -> dict[str, MadeFrom]:
        """Return SHA-256 → what it was made from, for all masks that were made of a scan."""
        return self._masks[scan_name]

    def add_row(self, key: str, result: CaseResult) -> CaseResult:
        """Record a row and return it with its values on the disk; an empty key is not reused."""
        record = {
            "row": result.case.key,
            "key": key,
            "status": result.status,
            "reason": result.reason,
            "fact": result.fact,
            "values": dict(result.values),
        }
        location = _RowLocation(self._append(record), result.usable)
        if key:
            self._rows[result.case.key][key] = location
        return self._result(result.case, location)

    def row(self, key: str, case: Case) -> CaseResult:
        """Return a recorded row, as the result of the given case."""
        return self._result(case, self._rows[case.key][key])

    def add_mask(self, scan_name: str, digest: str, made: MadeFrom) -> None:
        """Record that a mask was made; call this before the mask gets its final name."""
        self._append({"mask": scan_name, "digest": digest, **made._asdict()})
        os.fsync(self._file.fileno())  # if a power cut took the line, the mask would look foreign
        self._masks[scan_name][digest] = made

    def _result(self, case: Case, location: _RowLocation) -> CaseResult:
        record = self._record(location)
        values = _StoredValues(self, location)
        return CaseResult(case, record["status"], record["reason"], record["fact"], values)

    def _record(self, location: _RowLocation) -> dict[str, Any]:
        with self._path.open("rb") as file:
            file.seek(location.offset)
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
        except ValueError:  # incomplete, since the process was killed
            return
        if "mask" in record:
            made = MadeFrom(record["key"], record.get("scan", ""))
            self._masks[record["mask"]][record["digest"]] = made
        elif record["key"]:
            usable = record["status"] in ("pass", "warn")
            self._rows[record["row"]][record["key"]] = _RowLocation(offset, usable)


class _RowLocation:
    """The offset of a row's line in the journal, and whether its result is usable."""

    __slots__ = ("offset", "usable")

    def __init__(self, offset: int, usable: bool) -> None:
        self.offset, self.usable = offset, usable


class _StoredValues(Mapping[str, Value]):
    """The values of a row, read from the journal on every access."""

    __slots__ = ("_journal", "_location")

    def __init__(self, journal: Journal, location: _RowLocation) -> None:
        self._journal, self._location = journal, location

    def _load(self) -> dict[str, Value]:
        values: dict[str, Value] = self._journal._record(self._location)["values"]
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
    """Return a NumPy scalar as a Python number, which JSON can hold."""
    return number.item()
