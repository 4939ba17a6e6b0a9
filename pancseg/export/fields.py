"""Owns a table's columns: every name, with what the codebook says about it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pancseg import columns
from pancseg.columns import Type
from pancseg.features import codebook
from pancseg.features.names import column_names
from pancseg.settings import FeatureSettings

Value = float | str
Row = Mapping[str, Value]
"""One row's values under their original names; a missing value has no entry, or is NaN or empty."""

_LISTED = {column.name: column for column in columns.IDS + columns.QUALITY + columns.HASHES}


class Field(NamedTuple):
    """One column of a table: a row of ``codebook.csv``, in its order.

    Attributes:
        name: as in the table.
        original_name: pyradiomics's, for features.
        type: ``string``, ``integer`` or ``number``.
        unit: of the values, or ``none``.
        family: ``id``, ``quality``, ``provenance``, ``other``, or the feature class.
        filter: as the following, see :class:`pancseg.features.codebook.Meaning`.
        filter_parameters: of the filter.
        binning: how intensities became grey levels.
        mode: ``ibsi`` or ``pyradiomics``.
        ibsi_code: four characters.
        ibsi_name: the reference manual's.
        ibsi_status: ``reference-verified here``, ``IBSI`` or ``not IBSI``; empty for no feature.
        description: one line; for features what differs from IBSI's definition, if anything.
    """

    name: str
    original_name: str
    type: Type
    unit: str
    family: str
    filter: str = ""
    filter_parameters: str = ""
    binning: str = ""
    mode: str = ""
    ibsi_code: str = ""
    ibsi_name: str = ""
    ibsi_status: str = ""
    description: str = ""


def fields_of(
    rows: Sequence[Row],
    expected: Iterable[str],
    settings: FeatureSettings | None,
    naming: str = "safe",
) -> list[Field]:
    """Return a table's columns in their order: ids, ``qc_*``, hashes, features.

    Args:
        rows: the values.
        expected: columns that are there even when no row has a value in them.
        settings: what features were computed with; None in a table without features.
        naming: see :func:`pancseg.features.names.column_names`.

    Raises:
        ValueError: two columns would get one name.
    """
    found = dict.fromkeys([*(name for row in rows for name in row), *expected])
    originals = columns.in_order(list(found))
    names = column_names(originals, naming)
    return [_field(names[original], original, rows, settings) for original in originals]


def is_missing(value: Value | None) -> bool:
    """Return whether a cell is left empty."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _field(
    name: str, original: str, rows: Sequence[Row], settings: FeatureSettings | None
) -> Field:
    if column := _LISTED.get(original):
        unit, family = column.unit, column.family
        return Field(name, original, column.type, unit, family, description=column.description)
    if settings and (meaning := codebook.meaning_of(original, settings)):
        return Field(name, original, "number", *meaning)
    family = "quality" if original.startswith("qc_") else "other"
    return Field(name, original, _type_of(original, rows), "none", family)


def _type_of(original: str, rows: Sequence[Row]) -> Type:
    """Return the type of a column that nothing describes, from its values."""
    values = [row[original] for row in rows if not is_missing(row.get(original))]
    if not values or any(isinstance(value, str) for value in values):
        return "string"
    return "integer" if all(isinstance(value, int) for value in values) else "number"
