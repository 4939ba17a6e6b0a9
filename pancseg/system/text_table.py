"""Reads tables of text that people wrote with any program: CSV, whole or refused with the line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pancseg.errors import TableError

_SEPARATORS = ",;\t"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class TextRow(NamedTuple):
    """One row under the header.

    Attributes:
        line: of the file, where the row begins; the first is 1.
        cells: one for each column, blanks around them taken off; missing ones are empty.
        problems: what is wrong with the row, without what is written in it.
    """

    line: int
    cells: list[str]
    problems: list[str]


class TextTable:
    """A table of text.

    Attributes:
        columns: names in the header, blanks around them taken off. One may be empty, save the last.
        separator: what stands between cells: a comma, a semicolon or a tab.
    """

    def __init__(self, text: str, what: str) -> None:
        """Read the header, which is the first line that is not empty.

        Args:
            text: the whole file.
            what: how messages call the table.

        Raises:
            TableError: the header is no CSV.
        """
        self._what, self._end = what, 0
        self.separator = _separator_of(text)
        self._rows = csv.reader(io.StringIO(text, newline=""), delimiter=self.separator)
        self.columns = _stripped(next(self._filled(), (0, list[str]()))[1])
        while self.columns and not self.columns[-1]:
            self.columns.pop()

    def rows(self) -> Iterator[TextRow]:
        """Yield the rows that are not empty; once.

        Raises:
            TableError: from some line on the file is no CSV.
        """
        width = len(self.columns)
        for line, written in self._filled():
            cells, problems = _stripped(written), []
            if any(cells[width:]):
                problems.append(
                    f"more cells than the header has columns ({len(cells)} and {width}); put cells "
                    f"that hold {_named(self.separator)} in quotes"
                )
            if self._end > line and (most := max(len(c.splitlines()) for c in written)) > 1:
                problems.append(  # rows, which would be lost without a word
                    f"a cell holds {most} lines; is a quote not closed? Otherwise join the lines"
                )
            yield TextRow(line, (cells + [""] * width)[:width], problems)

    def _filled(self) -> Iterator[tuple[int, list[str]]]:
        """Yield where a row begins, and its cells as written, if any of them holds something."""
        try:
            for row in self._rows:
                begin, self._end = self._end + 1, self._rows.line_num
                if any(map(str.strip, row)):
                    yield begin, row
        except csv.Error as error:
            line = self._rows.line_num
            raise TableError(
                f"{self._what}: line {line}: no CSV ({error}); is a quote not closed?"
            ) from error


def read_text_table(path: Path, what: str, most_bytes: int | None = None) -> TextTable:
    """Open a table: UTF-8 or UTF-16, its cells between commas, semicolons or tabs.

    An encoding that the file does not tell is not guessed: ids and names would be others.

    Args:
        path: the CSV.
        what: how messages call it.
        most_bytes: a larger file is not read.

    Raises:
        TableError: one line: it cannot be read, is no text, is too large, or its header is no CSV.
    """
    try:
        with path.open("rb") as file:
            content = file.read() if most_bytes is None else file.read(most_bytes + 1)
    except OSError as error:
        raise TableError(f"{what} cannot be read: {error.strerror}") from error
    if most_bytes is not None and len(content) > most_bytes:
        raise TableError(f"{what} is larger than {most_bytes >> 20} MiB; divide it")
    return TextTable(_decoded(content, what), what)


def _decoded(content: bytes, what: str) -> str:
    try:
        text = content.decode("utf-16" if content.startswith(_UTF_16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(f"{what} is not UTF-8 text; save it as 'CSV UTF-8'") from error
    if "\0" in text:
        raise TableError(f"{what} is not UTF-8 text (a workbook?); save it as 'CSV UTF-8'")
    return text


def _separator_of(text: str) -> str:
    """Return what divides the header into most cells, quoted ones left out; a comma on a tie."""
    header = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", header)
    return max(_SEPARATORS, key=bare.count)


def _stripped(cells: list[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def _named(separator: str) -> str:
    return "a tab" if separator == "\t" else f"a {separator!r}"
