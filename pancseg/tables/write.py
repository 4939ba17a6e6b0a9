"""Write a table with ``codebook.csv``, ``datapackage.json`` and further files: all or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pancseg.system.whole_files import whole_files
from pancseg.tables.datapackage import datapackage
from pancseg.tables.fields import Field, Rows
from pancseg.tables.format import TableFormat
from pancseg.tables.rows_to_file import write_codebook, write_rows

_CODEBOOK, _DESCRIPTION = "codebook.csv", "datapackage.json"


def write_table(
    path: Path,
    fields: Sequence[Field],
    rows: Rows,
    style: TableFormat,
    beside: Mapping[str, bytes],
) -> None:
    """Write a table with its codebook and its description; all files or none.

    Args:
        path: the table's file; the other files are written beside it.
        fields: the columns.
        rows: the values by original names; iterated once.
        style: how the table is written.
        beside: further files, name → content. The table appears last: if it exists, all files do.

    Raises:
        OSError: something cannot be written.
    """
    names = [*beside, _CODEBOOK, _DESCRIPTION, path.name]
    with whole_files(map(path.with_name, names)) as partial:
        partial_of = {own.name: temporary for own, temporary in partial.items()}
        with partial_of[path.name].open("wb") as file:
            table = write_rows(file, fields, rows, style)
        with partial_of[_CODEBOOK].open("wb") as file:
            codebook = write_codebook(file, fields, style)
        description = datapackage((path.name, table), (_CODEBOOK, codebook), fields, style)
        for name, content in {**beside, _DESCRIPTION: description}.items():
            partial_of[name].write_bytes(content)
