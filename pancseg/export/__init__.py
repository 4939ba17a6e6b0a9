"""A table → files: the table itself, ``codebook.csv``, ``datapackage.json``, and notes beside them.

Knows nothing about networks or how values were computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pancseg.export.datapackage import datapackage
from pancseg.export.fields import Field, Row, fields_of
from pancseg.export.table_format import TableFormat
from pancseg.export.tabular import codebook_bytes, table_bytes
from pancseg.export.whole_files import write_whole

__all__ = ["Field", "Row", "TableFormat", "fields_of", "table_bytes", "write_table", "write_whole"]


def write_table(
    path: Path,
    fields: Sequence[Field],
    rows: Sequence[Row],
    style: TableFormat,
    beside: Mapping[str, bytes],
) -> None:
    """Write a table with its codebook and its description; all files or none.

    Args:
        path: of the table; the other files lie beside it.
        fields: the columns.
        rows: the values, under original names.
        style: how the table is written.
        beside: further files, name → content. The table is written last: where it is, all is.

    Raises:
        OSError: something cannot be written.
    """
    table = path.name, table_bytes(fields, rows, style)
    codebook = "codebook.csv", codebook_bytes(fields, style)
    description = "datapackage.json", datapackage(table, codebook, fields, style)
    files = dict([*beside.items(), codebook, description, table])
    write_whole({path.with_name(name): content for name, content in files.items()})
