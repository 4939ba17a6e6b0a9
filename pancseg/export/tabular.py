"""Owns the bytes of a table: CSV that statistics programs and Excel read, or Parquet.

The same rows always give the same bytes. Knows nothing about folders.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from pancseg.export.fields import Field, Row, Value, is_missing
from pancseg.export.table_format import TableFormat

BYTE_ORDER_MARK = "\ufeff"


def table_bytes(fields: Sequence[Field], rows: Sequence[Row], style: TableFormat) -> bytes:
    """Return a table as a file's content."""
    if style.kind == "parquet":
        return _parquet(fields, rows)
    cells = ([row.get(field.original_name) for field in fields] for row in rows)
    return csv_bytes([field.name for field in fields], cells, style)


def codebook_bytes(fields: Sequence[Field], style: TableFormat) -> bytes:
    """Return ``codebook.csv``: one row per column, for the same program as the table."""
    return csv_bytes(Field._fields, fields, style)


def csv_bytes(
    header: Sequence[str], rows: Iterable[Iterable[Value | None]], style: TableFormat
) -> bytes:
    r"""Return UTF-8 text with ``\n`` at the ends of lines; missing values are empty cells."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=style.delimiter, lineterminator="\n")
    writer.writerow(header)
    decimal = "," if style.decimal_comma else "."
    writer.writerows([cell(value, decimal) for value in row] for row in rows)
    return ((BYTE_ORDER_MARK if style.excel else "") + text.getvalue()).encode()


def cell(value: Value | None, decimal: str = ".") -> str:
    """Return a value as text: numbers with the digits that it takes to read the same bits again.

    That is up to 17 significant digits.

    >>> cell(0.1), cell(1 / 3, ","), cell(float("nan"))
    ('0.1', '0,3333333333333333', '')
    """
    if value is None or is_missing(value):
        return ""
    if isinstance(value, float):
        return repr(float(value)).replace(".", decimal)
    return str(value)


def _parquet(fields: Sequence[Field], rows: Sequence[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, Any] = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    schema = pa.schema([(field.name, kinds[field.type]) for field in fields])
    found = (
        [None if is_missing(value := row.get(field.original_name)) else value for row in rows]
        for field in fields
    )
    arrays = [pa.array(values, kind.type) for values, kind in zip(found, schema, strict=True)]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), buffer)
    return buffer.getvalue()
