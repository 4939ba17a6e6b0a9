"""Recognise names that spreadsheet programs would run as formulas, wherever they come from.

Names of patients, scans, regions, groups and features stand in tables as they are, because a quote
before ``=1+1`` would be another name to pandas and R and join with nothing. So such a name is
refused when it is read. Free text, which joins with nothing, gets such a quote.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_FORMULA = re.compile(r"[\t\r\n]|\s*([=+@]|-(?![0-9]+$))")
"""Start of a cell that a spreadsheet takes for a formula; it reads ``-12`` as a number."""

_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?")

NO_FORMULA = (
    "begins like a formula, which spreadsheet programs would run (it must not begin with = + @, or "
    "with - and more than digits)"
)


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet program would take a text for a formula.

    >>> [is_formula(text) for text in ("=1+1", "@a", "-a", "+1", "-12", "a=b", "P-1")]
    [True, True, True, True, False, False, False]
    """
    # In some countries full-width signs count too; NFKC turns them into plain ones.
    return bool(_FORMULA.match(unicodedata.normalize("NFKC", text)))


def without_formula(text: str) -> str:
    """Return free text as a cell that no spreadsheet runs: after ``'`` if it begins like a formula.

    Numbers stay as they are.

    >>> without_formula("=1+1"), without_formula("-1.5"), without_formula("+ metastases")
    ("'=1+1", '-1.5', "'+ metastases")
    """
    return f"'{text}" if is_formula(text) and not _NUMBER.fullmatch(text) else text


def refuse_formulas(names: Iterable[str], what: str, remedy: str) -> None:
    """Refuse names that are formulas.

    Args:
        names: for example the ids of a table.
        what: what they are, for the message: ``the feature table: ids``.
        remedy: what to do about it.

    Raises:
        ValueError: names the first and the number of all.
    """
    names = list(dict.fromkeys(names))
    if found := [(row, name) for row, name in enumerate(names, start=1) if is_formula(name)]:
        row, first = found[0]
        shown = repr(first if len(first) <= 40 else f"{first[:40]}…")
        raise ValueError(
            f"{what}: {len(found)} of {len(names)} begin like formulas, which spreadsheet programs "
            f"would run, first number {row}, {shown}; {remedy}"
        )
