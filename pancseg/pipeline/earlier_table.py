"""Compare a run's cohort with the rows of the table that it replaces."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pancseg.cohort.case import Case, name_key
from pancseg.review.judge import read_mask_rows
from pancseg.tables.format import KINDS


def leaving_rows(path: Path, cases: Iterable[Case]) -> int:
    """Return how many rows of the earlier table are those of none of the cases.

    Args:
        path: path of the new table, which is not written yet; an earlier one may be of another
            format.
        cases: the rows of the new table.
    """
    earlier = (path.with_suffix(f".{kind}") for kind in KINDS)
    found = next((table for table in earlier if table.is_file()), None)
    if found is None:
        return 0
    stay = {case.key for case in cases}
    with suppress(ValueError, OSError):  # not a table of pancseg's, or not any more
        return sum(name_key(row.name) not in stay for row in read_mask_rows(found))
    return 0
