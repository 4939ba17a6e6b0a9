"""Match the ids of two files, in spite of different spellings of integers, and list the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd


def in_spelling_of(mine: pd.Index[str], theirs: pd.Index[str]) -> tuple[pd.Index[str], str]:
    """Respell the ids of the other file like mine where integers are written differently.

    7, 007 and 7.0 are the same integer. Integer ids that ``mine`` lacks lose zeros and decimals.

    Returns:
        The other file's ids and a note. They are unchanged if respelling them finds no more pairs,
        or makes two ids equal.
    """
    mine_read, theirs_read = ({_as_integer(n): n for n in ids} for ids in (mine, theirs))
    one_each = len(mine_read) == len(mine) and len(theirs_read) == len(theirs)
    if not one_each or len(mine_read.keys() & theirs_read) <= len(set(mine) & set(theirs)):
        return theirs, ""
    return pd.Index([mine_read.get(n, n) for n in theirs_read]), " (ids compared as integers)"


def _as_integer(name: str) -> str:
    found = re.fullmatch(r"(\d+)(\.0+)?", name)
    return (found[1].lstrip("0") or found[1][-1]) if found else name


def unmatched(
    mine: pd.Index[str], theirs: pd.Index[str], unusable: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the ids that are in one file only, and the file they are missing from.

    Args:
        mine: ids of usable rows of the feature table.
        theirs: ids of the clinical file.
        unusable: ids of the feature table whose rows were left out.

    Returns:
        Columns ``id`` and ``missing_from``: ``clinical``, ``features``, or ``left out`` for ids of
        the clinical file whose row of the feature table was left out.
    """
    known, others, left_out = set(mine), set(theirs), set(map(_as_integer, unusable))
    rows = [(name, "clinical") for name in mine if name not in others]
    for name in theirs:
        if name not in known:
            rows.append((name, "left out" if _as_integer(name) in left_out else "features"))
    return pd.DataFrame(rows, columns=["id", "missing_from"])
