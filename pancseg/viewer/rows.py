"""Read the table of an output folder for the page, and read it again once it has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from pancseg.report.output_folder import TABLES, OutputFolder, read_output
from pancseg.report.rows import ReportRow, meaning, rows_of
from pancseg.report.whereabouts import key_of
from pancseg.review.decisions import Decision
from pancseg.review.standing import by_row
from pancseg.viewer.reviews import state_of
from pancseg.viewer.volumes import trace_of


@dataclass(frozen=True)
class ViewedRow:
    """A row of the table.

    Attributes:
        n: its number in this session, from 0; a row keeps it when the table is made again.
        row: what the page shows.
        mask_sha256: hash of the region that was measured; empty if there was none.
        image_sha256: hash of the scan that was measured; empty if there was none.
    """

    n: int
    row: ReportRow
    mask_sha256: str
    image_sha256: str

    @property
    def key(self) -> str:
        """Key of the row's case."""
        return key_of(self.row)


class Table:
    """The table of an output folder, as it is now.

    Attributes:
        provenance: what it was made with.
        problems: one line about each file beside it that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        """Read the table.

        Raises:
            ValueError: there is no table, or it cannot be read as one; one line.
            OSError: it cannot be read.
        """
        self._folder, self._lock = folder, Lock()
        self._numbers: dict[str, int] = {}
        self._trace: object = None
        self._rows: dict[int, ViewedRow] = {}
        self.provenance: Mapping[str, Any] = {}
        self.problems: tuple[str, ...] = ()
        self.rows()

    def rows(self) -> Mapping[int, ViewedRow]:
        """Return number → row, in the table's order.

        Raises:
            ValueError, OSError: as when it is first read.
        """
        with self._lock:
            trace = self.trace
            if trace != self._trace:
                self._read(read_output(self._folder))
                self._trace = trace
            return self._rows

    @property
    def trace(self) -> tuple[object, ...]:
        """What differs once the table has been made again; cheap."""
        return tuple(trace_of(self._folder / name) for name in TABLES)

    def _read(self, output: OutputFolder) -> None:
        table = output.table
        of_masks, of_scans = (
            map(str, table[name] if name in table else [""] * len(table))
            for name in ("mask_sha256", "image_sha256")
        )
        self._rows = {}
        for row, mask, scan in zip(rows_of(output), of_masks, of_scans, strict=True):
            n = self._numbers.setdefault(key_of(row), len(self._numbers))
            self._rows[n] = ViewedRow(n, row, mask, scan)
        self.provenance, self.problems = output.provenance, output.problems

    @property
    def measures_given_only(self) -> bool:
        """Whether the command that made the table makes no masks, and reads none in its output."""
        run = self.provenance.get("run")
        return isinstance(run, Mapping) and run.get("command") == "extract"

    @property
    def takes_given(self) -> bool:
        """Whether given masks were measured: not in a table of ``segment``."""
        return any((self._folder / name).is_file() for name in TABLES[:2])


def rows_for_page(
    rows: Sequence[ViewedRow], decisions: Sequence[Decision], words: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Return what the page's list shows of each row.

    Args:
        rows: in the table's order.
        decisions: all of the output folder.
        words: turns a text that names parameters in backticks into the caller's words.
    """
    decided = by_row(decisions)
    return [row_for_page(each, decided.get(each.key, []), words) for each in rows]


def row_for_page(
    viewed: ViewedRow, decisions: Sequence[Decision], words: Callable[[str], str]
) -> dict[str, Any]:
    """Return what the page's list shows of a row, given the decisions about it alone."""
    row = viewed.row
    reasons = [meaning(code) for code in row.reasons]
    state = state_of(decisions, viewed.mask_sha256)
    accepted = state["decision"] and state["decision"]["holds"] and (
        state["decision"]["decision"] == "accept"
    )  # fmt: skip
    return {
        "n": viewed.n,
        "id": [row.patient_id, row.scan_id, row.roi],
        "status": row.status,
        "reasons": list(row.reasons),
        "reason_texts": [[words(each.happened), words(each.remedy)] for each in reasons],
        "message": words(row.message),
        "source": row.source,
        "volume_ml": row.check("qc_volume_ml"),
        "median_hu": row.check("qc_median_hu"),
        "thumbnail": row.thumbnail or None,
        "to_look_at": row.to_look_at and not accepted,
        **state,
    }
