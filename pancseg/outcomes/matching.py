"""Owns whether two files' ids are the same patients: spellings of integers, and who is missing."""

from __future__ import annotations

import re

import pandas as pd


def one_spelling(
    mine: pd.Index[str], theirs: pd.Index[str]
) -> tuple[pd.Index[str], pd.Index[str], str]:
    """Bring ids to one spelling where integers were written in two ways (7, 007, 7.0).

    Returns:
        Both ids and a note; as they were where that finds no more pairs, or would make two ids one.
    """
    mine_read, theirs_read = [_as_integer(n) for n in mine], [_as_integer(n) for n in theirs]
    one_each = len(set(mine_read)) == len(mine) and len(set(theirs_read)) == len(theirs)
    if not one_each or len(set(mine_read) & set(theirs_read)) <= len(set(mine) & set(theirs)):
        return mine, theirs, ""
    return pd.Index(mine_read, name=mine.name), pd.Index(theirs_read), " (ids read as integers)"


def _as_integer(name: str) -> str:
    found = re.fullmatch(r"0*(\d+)(\.0+)?", name)
    return found[1] if found else name


def unmatched(mine: pd.Index[str], theirs: pd.Index[str]) -> pd.DataFrame:
    """Return the ids that one file lacks, with which (``missing_from``)."""
    known, others = set(mine), set(theirs)
    rows = [(name, "clinical") for name in mine if name not in others]
    rows += [(name, "features") for name in theirs if name not in known]
    return pd.DataFrame(rows, columns=["id", "missing_from"])
