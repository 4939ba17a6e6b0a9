"""Count decisions about masks that were made after a feature table was written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pancseg.cohort.case import DEFAULT_ROI
from pancseg.review.decisions import REVIEW, reviews_of

_IN_ROW = {"accept": "accepted", "reject": "rejected_by_reviewer"}
"""What a row says of a decision that it knows."""
_NEEDED = ("patient_id", "mask_sha256", "qc_reasons")


def later_decisions(table: Path, text: pd.DataFrame) -> list[str]:
    """Return a note on the rows that people have judged since, as ``review.csv`` beside it says.

    Args:
        table: file of the feature table.
        text: its columns as text.

    Returns:
        One sentence, or none.
    """
    folder = table.parent
    if not (folder / REVIEW).is_file() or not set(_NEEDED) <= set(text):
        return []
    try:
        latest = reviews_of(folder).latest.values()
    except ValueError:
        return [f"{REVIEW} beside the table cannot be read; decisions in it were not looked at."]
    decided = {(m.patient_id, m.scan_id, m.roi, m.mask_sha256): m.decision for m in latest}
    blank = [""] * len(text)
    ids = zip(
        text["patient_id"],
        text.get("scan_id", blank),
        text.get("roi", [DEFAULT_ROI] * len(text)),
        text["mask_sha256"],
        strict=True,
    )
    later = [
        kind
        for row, codes in zip(ids, text["qc_reasons"], strict=True)
        if (kind := decided.get(row)) and _IN_ROW[kind] not in codes.split(";")
    ]
    if not later:
        return []
    counts = f"{later.count('reject')} rejected, {later.count('accept')} accepted"
    return [
        f"Since the table was written, people have judged {len(later)} of its masks ({counts}); "
        "run the command that made it again, so that it has their decisions."
    ]
