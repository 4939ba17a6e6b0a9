"""Write a table to a file: CSV for statistics programs and Excel, or Parquet.

The same rows always give the same bytes, and only a few of them are in memory at a time.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from pancseg.tables.fields import Field, Row, Rows, Value, is_missing
from pancseg.tables.format import TableFormat

BYTE_ORDER_MARK = "\ufeff"
ROWS_PER_GROUP = 1024
"""Rows of a Parquet file in memory at a time: 11 MB for 1,316 features. Each group of each column
also takes 1–2 kB until the file is finished, so smaller groups would take more, not less."""


class WrittenTable(NamedTuple):
    """Size and hash of a CSV file, known from writing it.

    Attributes:
        size_bytes: size of the whole file.
        sha256: hash of the whole file, hexadecimal.
    """

    size_bytes: int
    sha256: str


def table_bytes(fields: Sequence[Field], rows: Rows, style: TableFormat) -> bytes:
    """Return a small table as the content of a file."""
    content = io.BytesIO()
    write_rows(content, fields, rows, style)
    return content.getvalue()


def write_rows(
    file: BinaryIO, fields: Sequence[Field], rows: Rows, style: TableFormat
) -> WrittenTable | None:
    """Write a table in one pass over its rows; return size and hash of a CSV, None of Parquet."""
    if style.kind == "parquet":
        _write_parquet(file, fields, rows)
        return None
    names = [field.original_name for field in fields]
    cells = (map(row.get, names) for row in rows)
    return write_csv(file, [field.name for field in fields], cells, style)


def write_codebook(file: BinaryIO, fields: Sequence[Field], style: TableFormat) -> WrittenTable:
    """Write ``codebook.csv``: one row per column, for the same program as the table."""
    return write_csv(file, Field._fields, fields, style)


def cell(value: Value | None, decimal: str = ".") -> str:
    """Return a value as text: numbers with as many digits as it takes to read back the same bits.

    That is up to 17 significant digits.

    >>> cell(0.1), cell(1 / 3, ","), cell(float("nan"))
    ('0.1', '0,3333333333333333', '')
    """
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value)).replace(".", decimal)
    return "" if value is None else str(value)


def write_csv(
    file: BinaryIO,
    header: Sequence[str],
    rows: Iterable[Iterable[Value | None]],
    style: TableFormat,
) -> WrittenTable:
    r"""Write UTF-8 text with ``\n`` at the ends of lines; missing values are empty cells."""
    lines = _Lines(file)
    lines.add(BYTE_ORDER_MARK if style.excel else "")
    writer = csv.writer(lines, delimiter=style.delimiter, lineterminator=_Lines.END)
    writer.writerow(header)
    decimal = "," if style.decimal_comma else "."
    writer.writerows([cell(value, decimal) for value in row] for row in rows)
    return WrittenTable(lines.size_bytes, lines.digest.hexdigest())


class _Lines:
    """Writes a CSV writer's lines to a binary file, and keeps their total size and hash."""

    END = "\r\n"
    """Ending of the lines that the CSV writer passes on. It makes the writer quote cells with a
    bare carriage return, which programs take for the end of a row, in every version of Python."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size_bytes, self.digest = file, 0, hashlib.sha256()

    def write(self, line: str) -> None:
        r"""Write a line, ended by ``\n`` alone."""
        self.add(line.removesuffix(self.END) + "\n")

    def add(self, text: str) -> None:
        """Write text as UTF-8."""
        content = text.encode()
        self.size_bytes += len(content)
        self.digest.update(content)
        self._file.write(content)


def _write_parquet(file: BinaryIO, fields: Sequence[Field], rows: Rows) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, Any] = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    schema = pa.schema([(field.name, kinds[field.type]) for field in fields])
    walk = iter(rows)
    with pq.ParquetWriter(file, schema) as writer:
        while True:
            group = _by_column(fields, islice(walk, ROWS_PER_GROUP))
            if not len(group[0]):
                break
            found = zip(group, schema, strict=True)
            arrays = [pa.array(values, kind.type, from_pandas=True) for values, kind in found]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            del group, found, arrays  # free the memory before the next ones are made


def _by_column(fields: Sequence[Field], rows: Iterable[Row]) -> list[Any]:
    """Return each column's values; numbers as 8 bytes instead of objects of 32, NaN if missing."""
    found: list[Any] = [array("d") if field.type == "number" else [] for field in fields]
    columns = [
        (field.original_name, math.nan if field.type == "number" else None, column.append)
        for field, column in zip(fields, found, strict=True)
    ]
    for row in rows:
        for name, missing, append in columns:
            append(missing if is_missing(value := row.get(name)) else value)
    return found
