"""Tables for people to read: rows of text as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], left: int | None = None
) -> str:
    r"""Return a Markdown table that ends in a line break; no cell can break it.

    Args:
        titles: of the columns.
        rows: the cells.
        left: the first so many columns are text, the others numbers, which are aligned to the
            right; None: all are text.

    >>> print(markdown_table(["name", "n"], [["a|b", "2"]], left=1), end="")
    | name | n |
    | --- | --: |
    | a\|b | 2 |
    """
    text_columns = len(titles) if left is None else left
    rule = ["---"] * text_columns + ["--:"] * (len(titles) - text_columns)
    return "".join(f"| {' | '.join(map(_cell, cells))} |\n" for cells in (titles, rule, *rows))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").splitlines())
