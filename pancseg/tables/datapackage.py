"""Describe a table and its codebook as a Frictionless Data Package, ``datapackage.json``.

https://specs.frictionlessdata.io (version 1). The description has no time stamp.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pancseg.tables.fields import Field
from pancseg.tables.format import TableFormat
from pancseg.tables.rows_to_file import WrittenTable

Json = dict[str, Any]


def datapackage(
    table: tuple[str, WrittenTable | None],
    codebook: tuple[str, WrittenTable],
    fields: Sequence[Field],
    style: TableFormat,
) -> bytes:
    """Return the description of a table and its codebook.

    Args:
        table: file name, and size and hash of a CSV.
        codebook: file name, size and hash.
        fields: the table's columns.
        style: how the table was written; the codebook is a CSV of the same dialect.
    """
    columns = [{"name": name, "type": "string"} for name in Field._fields]
    described = {"fields": columns, "missingValues": [""], "primaryKey": ["name"]}
    package = {
        "profile": "data-package" if style.kind == "parquet" else "tabular-data-package",
        "name": "pancseg-features",
        "title": "Radiomics features; one row per patient, scan and region",
        "resources": [
            _resource("features", table, style, _schema(fields, style)),
            _resource("codebook", codebook, replace(style, kind="csv"), described),
        ],
    }
    return (json.dumps(package, indent=1, ensure_ascii=False) + "\n").encode()


def _schema(fields: Sequence[Field], style: TableFormat) -> Json:
    return {
        "fields": [_described(field, style) for field in fields],
        "missingValues": [""],
        "primaryKey": ["patient_id", "scan_id", "roi"],
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
