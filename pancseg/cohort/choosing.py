"""Choose some patients or scans of a cohort by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pancseg.cohort.case import Case, name_key

_MOST_NAMED = 5
_LONGEST_NAME = 40


def chosen(cases: Sequence[Case], only: str | Iterable[str], *, show: bool = True) -> list[bool]:
    """Return for each case whether it is one of those named.

    Args:
        cases: the cohort.
        only: ids as in the table: a ``patient_id`` names all scans of the patient,
            ``<patient_id>_<scan_id>`` one scan. A text may hold several ids, separated by commas.
        show: quote ids that no case has; not under pseudonyms, where they may be real ones.

    Raises:
        ValueError: no case has such an id, or none is named.

    Example:
        >>> from pathlib import Path
        >>> cohort = [Case(name, Path(f"{name}.nii.gz")) for name in ("P1", "P2", "P3")]
        >>> chosen(cohort, ["P1,P3"])
        [True, False, True]
    """
    names = [(name_key(case.patient_id), name_key(case.scan_name)) for case in cases]
    known = {name for pair in names for name in pair}
    wanted = _ids([only] if isinstance(only, str) else only, known)
    if not wanted:
        raise ValueError("`only` names nobody; give ids as in the table")
    if unknown := [text for text in wanted if name_key(text) not in known]:
        what = listed(unknown) if show else f"with {counted_ids(len(unknown), len(wanted))}"
        raise ValueError(
            f"`only`: the cohort has no patient or scan {what}; give ids as in the table"
        )
    keys = set(map(name_key, wanted))
    return [not keys.isdisjoint(pair) for pair in names]


def listed(names: Sequence[str]) -> str:
    """Return the first few names, each cut to a readable length, and the number of the others."""
    more = len(names) - _MOST_NAMED
    shown = ", ".join(
        name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
        for name in names[:_MOST_NAMED]
    )
    return f"{shown} and {more} more" if more > 0 else shown


def counted_ids(unknown: int, of: int) -> str:
    """Return what is said in place of ids that must not be shown.

    >>> counted_ids(1, 3)
    '1 of the 3 ids given'
    """
    return f"{unknown} of the {of} ids given" if of > 1 else "the id given"


def _ids(texts: Iterable[str], known: set[str]) -> list[str]:
    """Split texts at commas, except where a comma is part of an id."""
    found: list[str] = []
    for text in texts:
        parts = [text] if name_key(text) in known else text.split(",")
        found += filter(None, map(str.strip, parts))
    return found
