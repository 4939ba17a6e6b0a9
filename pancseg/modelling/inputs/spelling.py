"""Compare values of two files as what they are: 1, 1.0 and TRUE, or True and true."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pandas as pd

_NUMBER = re.compile(r"([+-]?)(\d*)(?:[.,](\d*))?")
_LOGICAL = {"true": "1", "false": "0"}


def meaning(text: str) -> str:
    """Return what a text stands for: numbers and logical values in one notation, text in one case.

    Example:
        >>> meaning("1.0"), meaning("TRUE"), meaning("true"), meaning("007"), meaning("Male")
        ('1', '1', '1', '7', 'male')
    """
    plain = text.strip().casefold()
    if plain in _LOGICAL:
        return _LOGICAL[plain]
    found = _NUMBER.fullmatch(plain)
    if found is None or not (found[2] or found[3]):
        return plain
    whole, part = found[2].lstrip("0") or "0", (found[3] or "").rstrip("0")
    number = f"{whole}.{part}" if part else whole
    return f"-{number}" if found[1] == "-" and number != "0" else number


def spelt_like(cells: pd.Series[str], known: Iterable[str]) -> pd.Series[str]:
    """Respell cells like the known texts that mean the same; other cells stay as they are.

    A cell that is a known text stays, too. Of two known texts that mean the same neither is taken.
    """
    known = list(known)
    one: dict[str, str | None] = {}
    for name in known:
        one[meaning(name)] = None if meaning(name) in one else name
    same = set(known)
    return cells.map(lambda cell: cell if cell in same else one.get(meaning(cell)) or cell)


def one_spelling(cells: pd.Series[str]) -> tuple[pd.Series[str], tuple[tuple[str, ...], ...]]:
    """Give numbers and logical values in one column one spelling each: 1 and 1.0 become 1.

    Texts that differ in case only are left alone, as they may be different classes.

    Returns:
        The cells, and the spellings that were taken for the same value.
    """
    spellings: dict[str, list[str]] = {}
    for name in sorted(set(cells), key=lambda name: (len(name), name)):
        if is_value(name):
            spellings.setdefault(meaning(name), []).append(name)
    several = tuple(tuple(names) for names in spellings.values() if len(names) > 1)
    chosen = {name: names[0] for names in several for name in names}
    return (cells.map(lambda cell: chosen.get(cell, cell)) if several else cells), several


def is_value(text: str) -> bool:
    """Return whether a text is a number or a logical value."""
    found = _NUMBER.fullmatch(text.strip())
    return text.strip().casefold() in _LOGICAL or bool(found and (found[2] or found[3]))


def merged(what: str, several: Sequence[Sequence[str]]) -> list[str]:
    """Return a note on spellings that were taken for the same value."""
    return [f"{what}: {' and '.join(map(repr, names))} are the same value." for names in several]
