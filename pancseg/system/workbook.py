"""Read the table in an Excel workbook (``.xlsx``), or refuse it and name the line."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import ParseError

from pancseg.errors import TableError
from pancseg.system.optional import missing
from pancseg.system.regular_files import read_regular
from pancseg.system.text_table import LONGEST_CELL, TextRow

_OLD_FORMAT = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""Begins the files of Excel before 2007, and those that a password encrypts."""
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_MOST_UNPACKED_BYTES = 1 << 28
_MOST_COLUMNS = 1000
_MOST_ROWS = 1 << 20
"""Rows of a sheet in Excel; openpyxl would fill up to any number that a row claims."""
_EXACT_DIGITS = 15
"""Digits of a number that a workbook keeps; it replaces the following ones by zeros."""
_BROKEN = (
    zipfile.BadZipFile, zlib.error, ParseError, KeyError, ValueError, TypeError, IndexError,
    AttributeError, EOFError, NotImplementedError, RuntimeError, OSError,
)  # fmt: skip
"""What openpyxl raises for a file that is not as a workbook should be."""
_SAVE = "save it again as .xlsx, or as 'CSV UTF-8'"


class _Cell(NamedTuple):
    """A cell's text, and what is wrong with it."""

    text: str
    problem: str = ""


class WorkbookTable:
    """The table in a workbook's sheet; as :class:`pancseg.system.text_table.TextTable`.

    Attributes:
        columns: stripped names in the header, the first line that is not empty.
    """

    def __init__(self, lines: Iterator[tuple[int, list[_Cell]]]) -> None:
        """Read the header.

        Args:
            lines: number and cells of each line that is not empty.
        """
        self._lines = lines
        header = next(lines, (0, list[_Cell]()))[1]
        self.columns = [cell.text for cell in header]
        while self.columns and not self.columns[-1]:
            self.columns.pop()

    def rows(self) -> Iterator[TextRow]:
        """Yield the rows that are not empty. Works once.

        Raises:
            TableError: the workbook is damaged.
        """
        width = len(self.columns)
        for line, cells in self._lines:
            problems = [cell.problem for cell in cells if cell.problem]
            if any(cell.text for cell in cells[width:]):
                problems.append(
                    f"the row has {len(cells)} cells, the header {width} columns; name each column"
                )
            texts = [cell.text for cell in cells]
            yield TextRow(line, (texts + [""] * width)[:width], problems)


def read_workbook(
    path: Path, what: str, most_bytes: int, is_header: Callable[[Sequence[str]], bool]
) -> WorkbookTable:
    """Open the table in a workbook.

    Of several sheets, the one is read whose header is that of the table. Formulas have the values
    that the workbook stores. Whole numbers have no decimals, dates are written as 2026-11-30.

    Args:
        path: the workbook.
        what: name of the table in messages.
        most_bytes: a larger file is refused.
        is_header: whether a sheet with this header is the table.

    Raises:
        TableError: the file cannot be read, is no workbook, is encrypted, or has several such
            sheets; or the package openpyxl is missing. The message is one line.
    """
    if lacking := missing("openpyxl", "openpyxl"):
        raise TableError(f"{what} is a workbook, which needs {lacking}; or save it as 'CSV UTF-8'")
    try:
        content = read_regular(path, most_bytes)
    except OSError as error:
        raise TableError(f"{what} cannot be read: {error.strerror}") from error
    _check(content, what)
    try:
        tables = [WorkbookTable(lines) for lines in _sheets(content, what)]
    except TableError:
        raise
    except _BROKEN as error:
        raise _damaged(what, error) from error
    fitting = [table for table in tables if is_header(table.columns)]
    if len(fitting) > 1:
        raise TableError(
            f"{what}: {len(fitting)} of {len(tables)} sheets could be the table; keep one, or save "
            "it as 'CSV UTF-8'"
        )
    filled = [table for table in tables if table.columns]
    found = (*fitting, *filled, *tables)
    if not found:
        raise TableError(f"{what}: the workbook has no sheet with cells; {_SAVE}")
    return found[0]


def _check(content: bytes, what: str) -> None:
    """Refuse what is no workbook, is encrypted, or unpacks to more than a table needs."""
    if content.startswith(_OLD_FORMAT):
        if _ENCRYPTED in content:
            raise TableError(f"{what} is protected by a password; save it without one")
        raise TableError(f"{what} is a workbook of Excel 97–2003; {_SAVE}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size, names = sum(i.file_size for i in packed.infolist()), set(packed.namelist())
    except _BROKEN as error:
        raise TableError(f"{what} is no workbook, or a damaged one; {_SAVE}") from error
    if "[Content_Types].xml" not in names:
        raise TableError(f"{what} is no .xlsx workbook; {_SAVE}")
    if size > _MOST_UNPACKED_BYTES:
        raise TableError(
            f"{what} unpacks to {size >> 20:,} MiB (at most {_MOST_UNPACKED_BYTES >> 20}); split it"
        )


def _sheets(content: bytes, what: str) -> list[Iterator[tuple[int, list[_Cell]]]]:
    """Return the lines of each sheet with cells (charts have none)."""
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parts, such as drop-down lists, that it does not keep
        stored, written = (
            load_workbook(io.BytesIO(content), read_only=True, data_only=values, keep_links=False)
            for values in (True, False)
        )
    pairs = zip(stored.worksheets, written.worksheets, strict=True)
    return [_lines(values, formulas, what) for values, formulas in pairs]


def _lines(values: Any, formulas: Any, what: str) -> Iterator[tuple[int, list[_Cell]]]:
    """Yield number and cells of each line that is not empty."""
    for sheet in (values, formulas):
        sheet.reset_dimensions()  # a sheet may claim millions of cells that it does not have
    try:
        found_in = (sheet.iter_rows(max_row=_MOST_ROWS) for sheet in (values, formulas))
        rows = zip(*found_in, strict=True)
        for line, (cells, sources) in enumerate(rows, start=1):
            if len(cells) > _MOST_COLUMNS:
                raise TableError(
                    f"{what}: line {line} has {len(cells):,} cells (at most {_MOST_COLUMNS:,}); "
                    "is it a table?"
                )
            found = [_cell(*pair) for pair in zip(cells, sources, strict=True)]
            if any(cell.text or cell.problem for cell in found):
                yield line, found
    except TableError:
        raise
    except _BROKEN as error:
        raise _damaged(what, error) from error


def _cell(cell: Any, source: Any) -> _Cell:
    """Return a cell as text.

    Args:
        cell: the cell with the value that is stored.
        source: the same cell with its formula, if it has one.
    """
    value = cell.value
    if value is None:
        if source.data_type == "f":
            return _Cell("", "a formula has no stored value; open the workbook and save it again")
        return _Cell("")
    if cell.data_type == "e":
        return _Cell("", f"a cell holds the error {str(value)[:20]}; mend its formula")
    if isinstance(value, bool):
        return _Cell("true" if value else "false")
    if isinstance(value, int | float):
        return _number(value, str(cell.number_format))
    if isinstance(value, datetime) and value.time() == time():
        return _Cell(value.date().isoformat())
    if isinstance(value, date | time):
        return _Cell(value.isoformat().replace("T", " "))
    text = " ".join(str(value).split())
    if len(text) > LONGEST_CELL:
        return _Cell("", f"a cell has {len(text):,} characters (at most {LONGEST_CELL:,})")
    return _Cell(text)


def _number(value: float, number_format: str) -> _Cell:
    """Return a number as the cell shows it where the format only adds zeros in front, as in 007."""
    if value != int(value):
        return _Cell(repr(float(value)))
    digits = str(abs(int(value)))
    if len(digits) > _EXACT_DIGITS:
        return _Cell(
            "",
            f"a number has {len(digits)} digits, of which workbooks keep {_EXACT_DIGITS}; "
            "write it as text",
        )
    if re.fullmatch("0+", number_format):
        digits = digits.zfill(len(number_format))
    return _Cell(f"-{digits}" if value < 0 else digits)


def _damaged(what: str, error: Exception) -> TableError:
    return TableError(f"{what} is a damaged workbook ({type(error).__name__}); {_SAVE}")
