"""Describe a table and its codebook as a Frictionless Data Package, ``datapackage.json``.

https://specs.frictionlessdata.io (version 1). The description has no time stamp.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pancseg.tables.fields import Field
from pancseg.tables.format import TableFormat
from pancseg.tables.rows_to_file import WrittenTable

Json = dict[str, Any]
_KEY = ("patient_id", "scan_id", "roi")


class DescribedWide(NamedTuple):
    """A table with the regions side by side, and its codebook.

    Attributes:
        table: file name, and size and hash of a CSV.
        codebook: file name, size and hash.
        fields: the table's columns.
        codebook_header: the codebook's columns.
    """

    table: tuple[str, WrittenTable | None]
    codebook: tuple[str, WrittenTable]
    fields: Sequence[Field]
    codebook_header: Sequence[str]


def datapackage(
    table: tuple[str, WrittenTable | None],
    codebook: tuple[str, WrittenTable],
    fields: Sequence[Field],
    style: TableFormat,
    wide: DescribedWide | None = None,
) -> bytes:
    """Return the description of a table and its codebook.

    Args:
        table: file name, and size and hash of a CSV.
        codebook: file name, size and hash.
        fields: the table's columns.
        style: how the table was written; the codebook is a CSV of the same dialect.
        wide: the same of the table with the regions side by side, if there is one.
    """
    csv = replace(style, kind="csv")
    resources = [
        _resource("features", table, style, _schema(fields, style, _KEY)),
        _resource("codebook", codebook, csv, _of_codebook(Field._fields)),
    ]
    if wide:
        schema = _schema(wide.fields, style, _KEY[:2])
        resources += [
            _resource("features_wide", wide.table, style, schema),
            _resource("codebook_wide", wide.codebook, csv, _of_codebook(wide.codebook_header)),
        ]
    package = {
        "profile": "data-package" if style.kind == "parquet" else "tabular-data-package",
        "name": "pancseg-features",
        "title": "Radiomics features; one row per patient, scan and region",
        "resources": resources,
    }
    return (json.dumps(package, indent=1, ensure_ascii=False) + "\n").encode()


def _of_codebook(header: Sequence[str]) -> Json:
    columns = [{"name": name, "type": "string"} for name in header]
    return {"fields": columns, "missingValues": [""], "primaryKey": ["name"]}


def _schema(fields: Sequence[Field], style: TableFormat, key: Sequence[str]) -> Json:
    return {
        "fields": [_described(field, style) for field in fields],
        "missingValues": [""],
        "primaryKey": list(key),
    }


def _described(field: Field, style: TableFormat) -> Json:
    """Describe one column; properties other than name, type and title are not Frictionless's."""
    known: Json = {"name": field.name, "type": field.type, "title": field.original_name}
    if field.type == "number" and style.decimal_comma:
        known["decimalChar"] = ","
    more = {key: value for key, value in field._asdict().items() if value and key not in known}
    return known | more


def _resource(
    name: str, file: tuple[str, WrittenTable | None], style: TableFormat, schema: Json
) -> Json:
    path, written = file
    found: Json = {
        "name": name,
        "path": path,
        "profile": "data-resource" if style.kind == "parquet" else "tabular-data-resource",
        "format": style.kind,
        "mediatype": "text/csv" if style.kind == "csv" else "application/vnd.apache.parquet",
    }
    if written:  # frictionless checks neither size nor hash of a Parquet file
        found["bytes"] = written.size_bytes
        found["hash"] = f"sha256:{written.sha256}"
        found["encoding"] = "utf-8"
        found["dialect"] = {"delimiter": style.delimiter, "lineTerminator": "\n", "header": True}
    return found | {"schema": schema}
