"""Split a region's expression into words, quoted names and marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Literal, NamedTuple

_TOKEN = re.compile(r"\"([^\"]*)\"|'([^']*)'|([,+|;()])|([^,+|;()\"']+)")
_WITHOUT = "without"
_PLAIN = re.compile(r"[\w .-]+")
LONGEST_NAME = 200
"""Characters of a segment's name."""


class Token(NamedTuple):
    """A part of an expression.

    Attributes:
        kind: ``name`` for a text in quotes, ``mark`` for one of ``, + | ; ( )`` and ``without``,
            else ``word``.
        text: without quotes, in lower case; blanks at the ends are removed.
    """

    kind: Literal["name", "mark", "word"]
    text: str


def tokens_of(text: str) -> list[Token] | None:
    """Return the parts of an expression; None if a quote is not closed, or there are none.

    >>> [token.text for token in tokens_of("Pancreas without 'Head, left'")]
    ['pancreas', 'without', 'head, left']
    """
    found: list[Token] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() != end:
            return None
        end = match.end()
        double, single, mark, words = match.groups()
        if mark:
            found.append(Token("mark", mark))
        elif words is None:
            found.append(Token("name", name_key(double if double is not None else single)))
        else:
            found += _words(words)
    return found if found and end == len(text) else None


def _words(text: str) -> list[Token]:
    """Return the words between marks: one, or those before and after ``without``."""
    groups: list[list[str]] = [[]]
    found: list[Token] = []
    for word in name_key(text).split():
        if word == _WITHOUT:
            groups.append([])
        else:
            groups[-1].append(word)
    for number, group in enumerate(groups):
        if number:
            found.append(Token("mark", _WITHOUT))
        if group:
            found.append(Token("word", " ".join(group)))
    return found


def split_at(tokens: list[Token], mark: str) -> list[list[Token]]:
    """Return the tokens before, between and after a mark."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token == Token("mark", mark):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def as_name(token: Token) -> str:
    """Return the segment's name that a token is; empty if it cannot be one.

    Without quotes a name begins with a letter or an underscore.
    """
    text = token.text
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        return ""
    return text if token.kind == "name" or _starts(text) else ""


def _starts(name: str) -> bool:
    return name[:1].isalpha() or name[:1] == "_"


def name_key(name: str) -> str:
    r"""Return a segment's name as expressions spell it: lower case, single blanks.

    >>> name_key("  Pancreas\tHead ")
    'pancreas head'
    """
    folded = unicodedata.normalize("NFC", name).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def quoted(name: str, reserved: Collection[str] = ()) -> str:
    """Return a name as an expression writes it: in quotes, if it is not made of plain words.

    >>> quoted("pancreas head"), quoted("head, left"), quoted("=1+1")
    ('pancreas head', '"head, left"', '"=1+1"')
    """
    plain = (
        _starts(name)
        and _PLAIN.fullmatch(name)
        and name not in reserved
        and _WITHOUT not in name.split()
    )
    if plain:
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'
