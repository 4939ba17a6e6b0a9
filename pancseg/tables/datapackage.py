"""Owns ``datapackage.json``: a table and its codebook described as a Frictionless Data Package.

https://specs.frictionlessdata.io (version 1). It holds no time stamp.
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
        table: file name, and of a CSV what was written.
        codebook: file name and what was written.
        fields: the table's columns.
        style: how the table was written; the codebook is a CSV of the same dialect.
    """
    words = [{"name": name, "type": "string"} for name in Field._fields]
    described = {"fields": words, "missingValues": [""], "primaryKey": ["name"]}
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
    """Return one column; beyond name, type and title these are properties of our own."""
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
    if written:  # of a parquet file frictionless sees neither size nor hash
        found["bytes"] = written.size_bytes
        found["hash"] = f"sha256:{written.sha256}"
        found["encoding"] = "utf-8"
        found["dialect"] = {"delimiter": style.delimiter, "lineTerminator": "\n", "header": True}
    return found | {"schema": schema}
