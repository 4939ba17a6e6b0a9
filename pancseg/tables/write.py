"""Write a table with ``codebook.csv``, ``datapackage.json`` and further files: all or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pancseg.system.whole_files import whole_files
from pancseg.tables.datapackage import DescribedWide, datapackage
from pancseg.tables.fields import Field, Rows
from pancseg.tables.format import KINDS, TableFormat
from pancseg.tables.rows_to_file import write_codebook, write_csv, write_rows
from pancseg.tables.value_labels import value_labels
from pancseg.tables.wide import WideTable, codebook_of

_CODEBOOK, _DESCRIPTION, _LABELS = "codebook.csv", "datapackage.json", "value_labels.tsv"
_WIDE_CODEBOOK = "codebook_wide.csv"


def write_table(
    path: Path,
    fields: Sequence[Field],
    rows: Rows,
    style: TableFormat,
    beside: Mapping[str, bytes],
    wide: WideTable | None = None,
) -> None:
    """Write a table with its codebook, description and value labels; all files or none.

    What earlier tables of another format have left is removed.

    Args:
        path: the table's file; the other files are written beside it.
        fields: the columns.
        rows: the values by original names; iterated once.
        style: how the table is written.
        beside: further files, name → content. The table appears last: if it exists, all files do.
        wide: the same with the regions side by side, for ``<table>_wide``, with a codebook of its
            own.

    Raises:
        OSError: something cannot be written.
    """
    named = [(field.name, field.original_name) for field in fields]
    names = [*beside, _CODEBOOK, _DESCRIPTION, _LABELS]
    if wide:
        named += [(one.field.name, one.of.original_name) for one in wide.columns if one.region]
        names += [_WIDE_CODEBOOK, _wide(path).name]
    with whole_files(path.with_name(name) for name in [*names, path.name]) as partial:
        partial_of = {own.name: temporary for own, temporary in partial.items()}
        with partial_of[path.name].open("wb") as file:
            table = write_rows(file, fields, rows, style)
        with partial_of[_CODEBOOK].open("wb") as file:
            codebook = write_codebook(file, fields, style)
        described = _write_wide(wide, _wide(path).name, partial_of, style) if wide else None
        description = datapackage(
            (path.name, table), (_CODEBOOK, codebook), fields, style, described
        )
        texts = {**beside, _DESCRIPTION: description, _LABELS: value_labels(named)}
        for name, content in texts.items():
            partial_of[name].write_bytes(content)
    _remove_earlier(path, wide=wide is not None)


def _wide(path: Path) -> Path:
    return path.with_stem(f"{path.stem}_wide")


def _write_wide(
    wide: WideTable, name: str, partial_of: Mapping[str, Path], style: TableFormat
) -> DescribedWide:
    fields = wide.fields
    with partial_of[name].open("wb") as file:
        table = write_rows(file, fields, wide.rows, style)
    header, rows = codebook_of(wide.columns)
    with partial_of[_WIDE_CODEBOOK].open("wb") as file:
        codebook = write_csv(file, header, rows, style)
    return DescribedWide((name, table), (_WIDE_CODEBOOK, codebook), fields, header)


def _remove_earlier(path: Path, *, wide: bool) -> None:
    """Remove tables that codebook and provenance do not belong to any more."""
    for kind in KINDS:
        other = path.with_suffix(f".{kind}")
        if other != path:
            other.unlink(missing_ok=True)
        if other != path or not wide:
            _wide(other).unlink(missing_ok=True)
    if not wide:
        path.with_name(_WIDE_CODEBOOK).unlink(missing_ok=True)
