"""What the cells of a column of text mean: numbers, decimal marks, missing values, classes."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pancseg.errors import TableError
from pancseg.system.regular_files import open_regular
from pancseg.system.text_table import TextTable, read_text_table

MISSING = frozenset(
    {"", "na", "n/a", "nan", "null", "none", ".", "-", "?", "#n/a", "unknown", "missing"}
)
"""Cells (in lower case) that mean a missing value in a column of numbers."""
MISSING_CLASS = MISSING - {"none", "-"}
"""The same in a column of classes, where "none" is a class and "-" may be one."""
_DOT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_MAY_BE_THOUSANDS = "comma_may_separate_thousands"
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_DOT_MAY_BE_THOUSANDS = "dot_may_separate_thousands"
_DOT_DECIMAL = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_DOT_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")


_MOST_ROWS, _MOST_COLUMNS, _MOST_CELLS = 1_000_000, 20_000, 25_000_000
"""Largest table: 10,000 patients with 2,500 features take about 2 GB as text."""
_MOST_BYTES = 1 << 29
_MOST_PARQUET_BYTES, _ROWS_AT_ONCE = 1 << 32, 1024
"""Parquet: values as Arrow holds them, which compression makes much larger than the file."""


def read_table(path: Path, what: str) -> pd.DataFrame:
    """Return all cells as stripped text, missing ones as ``""``.

    Args:
        path: Parquet (``.parquet``, ``.pq``), or a CSV that
            :func:`pancseg.system.text_table.read_text_table` reads.
        what: what messages call the file.

    Raises:
        ValueError: the file cannot be read or is not a table, it is larger than the largest table,
            a column name occurs twice, a row is longer than the header, or a cell has several
            lines.
    """
    try:
        return _read(path, what)
    except OSError as error:
        # Arrow's own message would name the path.
        why = os.strerror(error.errno) if error.errno else "damaged?"
        raise ValueError(f"{what} cannot be read: {why}") from error


def _read(path: Path, what: str) -> pd.DataFrame:
    if path.suffix.lower() in (".parquet", ".pq"):
        _check_regular(path, what)
        return _from_parquet(path, what)
    return _from_csv(read_text_table(path, what, _MOST_BYTES), what)


def _check_regular(path: Path, what: str) -> None:
    try:
        open_regular(path).close()
    except OSError as error:
        raise ValueError(f"{what} cannot be read: {error.strerror}") from error


def numbers(cells: pd.Series[str], what: str) -> pd.Series[float]:
    """Return a column of text as numbers, NaN where missing; a decimal comma is understood.

    Args:
        cells: as read.
        what: what messages call the column.

    Raises:
        ValueError: text that is not a number, both ``.`` and ``,`` used as decimal marks, or a mark
            that may separate thousands. Such a mark is that of 1,234 where commas or tabs separate
            cells, and that of 1.234 beside whole numbers where semicolons do and no cell of the
            file has a dot that can only be a decimal mark.
    """
    present = cells[~is_missing(cells)]
    with_comma = present.map(lambda cell: bool(_COMMA.fullmatch(cell)))
    thousands = present[with_comma].map(lambda cell: bool(_THOUSANDS.fullmatch(cell)))
    if len(thousands) and thousands.all() and cells.attrs.get(_MAY_BE_THOUSANDS):
        raise ValueError(
            f"{what}: in {shown(present[with_comma], 1)} the comma may be a decimal mark or "
            "separate thousands; write 1234 or 1.234"
        )
    dotted = present[present.str.contains(".", regex=False)]
    alike = dotted.map(lambda cell: bool(_DOT_THOUSANDS.fullmatch(cell)))
    beside_whole = 0 < len(dotted) < len(present) and not with_comma.any()
    if beside_whole and alike.all() and cells.attrs.get(_DOT_MAY_BE_THOUSANDS):
        raise ValueError(
            f"{what}: in {shown(dotted, 1)}, beside whole numbers, the dot may be a decimal mark "
            "or separate thousands; write 1234 or 1,234"
        )
    if with_comma.any() and present.str.contains(".", regex=False).any():
        raise ValueError(f"{what}: both 1.5 and 1,5 are used; use one decimal mark")
    plain = present.str.replace(",", ".", regex=False).where(with_comma, present)
    bad = plain[~plain.map(lambda cell: bool(_DOT.fullmatch(cell)))]
    if len(bad):
        raise ValueError(
            f"{what}: {len(bad)} of {len(present)} values are text, such as {shown(bad)}; "
            "correct or empty those cells, or leave the column out"
        )
    found = pd.Series(np.nan, index=cells.index, dtype=float)
    found[plain.index] = plain.astype(float)
    return found


def is_missing(cells: pd.Series[str], texts: frozenset[str] = MISSING) -> pd.Series[bool]:
    """Return whether each cell means a missing value."""
    return cells.str.casefold().isin(texts)


def is_missing_class(cells: pd.Series[str], known: Sequence[str] = ()) -> pd.Series[bool]:
    """Return whether each cell means a missing class.

    "-" is a class only beside exactly one other class, such as "+"; otherwise it is missing.

    Args:
        cells: as read.
        known: texts that are classes in any case.
    """
    missing = is_missing(cells, MISSING_CLASS) & ~cells.isin(known)
    others = set(cells[~missing]) - {"-"}
    if "-" not in known and (known or len(others) != 1):
        missing |= cells == "-"
    return missing


def all_numbers(cells: pd.Series[str]) -> bool:
    """Return whether every value that is not missing can be read as a number, in any notation."""
    present = cells[~is_missing(cells)]
    return all(_DOT.fullmatch(cell) or _COMMA.fullmatch(cell) for cell in present)


def share_of_text(cells: pd.Series[str]) -> float:
    """Return the share of the values, missing ones aside, that cannot be read as a number."""
    present = cells[~is_missing(cells)]
    texts = [not (_DOT.fullmatch(cell) or _COMMA.fullmatch(cell)) for cell in present]
    return sum(texts) / len(texts) if texts else 0.0


def refuse_two_spellings(texts: Iterable[str], what: str) -> None:
    """Refuse texts that differ in case only, such as yes and Yes.

    Raises:
        ValueError: names the first two.
    """
    known: dict[str, str] = {}
    for name in texts:
        if (first := known.setdefault(name.casefold(), name)) != name:
            raise ValueError(
                f"{what}: {first!r} and {name!r} differ in case only; use one spelling"
            )


def shown(values: pd.Series[str], most: int = 6) -> str:
    """Return the different values as text for a message, most frequent first."""
    counts = Counter(values)
    text = ", ".join(repr(value[:30]) for value, _ in counts.most_common(most))
    return text + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _from_parquet(path: Path, what: str) -> pd.DataFrame:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError(f"{what}: Parquet needs pyarrow: pip install 'pancseg[parquet]'") from None
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_header(names, what)
            _check_size(file.metadata.num_rows, len(names), what)
            groups = range(file.metadata.num_row_groups)
            _check_bytes(sum(file.metadata.row_group(n).total_byte_size for n in groups), what)
            cells: list[list[str]] = [[] for _ in names]
            length = 0
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                length += batch.nbytes
                _check_bytes(length, what)
                for column, values in zip(cells, batch.columns, strict=True):
                    column += _column_as_text(values)
    except TableError:
        raise
    except (ValueError, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(f"{what} is not a readable Parquet file; write it again") from None
    return pd.DataFrame(dict(zip(names, cells, strict=True)))


def _check_size(rows: int, columns: int, what: str) -> None:
    """Refuse a table that would take more memory than any cohort needs."""
    if rows > _MOST_ROWS or columns > _MOST_COLUMNS or rows * columns > _MOST_CELLS:
        raise TableError(
            f"{what} has {rows} rows and {columns} columns (at most {_MOST_ROWS} rows, "
            f"{_MOST_COLUMNS} columns and {_MOST_CELLS} cells); leave some out, or split it"
        )


def _check_bytes(length: int, what: str) -> None:
    if length > _MOST_PARQUET_BYTES:
        raise TableError(
            f"{what} takes more than {_MOST_PARQUET_BYTES >> 30} GiB of memory; leave some columns "
            "out, or split it"
        )


def _column_as_text(values: Any) -> list[str]:
    """Return an Arrow array as text; texts that it repeats are not copied."""
    if not hasattr(values, "dictionary"):
        return _as_text(values.to_pylist())
    known = _as_text(values.dictionary.to_pylist())
    return ["" if index is None else known[index] for index in values.indices.to_pylist()]


def _as_text(values: list[object]) -> list[str]:
    return ["" if v is None or v != v else str(v).strip() for v in values]


def _from_csv(read: TextTable, what: str) -> pd.DataFrame:
    if not read.columns:
        raise ValueError(f"{what} is empty; a header and a row per patient are needed")
    header = [name or f"unnamed_{place}" for place, name in enumerate(read.columns, start=1)]
    _check_header(header, what)
    cells: list[list[str]] = []
    for row in read.rows():
        _check_size(len(cells) + 1, len(header), what)
        if row.problems:
            raise ValueError(f"{what}: line {row.line}: {row.problems[0]}")
        cells.append(row.cells)
    table = pd.DataFrame(cells, columns=header, dtype=str)
    decimal_comma = read.separator == ";"
    table.attrs[_MAY_BE_THOUSANDS] = not decimal_comma
    table.attrs[_DOT_MAY_BE_THOUSANDS] = decimal_comma and not any(
        _DOT_DECIMAL.fullmatch(cell) and not _DOT_THOUSANDS.fullmatch(cell)
        for row in cells
        for cell in row
    )
    return table


def _check_header(header: list[str], what: str) -> None:
    _check_size(0, len(header), what)
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise TableError(
            f"{what}: the column name {twice[0]!r} occurs twice; rename one of the columns"
        )
