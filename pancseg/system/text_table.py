"""Read a CSV that any program may have written, or refuse it and name the line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pancseg.errors import TableError
from pancseg.system.regular_files import open_regular

_SEPARATORS = ",;\t"
_DECLARED = re.compile(r'"?sep=([,;|\t])"?[,;|\t ]*(\r\n|\r|\n|$)', re.IGNORECASE)
"""A first line that tells Excel which separator follows."""
LONGEST_CELL = 32_767
"""Characters of a cell, as in Excel; without a limit, a cell with an open quote holds the file."""
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class TextRow(NamedTuple):
    """One row under the header.

    Attributes:
        line: number of the file's line on which the row begins, from 1.
        cells: one stripped text per column; empty where the row has no cell.
        problems: what is wrong with the row; never quotes its cells, which may identify a patient.
    """

    line: int
    cells: list[str]
    problems: list[str]


class TextTable:
    """A table of text.

    Attributes:
        columns: stripped names in the header. Any but the last may be empty.
        separator: character between cells: a comma, a semicolon or a tab, or the one that a first
            line such as ``sep=;`` names.
    """

    def __init__(self, text: str, what: str) -> None:
        """Read the header, which is the first line that is not empty.

        Args:
            text: content of the whole file.
            what: name of the table in messages.

        Raises:
            TableError: the header is not CSV.
        """
        self._what, self._end = what, 0
        declared = _DECLARED.match(text)
        self.separator = declared[1] if declared else _separator_of(text)
        self._rows = csv.reader(io.StringIO(text, newline=""), delimiter=self.separator)
        if declared:
            next(self._filled(), None)
        self.columns = _stripped(next(self._filled(), (0, list[str]()))[1])
        if (longest := max(map(len, self.columns), default=0)) > LONGEST_CELL:
            raise TableError(
                f"{what}: a column's name has {longest:,} characters (at most {LONGEST_CELL:,})"
            )
        while self.columns and not self.columns[-1]:
            self.columns.pop()

    def rows(self) -> Iterator[TextRow]:
        """Yield the rows that are not empty. Works once.

        Raises:
            TableError: a line is not CSV.
        """
        width = len(self.columns)
        for line, written in self._filled():
            cells, problems = _stripped(written), []
            if any(cells[width:]):
                problems.append(
                    f"the row has {len(cells)} cells, the header {width} columns; put cells "
                    f"that contain {_named(self.separator)} in quotes"
                )
            if self._end > line and (most := max(len(c.splitlines()) for c in written)) > 1:
                problems.append(  # an open quote has swallowed rows, which would be lost silently
                    f"a cell holds {most} lines; close its quote, or join the lines"
                )
            if (longest := max(map(len, written))) > LONGEST_CELL:
                problems.append(
                    f"a cell has {longest:,} characters (at most {LONGEST_CELL:,}); shorten it"
                )
            yield TextRow(line, (cells + [""] * width)[:width], problems)

    def _filled(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the first line and the unstripped cells of each row that is not empty."""
        try:
            for row in self._rows:
                begin, self._end = self._end + 1, self._rows.line_num
                if any(map(str.strip, row)):
                    yield begin, row
        except csv.Error as error:
            line = self._rows.line_num
            raise TableError(
                f"{self._what}: line {line} is not CSV ({error}); is a quote not closed?"
            ) from error


def read_text_table(path: Path, what: str, most_bytes: int | None = None) -> TextTable:
    """Open a CSV in UTF-8 or UTF-16, separated by commas, semicolons or tabs.

    Other encodings are refused, not guessed: a wrong guess would change ids and names.

    Args:
        path: the CSV.
        what: name of the table in messages.
        most_bytes: a larger file is refused.

    Raises:
        TableError: the file cannot be read, is not text, is too large, or has a header that is not
            CSV. The message is one line.
    """
    try:
        with open_regular(path) as file:
            content = file.read() if most_bytes is None else file.read(most_bytes + 1)
    except OSError as error:
        raise TableError(f"{what} cannot be read: {error.strerror}") from error
    if most_bytes is not None and len(content) > most_bytes:
        raise TableError(f"{what} is larger than {most_bytes >> 20} MiB; split it")
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
    """Return the separator that is most frequent in the header outside quotes; a comma on a tie."""
    header = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", header)
    return max(_SEPARATORS, key=bare.count)


def _stripped(cells: list[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def _named(separator: str) -> str:
    return "a tab" if separator == "\t" else f"a {separator!r}"
