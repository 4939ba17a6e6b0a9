"""Accept or reject masks by the ids of their rows in an output folder's table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pancseg.cohort.case import DEFAULT_ROI, name_key
from pancseg.cohort.choosing import counted_ids, listed
from pancseg.cohort.pseudonyms import MARK
from pancseg.errors import TableError
from pancseg.reasons import REASONS
from pancseg.review.decisions import Decision, add_decisions, now
from pancseg.system.text_table import read_text_table

_TABLES = ("features.csv", "features.parquet", "masks.csv")
_REJECTED = "rejected_by_reviewer"
_COLUMNS = ("patient_id", "scan_id", "roi", "qc_reasons", "mask_sha256")


class MaskRow(NamedTuple):
    """What a table says of one mask; the columns of its row."""

    patient_id: str
    scan_id: str
    roi: str
    qc_reasons: str
    mask_sha256: str

    @property
    def name(self) -> str:
        """The ids, for messages."""
        region = "" if self.roi == DEFAULT_ROI else self.roi
        return "_".join(part for part in (self.patient_id, self.scan_id, region) if part)

    @property
    def refusals(self) -> list[str]:
        """The row's reasons that no acceptance lifts, as there is nothing to measure."""
        reasons = [code for code in self.qc_reasons.split(";") if code not in ("", _REJECTED)]
        return [c for c in reasons if c not in REASONS or REASONS[c].status in ("fail", "error")]


def rows_to_judge(
    folder: Path, patients: Sequence[str], *, scan: str | None = None, region: str | None = None
) -> list[MaskRow]:
    """Return the rows of patients whose masks can be judged.

    Args:
        folder: output folder of ``segment``, ``extract`` or ``run``.
        patients: ids as in the table.
        scan: only the scan of this id.
        region: only the region of this name.

    Raises:
        ValueError: no table, a patient that is not in it, or a row without a mask.
        OSError: the table cannot be read.
    """
    rows = _rows_of(folder)
    wanted = {name_key(name) for name in patients}
    theirs = [row for row in rows if name_key(row.patient_id) in wanted]
    found = {name_key(row.patient_id) for row in theirs}
    if unknown := [name for name in patients if name_key(name) not in found]:
        hidden = (folder / MARK).exists()  # then they may be real ones
        what = listed(unknown)
        if hidden:
            what = counted_ids(len(unknown), len(patients))
        raise ValueError(f"the table has no such row: {what}; give ids as it has them")
    chosen = [row for row in theirs if scan in (None, row.scan_id) and region in (None, row.roi)]
    judged = {name_key(row.patient_id) for row in chosen}
    if others := [name for name in patients if name_key(name) not in judged]:
        raise ValueError(
            f"{listed(others)}: the table has no row of this scan and region; it has "
            f"{listed([row.name for row in theirs])}"
        )
    if without := [row.name for row in chosen if not row.mask_sha256]:
        raise ValueError(f"there is no mask to judge: {listed(without)}; draw or make one")
    return chosen


def judge_masks(
    folder: Path,
    rows: Sequence[MaskRow],
    decision: Literal["accept", "reject"],
    *,
    reason: str,
    by: str,
) -> None:
    """Accept or reject the masks of rows; the next run measures the rows or empties them.

    The decision holds for the mask that the table's ``mask_sha256`` names, and lapses with it.

    Args:
        folder: output folder.
        rows: as :func:`rows_to_judge` returns them.
        decision: ``accept`` or ``reject``.
        reason: why, in one line.
        by: initials.

    Raises:
        ValueError: a text is refused, or what was decided earlier cannot be read.
        OSError: ``review.csv`` cannot be written.
    """
    ids = [(row.patient_id, row.scan_id, row.roi) for row in rows]
    made = [
        Decision(*id_, decision, reason, by, now(), row.mask_sha256)
        for id_, row in zip(ids, rows, strict=True)
    ]
    add_decisions(folder, made)


def _rows_of(folder: Path) -> list[MaskRow]:
    path = next((folder / name for name in _TABLES if (folder / name).exists()), None)
    if path is None:
        names = ", ".join(_TABLES)
        raise ValueError(
            f"the folder has no table ({names}); give the `out` of a run that came to its end"
        )
    return read_mask_rows(path)


def read_mask_rows(path: Path) -> list[MaskRow]:
    """Return what a table says of its masks, one per row.

    Raises:
        ValueError: the file is not a table of pancseg's.
        OSError: it cannot be read.
    """
    if path.suffix == ".parquet":
        import pandas as pd

        frame = pd.read_parquet(path, columns=list(_COLUMNS)).fillna("").astype(str)
        return [MaskRow(*row) for row in frame.itertuples(index=False)]
    try:
        table = read_text_table(path, path.name)
        if missing := [name for name in _COLUMNS if name not in table.columns]:
            raise ValueError(f"{path.name} has no column {missing[0]!r}; run again")
        at = [table.columns.index(name) for name in _COLUMNS]
        return [MaskRow(*(row.cells[i] for i in at)) for row in table.rows()]
    except TableError as error:
        raise ValueError(str(error)) from error
