"""Choose the format of a table: file type, column names, and adjustments for Excel."""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib.util import find_spec

from pancseg.tables.names import NAMINGS

KINDS = ("csv", "parquet")


@dataclass(frozen=True)
class TableFormat:
    """The format in which a feature table is written.

    Attributes:
        kind: ``csv`` or ``parquet`` (needs pyarrow).
        names: ``safe``, or ``pyradiomics`` for the original feature names.
        excel: begin with a byte order mark, from which Excel recognises UTF-8.
        decimal_comma: ``,`` in numbers and ``;`` between cells, as Excel expects them in countries
            with a decimal comma.
        wide: write another table beside it, ``features_wide``, with one row per patient and scan
            and the regions side by side.

    Raises:
        ValueError: a choice is unknown or does not apply to Parquet, or pyarrow is missing.

    Example:
        >>> from pancseg import TableFormat
        >>> TableFormat(decimal_comma=True).delimiter
        ';'
    """

    kind: str = "csv"
    names: str = "safe"
    excel: bool = False
    decimal_comma: bool = False
    wide: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown `kind` {self.kind!r}; known: {', '.join(KINDS)}")
        if self.names not in NAMINGS:
            raise ValueError(f"unknown `names` {self.names!r}; known: {', '.join(NAMINGS)}")
        if self.kind == "parquet" and (self.excel or self.decimal_comma):
            raise ValueError("`excel` and `decimal_comma` are for CSV; leave them out for Parquet")
        if self.kind == "parquet" and find_spec("pyarrow") is None:
            raise ValueError("`kind` parquet needs pyarrow; run pip install 'pancseg[parquet]'")

    @property
    def chosen(self) -> dict[str, str | bool]:
        """The parameters that differ from their defaults, with their values."""
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if getattr(self, f.name) != f.default
        }

    @property
    def delimiter(self) -> str:
        """The character between cells."""
        return ";" if self.decimal_comma else ","
