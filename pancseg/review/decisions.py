"""Keep the decisions of people about masks in ``OUT/review.csv``.

Decisions are appended and all are kept; of several about one mask, the last accept or reject holds.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.cohort.formulas import NO_FORMULA, is_formula
from pancseg.errors import TableError
from pancseg.system.file_lock import file_lock
from pancseg.system.text_table import read_text_table
from pancseg.system.whole_files import write_whole

REVIEW = "review.csv"
"""Name of the file in an output folder."""
BY_MANIFEST = "manifest"
"""``by`` of decisions that come from a manifest's column ``accept``."""
Kind = Literal["accept", "reject", "comment"]
_LONGEST_TEXT = 1000
_LARGEST_BYTES = 1 << 25
_NO_BREAK = str.maketrans("\u00a0\u202f", "  ")
"""Spaces that French keyboards and word processors put before a colon; they print."""
_HASH = re.compile(r"[0-9a-f]{64}")


class Decision(NamedTuple):
    """What somebody decided about a mask: one row of ``review.csv``.

    Attributes:
        patient_id: as in the table.
        scan_id: as in the table.
        roi: name of the region.
        decision: ``accept``, ``reject`` or ``comment``.
        reason: in the person's words, one line.
        by: initials.
        at: when, ISO 8601 with the zone.
        mask_sha256: the table's ``mask_sha256``; the decision holds for this mask only.
    """

    patient_id: str
    scan_id: str
    roi: str
    decision: Kind
    reason: str
    by: str
    at: str
    mask_sha256: str

    @property
    def key(self) -> str:
        """Key of the case, as :attr:`pancseg.Case.key`."""
        return Case(self.patient_id, Path(), scan_id=self.scan_id, roi=self.roi).key

    @property
    def fact(self) -> str:
        """The decision in one line."""
        done = "accepted" if self.decision == "accept" else "rejected"
        day = re.split("[T ]", self.at)[0]
        return f"{done} by {self.by} on {day}: {self.reason}"


@dataclass(frozen=True)
class Reviews:
    """The decisions that hold.

    Attributes:
        latest: key of a case and hash of its mask → the last accept or reject.
        pending: key of a case → reason of an acceptance that a manifest gives, and which holds for
            the mask that this run meets.
    """

    latest: Mapping[tuple[str, str], Decision] = field(default_factory=dict)
    pending: Mapping[str, str] = field(default_factory=dict)

    def of(self, key: str, mask_sha256: str) -> Decision | None:
        """Return the decision about a mask; None if there is none, or no mask."""
        if not mask_sha256:
            return None
        if found := self.latest.get((key, mask_sha256)):
            return found
        if reason := self.pending.get(key):
            return Decision("", "", "", "accept", reason, BY_MANIFEST, now(), mask_sha256)
        return None


NO_REVIEWS = Reviews()


def now() -> str:
    """Return the time as ``review.csv`` has it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def read_decisions(folder: Path) -> list[Decision]:
    """Return all decisions of an output folder, in the order in which they were made.

    Raises:
        ValueError: ``review.csv`` cannot be read, or a line of it is no decision.
    """
    return [made for _, made in _written(folder)]


def add_decisions(folder: Path, decisions: Sequence[Decision]) -> None:
    """Append decisions to ``review.csv``; several programs may do so at once.

    Columns that somebody has added to the file are kept.

    Raises:
        ValueError: a text is empty, too long, begins like a formula or has several lines; or what
            the file holds cannot be read.
        OSError: the file cannot be written.
    """
    for made in decisions:
        _check(made)
    (folder / ".pancseg").mkdir(exist_ok=True)
    with _locked(folder):
        kept = _written(folder)
        rows = [{**others, **made._asdict()} for others, made in kept]
        rows += [made._asdict() for made in decisions]
        columns = dict.fromkeys([*Decision._fields, *(kept[0][0] if kept else ())])
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole({folder / REVIEW: text.getvalue().encode()})


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one program at a time write decisions.

    Raises:
        OSError: the folder cannot be locked.
    """
    try:
        with file_lock(folder / ".pancseg" / "review.lock"):
            yield
    except NotImplementedError as error:
        raise OSError("its file system does not support locks; copy the folder to another") from (
            error
        )


def _written(folder: Path) -> list[tuple[dict[str, str], Decision]]:
    """Return the decisions, each with the cells of columns that are not pancseg's."""
    path = folder / REVIEW
    if not path.exists():
        return []
    try:
        table = read_text_table(path, REVIEW, _LARGEST_BYTES)
        if missing := [name for name in Decision._fields if name not in table.columns]:
            raise ValueError(f"{REVIEW} has no column {missing[0]!r}; restore the file")
        found = []
        for row in table.rows():
            cells = dict(zip(table.columns, row.cells, strict=True))
            if problem := next(iter(row.problems), "") or _problem_of(cells):
                raise ValueError(f"{REVIEW}: line {row.line}: {problem}")
            made = Decision(**{name: cells.pop(name) for name in Decision._fields})  # type: ignore[arg-type]
            found.append((cells, made._replace(roi=made.roi or DEFAULT_ROI)))
        return found
    except TableError as error:
        raise ValueError(str(error)) from error


def reviews_of(folder: Path, cases: Iterable[Case] = ()) -> Reviews:
    """Return the decisions that hold in an output folder and for a cohort.

    An acceptance of the manifest that was recorded earlier, for the mask of that time, is not
    pending any more: a new mask needs a new one.

    Raises:
        ValueError: as :func:`read_decisions`; or an acceptance of the cohort is not one line.
    """
    latest: dict[tuple[str, str], Decision] = {}
    recorded: set[tuple[str, str]] = set()
    for made in read_decisions(folder):
        if made.decision != "comment":
            latest[made.key, made.mask_sha256] = made
        if made.by == BY_MANIFEST:
            recorded.add((made.key, made.reason))
    given = {case.key: case.accept for case in cases if case.accept}
    pending = {key: reason for key, reason in given.items() if (key, reason) not in recorded}
    for reason in pending.values():  # before the run, at whose end they are recorded
        _check(Decision("", "", "", "accept", reason, BY_MANIFEST, "", ""))
    return Reviews(latest, pending)


def _check(made: Decision) -> None:
    texts = {"reason": made.reason, "by": made.by}
    for name, text in texts.items():
        if not text.strip() and made.decision != "comment":
            raise ValueError(f"`{name}` is empty; say it in a few words")
        if len(text) > _LONGEST_TEXT or not text.translate(_NO_BREAK).isprintable():
            raise ValueError(f"`{name}` is not one line of at most {_LONGEST_TEXT} characters")
        if is_formula(text):
            raise ValueError(f"`{name}` {NO_FORMULA}")


def _problem_of(cells: Mapping[str, str]) -> str:
    """Return why a line is no decision; empty if it is one."""
    decision = cells["decision"]
    if decision not in get_args(Kind):
        return f"decision is none of {', '.join(get_args(Kind))}; correct it"
    if decision != "comment" and not _HASH.fullmatch(cells["mask_sha256"]):
        return "mask_sha256 is not a mask's hash of 64 digits; copy it from the table"
    return ""
