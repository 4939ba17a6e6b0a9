"""Read a cell that says yes or no, in the words that people and spreadsheet programs write."""

from __future__ import annotations

_YES = frozenset(
    ("1", "1.0", "yes", "y", "true", "t", "x", "ok", "ja", "j", "wahr", "oui", "o", "vrai", "si",
     "sí", "sì", "s", "verdadero", "vero")
)  # fmt: skip
_NO = frozenset(
    ("", "0", "0.0", "no", "n", "false", "f", "none", "null", "na", "n/a", "nan", "-", "–", "—",
     "nein", "falsch", "non", "faux", "falso")
)  # fmt: skip


def yes_or_no(text: str) -> bool | None:
    """Return whether a cell says yes; None if it says neither yes nor no.

    An empty cell, and one that marks a missing value, says no.

    Example:
        >>> [yes_or_no(text) for text in ("yes", "WAHR", "nein", "", "n/a", "perhaps")]
        [True, True, False, False, False, None]
    """
    word = text.strip().casefold()
    return True if word in _YES else False if word in _NO else None
