"""Shorten text from a file or the user for a message: one line, printable, not too long."""

from __future__ import annotations


def excerpt(text: object, most: int = 60) -> str:
    r"""Return text for a message: white space joined, control characters replaced, cut at the end.

    >>> excerpt("two\nlines"), excerpt("x" * 100, most=5)
    ('two lines', 'xxxx…')

    Args:
        text: anything with a text.
        most: number of characters to return at most.
    """
    whole = str(text)
    joined = " ".join(whole[: 4 * most].split())
    plain = "".join(c if c.isprintable() else "?" for c in joined)
    cut = len(plain) > most or len(whole) > 4 * most
    return f"{plain[: most - 1]}…" if cut else plain
