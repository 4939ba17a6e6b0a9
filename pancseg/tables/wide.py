"""Put the regions of a scan side by side: a table of one row per patient and scan.

A column of the long table becomes ``<region>__<column>`` for each region. Ids and the hash of the
settings, which the regions share, are there once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pancseg.cohort.case import name_key
from pancseg.tables.fields import Field, Rows

ONCE = ("patient_id", "scan_id", "settings_sha256")
"""Columns that all regions of a scan share, by their original names."""
REGION = "roi"
"""The column that is replaced by the names of the others."""
BETWEEN = "__"
"""Between region and column; neither contains it."""
_LONGEST_TAG, _LONGEST_NAME, _DIGITS = 20, 64, 6
"""Longest beginning and name, in letters; SPSS cuts names after 64."""


class WideColumn(NamedTuple):
    """A column of the wide table.

    Attributes:
        field: the column; its ``original_name`` is its key in the rows.
        region: name of the region; empty if all share the column.
        of: the column of the long table.
    """

    field: Field
    region: str
    of: Field


class WideTable(NamedTuple):
    """A wide table: its columns, and its rows by the columns' keys."""

    columns: Sequence[WideColumn]
    rows: Rows

    @property
    def fields(self) -> list[Field]:
        """The columns, as for any table."""
        return [column.field for column in self.columns]


def region_tags(regions: Iterable[str]) -> dict[str, str]:
    """Return key of a region → the beginning of its columns' names, one to one.

    It consists of letters, digits and single ``_``, begins with a letter and has 20 characters at
    most; regions that would get the same are numbered.

    >>> list(region_tags(["tumour", "Ring 5 mm", "ring-5-mm", "5 mm"]).values())
    ['tumour', 'Ring_5_mm', 'ring_5_mm_2', 'x5_mm']
    """
    tags: dict[str, str] = {}
    taken: set[str] = set()
    for region in regions:
        if (key := name_key(region)) in tags:
            continue
        words = "_".join(re.findall(r"[A-Za-z0-9]+", region)) or "region"
        first = (words if words[0].isalpha() else f"x{words}")[:_LONGEST_TAG].rstrip("_")
        tag, number = first, 1
        while tag.casefold() in taken:  # SPSS and Parquet readers do not tell a from A
            number += 1
            end = f"_{number}"
            tag = f"{first[: _LONGEST_TAG - len(end)].rstrip('_')}{end}"
        taken.add(tag.casefold())
        tags[key] = tag
    return tags


def key_of(tag: str, original_name: str) -> str:
    """Return the key of a region's column in the rows of a wide table."""
    return f"{tag}{BETWEEN}{original_name}"


def wide_columns(
    fields: Sequence[Field],
    regions: Sequence[str],
    *,
    shorten: bool,
    once: Sequence[str] = ONCE,
) -> list[WideColumn]:
    """Return the columns of a wide table: those that all share, then all others of each region.

    Args:
        fields: columns of the long table.
        regions: the regions, in order; of two that differ in capitals alone the first counts.
        shorten: end names of more than 64 characters, which SPSS would cut, with six digits of
            their hash instead.
        once: original names of the columns that all regions of a scan share.
    """
    tags = region_tags(regions)
    spelt = {name_key(region): region for region in reversed(regions)}
    columns = [WideColumn(field, "", field) for field in fields if field.original_name in once]
    others = [field for field in fields if field.original_name not in (*once, REGION)]
    for key, tag in tags.items():
        for field in others:
            name = f"{tag}{BETWEEN}{field.name}"
            described = field._replace(
                name=_shortened(name) if shorten else name,
                original_name=key_of(tag, field.original_name),
                description=f"{spelt[key]}: {field.description or field.original_name}",
            )
            columns.append(WideColumn(described, spelt[key], field))
    return columns


def codebook_of(columns: Sequence[WideColumn]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the codebook: that of the long table, with region and column."""
    header = ["name", "region", "column", *Field._fields[1:]]
    rows = [
        [column.field.name, column.region, column.of.name, column.of.original_name,
         *column.field[2:]]
        for column in columns
    ]  # fmt: skip
    return header, rows


def _shortened(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
    return f"{name[: _LONGEST_NAME - _DIGITS - 1]}_{digest}"
