"""Record the rows and masks of a run in a journal, from which later runs take what is unchanged.

The journal has one line per row or mask, which ends in a hash of itself; lines are appended and
never changed. A line whose hash does not fit, because a process was killed or the file was edited
or damaged, counts as not written. Values are read back from the disk one row at a time, so memory
does not grow with the number of rows. A row is kept with all that was measured and its checks, and
is judged anew, by the limits of the run that reads it.
"""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pancseg.cohort.case import Case
from pancseg.processing.evidence import Evidence, Judgement, Judging, failed
from pancseg.processing.picture_names import Mark, mark_of
from pancseg.processing.row import CaseResult
from pancseg.quality.check import Check
from pancseg.running.journal_lines import (
    MASK,
    is_acquisition,
    is_again,
    is_mask,
    is_row,
    line_at,
    line_of,
    lines_of,
    of_earlier_version,
    verified,
)
from pancseg.running.messages import MadeFrom
from pancseg.system.whole_files import unshare
from pancseg.tables.fields import Value


class Journal:
    """The rows and masks that all runs into one output folder have made."""

    def __init__(self, path: Path, by: Judging | None = None) -> None:
        """Open a journal, or create it.

        Args:
            path: path of the file.
            by: by what its rows are judged; by default the default limits.

        Raises:
            OSError: the journal cannot be read or written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        unshare(path)
        self._path, self._by = path, by or Judging()
        self._file = path.open("ab")
        self._rows: defaultdict[str, dict[str, _RowLocation]] = defaultdict(dict)
        self._masks: defaultdict[str, dict[str, MadeFrom]] = defaultdict(dict)
        self._last: dict[str, _Last] = {}
        self._acquisitions: dict[str, dict[str, Value]] = {}
        self._bad = self._reported = 0
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise

    @property
    def folder(self) -> Path:
        """The state folder that the journal is in."""
        return self._path.parent

    def damage(self) -> str:
        """Return a sentence on lines that count as not written; empty if all are good.

        Lines that an earlier run has reported are not reported again.
        """
        if not self.damaged:
            return ""
        count = self._bad - self._reported
        self._append({"reported": self._bad})
        self._reported = self._bad
        lines = "1 line is" if count == 1 else f"{count} lines are"
        return (
            f"the journal of earlier runs: {lines} damaged, edited or of an earlier version and "
            "counted as not written; rows that they held are made again"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def known(self, case: Case, *, failed: bool) -> frozenset[str]:
        """Return the keys under which the journal has all that a case's row needs.

        A row that was not measured to its end, as it failed under other limits, is not among them.

        Args:
            case: the case.
            failed: count results that are not usable too. Those that fail by limits alone are
                counted anyway: measured again, they would be the same.
        """
        rows = self._rows[case.key].items()
        return frozenset(key for key, location in rows if failed or location.final)

    def marks(self, case: Case) -> dict[str, Mark]:
        """Return key → what the pictures of that result show, for all results of a case."""
        found = {}
        for key, location in self._rows[case.key].items():
            values = self._record(location)["values"]
            found[key] = Mark(mark_of(values), measured="qc_grid_mm" in values)
        return found

    def earlier_masks(self, scan_name: str) -> dict[str, MadeFrom]:
        """Return SHA-256 → what it was made from, for all masks that were made of a scan."""
        return self._masks[scan_name]

    @property
    def damaged(self) -> bool:
        """Whether lines count as not written that no run has reported."""
        return self._bad > self._reported

    def add_row(
        self, key: str, result: CaseResult, *, manner: str = "", mask: str | None = None
    ) -> CaseResult:
        """Record a row and return it with its values on the disk.

        Args:
            key: key of the row; a row without one is not reused.
            result: the row.
            manner: key of how it was made (:func:`pancseg.running.kept.manner_of`).
            mask: SHA-256 of the mask's file; None if it is not known.
        """
        record = {
            "row": result.case.key,
            "key": key,
            "status": result.status,
            "reason": result.reason,
            "fact": result.fact,
            "values": dict(result.values),
            "evidence": _evidence_of(result).as_json(),
            "manner": manner,
            "mask_file": mask,
        }
        location = _RowLocation(self._append(record), self._judged(record))
        if key:
            self._rows[result.case.key][key] = location
        self._last[result.case.key] = _Last(location, manner, mask)
        return self._result(result.case, location)

    def still_holds(
        self, key: str, case: Case, *, manner: str = "", mask: str | None = None
    ) -> CaseResult:
        """Record that a row is again the last of its case, and return it; see :meth:`add_row`."""
        last = _Last(self._rows[case.key][key], manner, mask)
        known = self._last.get(case.key)
        if known is None or (known.location.offset, *known[1:]) != (
            last.location.offset,
            *last[1:],
        ):
            self._append({"again": case.key, "key": key, "manner": manner, "mask_file": mask})
            self._last[case.key] = last
        return self._result(case, last.location)

    def last(self, case: Case) -> LastRow | None:
        """Return the row that a case got last, from whatever run; None if it never had one."""
        found = self._last.get(case.key)
        if found is None:
            return None
        enough = self._judged(self._record(found.location)).enough
        return LastRow(self._result(case, found.location), found.manner, found.mask, enough)

    def note_acquisition(self, scan_key: str, acquisition: Mapping[str, Value]) -> None:
        """Record the acquisition of a DICOM scan; an empty one takes an earlier one back."""
        if self._acquisitions.get(scan_key, {}) != acquisition:
            self._append({"acquired": scan_key, "values": dict(acquisition)})
            self._acquisitions[scan_key] = dict(acquisition)

    def acquisition(self, scan_key: str) -> dict[str, Value]:
        """Return the acquisition that was recorded last; empty if there is none."""
        return self._acquisitions.get(scan_key, {})

    def row(self, key: str, case: Case) -> CaseResult:
        """Return a recorded row, as the result of the given case."""
        return self._result(case, self._rows[case.key][key])

    def add_mask(self, scan_name: str, digest: str, made: MadeFrom) -> None:
        """Record that a mask was made; call this before the mask gets its final name."""
        self._append({"mask": scan_name, "digest": digest, **made._asdict()})
        os.fsync(self._file.fileno())  # if a power cut took the line, the mask would look foreign
        self._masks[scan_name][digest] = made

    def _result(self, case: Case, location: _RowLocation) -> CaseResult:
        status, reasons, shown, *_ = self._judged(self._record(location))
        values = _StoredValues(self, location, shown)
        return CaseResult(case, status, ";".join(reasons), "; ".join(reasons.values()), values)

    def _judged(self, record: Mapping[str, Any]) -> Judgement:
        """Judge a row by the limits of this run.

        Raises:
            ValueError: the record has no evidence, as in journals of earlier versions.
        """
        count = len(dict(record["values"]))
        mask = record["values"].get("mask_sha256", "")
        decision = self._by.reviews.of(record["row"], mask if isinstance(mask, str) else "")
        return Evidence.from_json(record.get("evidence"), count).judged(count, self._by, decision)

    def _record(self, location: _RowLocation) -> dict[str, Any]:
        with self._path.open("rb") as file:
            found = line_at(file, location.offset)
        if found is None or not is_row(found):
            raise OSError(errno.EIO, "the journal was changed while it was in use; run again")
        return found

    def _append(self, record: dict[str, Any]) -> int:
        """Write a record with its hash; return its offset."""
        offset = self._file.tell()
        self._file.write(line_of(record))
        self._file.flush()
        return offset

    def _read(self) -> None:
        """Find the good lines, and cut off what a killed process has left of the last line."""
        end, whole = 0, True
        with self._path.open("rb") as file:
            for offset, line in lines_of(file):
                whole = line.endswith(b"\n")
                good = self._note(offset, line)
                if good or whole:
                    end = offset + len(line)
                    self._bad += not good
        if not whole and end < self._file.tell():
            self._file.truncate(end)
            self._file.seek(0, os.SEEK_END)
        elif not whole:
            self._file.write(b"\n")
            self._file.flush()

    def _note(self, offset: int, line: bytes) -> bool:
        """Remember where a line's row is, or its mask; return whether the line is good."""
        record = verified(line) or of_earlier_version(line)
        if record is None:
            return False
        if isinstance(reported := record.get("reported"), int):
            self._reported = min(reported, self._bad)
        elif is_mask(record):
            made = MadeFrom(record["key"], record.get("scan", ""), record.get("looks_dice"))
            self._masks[record["mask"]][record["digest"]] = made
        elif is_row(record):
            try:
                judgement = self._judged(record)
            except ValueError:
                return False
            location = _RowLocation(offset, judgement)
            if record["key"] and judgement.enough:
                self._rows[record["row"]][record["key"]] = location
            self._last[record["row"]] = _Last.of(location, record)
        elif is_again(record):
            case = record["again"]
            if location_again := self._rows[case].get(record["key"]):
                self._last[case] = _Last.of(location_again, record)
            else:  # which row the case had last is not known any more
                self._last.pop(case, None)
        elif is_acquisition(record):
            self._acquisitions[record["acquired"]] = record["values"]
        else:
            return False
        return True


class LastRow(NamedTuple):
    """The row that a case got last.

    Attributes:
        result: the row, judged by the limits and decisions of this run.
        manner: key of how it was made; empty in journals of earlier versions.
        mask: SHA-256 of the file of the mask that it was made on, empty if it had none; None if
            that is not known.
        enough: whether all that the row needs was measured.
    """

    result: CaseResult
    manner: str
    mask: str | None
    enough: bool


class _Last(NamedTuple):
    """Where the last row of a case is, and how it was made."""

    location: _RowLocation
    manner: str
    mask: str | None

    @classmethod
    def of(cls, location: _RowLocation, record: Mapping[str, Any]) -> _Last:
        mask = record.get("mask_file")
        return cls(location, str(record.get("manner", "")), mask if isinstance(mask, str) else None)


def masks_made(path: Path, scan_name: str) -> frozenset[str]:
    """Return the SHA-256 of every mask file that the network has made of a scan.

    Rows are passed over, so that this is quick; the journal may be in use.

    Args:
        path: the journal; it may not exist.
        scan_name: as in :meth:`Journal.earlier_masks`.
    """
    found = set()
    try:
        with path.open("rb") as file:
            for _, line in lines_of(file):
                record = verified(line) if line.startswith(MASK) else None
                record = record or of_earlier_version(line)
                if record and is_mask(record) and record["mask"] == scan_name:
                    found.add(record["digest"])
    except FileNotFoundError:
        pass
    return frozenset(found)


class _RowLocation:
    """The offset of a row's line in the journal.

    Attributes:
        offset: of the line.
        final: whether measuring the row again could change nothing.
    """

    __slots__ = ("final", "offset")

    def __init__(self, offset: int, judgement: Judgement) -> None:
        self.offset = offset
        self.final = judgement.settled or not failed(judgement.status)


class _StoredValues(Mapping[str, Value]):
    """The first values of a row, read from the journal on every access."""

    __slots__ = ("_journal", "_location", "_shown")

    def __init__(self, journal: Journal, location: _RowLocation, shown: int) -> None:
        self._journal, self._location, self._shown = journal, location, shown

    def _load(self) -> dict[str, Value]:
        values: dict[str, Value] = self._journal._record(self._location)["values"]
        return dict(islice(values.items(), self._shown))

    def __getitem__(self, name: str) -> Value:
        return self._load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def items(self) -> Any:
        return self._load().items()


def usable_rows(path: Path) -> frozenset[str]:
    """Return the keys of cases of which a journal has a usable row; nothing is written.

    Whether such a row would be taken over is known only when its files are hashed.

    Args:
        path: the journal; it need not exist.
    """
    found: dict[str, bool] = {}
    with suppress(FileNotFoundError), path.open("rb") as file:
        for _, line in lines_of(file):
            record = verified(line)
            if record and is_row(record):
                found[record["row"]] = bool(record["key"]) and not failed(record["status"])
    return frozenset(key for key, usable in found.items() if usable)


def _evidence_of(result: CaseResult) -> Evidence:
    if result.evidence is not None:
        return result.evidence
    passed = result.status == "pass"
    return Evidence(() if passed else (Check(result.reason, result.fact, grade=result.status),))
