"""Owns whether two files' ids are the same patients: spellings of integers, and who is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd


def in_spelling_of(mine: pd.Index[str], theirs: pd.Index[str]) -> tuple[pd.Index[str], str]:
    """Spell their ids as mine where integers were written in two ways (7, 007, 7.0).

    Those that mine lack are spelt as integers are.

    Returns:
        Their ids and a note; as they were where that finds no more pairs, or makes two ids one.
    """
    mine_read, theirs_read = ({_as_integer(n): n for n in ids} for ids in (mine, theirs))
    one_each = len(mine_read) == len(mine) and len(theirs_read) == len(theirs)
    if not one_each or len(mine_read.keys() & theirs_read) <= len(set(mine) & set(theirs)):
        return theirs, ""
    return pd.Index([mine_read.get(n, n) for n in theirs_read]), " (ids read as integers)"


def _as_integer(name: str) -> str:
    found = re.fullmatch(r"0*(\d+)(\.0+)?", name)
    return found[1] if found else name


def unmatched(
    mine: pd.Index[str], theirs: pd.Index[str], unusable: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the ids that one file lacks, with which (``missing_from``).

    Args:
        mine: ids of FEATURES' usable rows.
        theirs: the clinical file's.
        unusable: ids of FEATURES whose rows were left out (``left out``, where theirs has them).
    """
    known, others, left_out = set(mine), set(theirs), set(map(_as_integer, unusable))
    rows = [(name, "clinical") for name in mine if name not in others]
    for name in theirs:
        if name not in known:
            rows.append((name, "left out" if _as_integer(name) in left_out else "features"))
    return pd.DataFrame(rows, columns=["id", "missing_from"])
