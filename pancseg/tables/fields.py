"""List a table's columns: every name, with its description for the codebook."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pancseg.features import codebook
from pancseg.features.settings import FeatureSettings
from pancseg.quality.limits import QualityLimits
from pancseg.tables import columns
from pancseg.tables.columns import Type
from pancseg.tables.names import column_names

Value = float | str
Row = Mapping[str, Value]
"""One row's values under their original names; a missing value has no entry, or is NaN or empty."""
Rows = Iterable[Row]
"""Rows that can be iterated repeatedly, each time from the first: a list, or an object that reads
them one at a time. They are never all held in memory here."""

_TYPES: tuple[Type, ...] = ("integer", "number", "string")
"""Each can represent the values of those before it."""

_LISTED = {column.name: column for column in columns.IDS + columns.QUALITY + columns.HASHES}

_CARRIED = (
    "as in the manifest, and used for nothing; a ' stands before text that a spreadsheet would run"
)


class Field(NamedTuple):
    """One column of a table: a row of ``codebook.csv``, in its order.

    Attributes:
        name: name in the table.
        original_name: name before it was made safe; pyradiomics's, for features.
        type: ``string``, ``integer`` or ``number``.
        unit: unit of the values, or ``none``.
        family: ``id``, ``manifest``, ``quality``, ``provenance``, ``other``, or the feature class.
        filter: this and the next six: see :class:`pancseg.features.codebook.ColumnMeaning`.
        filter_parameters: such as ``sigma 1.0 mm``.
        binning: how intensities became grey levels.
        mode: ``ibsi`` or ``pyradiomics``.
        ibsi_code: IBSI's code of four characters.
        ibsi_name: name in IBSI's reference manual.
        ibsi_status: ``reference-verified here``, ``IBSI`` or ``not IBSI``; empty if not a feature.
        description: one line; for features also the difference from IBSI's definition, if any.
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
    rows: Rows,
    expected: Iterable[str],
    settings: FeatureSettings | None,
    naming: str = "safe",
) -> list[Field]:
    """Return a table's columns in order: ids, the manifest's, ``qc_*``, hashes, features.

    Args:
        rows: the values, iterated once.
        expected: columns that come first, and are present even if no row has a value in them.
        settings: the settings that features were computed with; None in a table without features.
        naming: see :func:`pancseg.tables.names.column_names`.

    Raises:
        ValueError: two columns would get the same name.
        TypeError: the rows can be iterated only once, so none would be left to write.
    """
    if isinstance(rows, Iterator):
        raise TypeError("rows can be iterated only once; give a list, or a class with __iter__")
    found = _types_of(rows, settings)
    originals = columns.in_order(list(dict.fromkeys([*expected, *found])))
    names = column_names(originals, naming)
    return [
        _described(names[original], original, settings)
        or _other(names[original], original, found.get(original) or "string")
        for original in originals
    ]


def is_missing(value: Value | None) -> bool:
    """Return whether a value is missing, and its cell stays empty.

    >>> is_missing(float("nan")), is_missing(0.0)
    (True, False)
    """
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _described(name: str, original: str, settings: FeatureSettings | None) -> Field | None:
    """Return the description of a listed column or a feature; None for any other."""
    if column := _LISTED.get(original):
        unit, family = column.unit, column.family
        limits = settings.quality if settings else QualityLimits()
        description = column.description.format(**dict(limits))
        return Field(name, original, column.type, unit, family, description=description)
    if columns.is_extra(original):
        return Field(name, original, "string", "none", "manifest", description=_CARRIED)
    if settings and (meaning := codebook.meaning_of(original, settings)):
        described = meaning._replace(note=codebook.in_words(original, meaning))
        return Field(name, original, "number", *described)
    return None


def _other(name: str, original: str, kind: Type) -> Field:
    family = "quality" if original.startswith("qc_") else "other"
    return Field(name, original, kind, "none", family)


def _types_of(rows: Rows, settings: FeatureSettings | None) -> dict[str, Type | None]:
    """Return all columns in order of appearance, with types from their values where needed.

    A column without any value, or with a known description, has None.
    """
    found: dict[str, Type | None] = {}
    undescribed: list[str] = []
    for row in rows:
        if not row.keys() <= found.keys():
            new = [name for name in row if name not in found]
            undescribed += [name for name in new if not _described(name, name, settings)]
            found.update(dict.fromkeys(new))
        for name in undescribed:
            if not is_missing(value := row.get(name)):
                found[name] = max(found[name] or _TYPES[0], _type_of(value), key=_TYPES.index)
    return found


def _type_of(value: Value | None) -> Type:
    if isinstance(value, str):
        return "string"
    return "integer" if isinstance(value, int) else "number"
