"""Compare features with IBSI's reference values: the number that agree, and those that do not."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pancseg.features.ibsi_codes import definitions

EXCESS = 3.0
"""pyradiomics's kurtosis of a normal distribution; IBSI's is 0."""
REFERENCES = 102
"""Number of IBSI's values, per configuration, that pyradiomics has a feature for (unfiltered)."""


class Reference(NamedTuple):
    """One of IBSI's reference values.

    Attributes:
        value: the consensus value.
        tolerance: largest accepted difference from it.
        rounding: half a unit of the last of the three digits to which the value is given.
    """

    value: float
    tolerance: float
    rounding: float


@dataclass(frozen=True)
class Agreement:
    """The agreement of one configuration with IBSI.

    Attributes:
        name: name of the configuration.
        agree: number of values within tolerance and rounding of the reference.
        compared: number of values with a reference.
        misses: one line for each value that does not agree.
    """

    name: str
    agree: int
    compared: int
    misses: tuple[str, ...]


def read_references(text: str) -> dict[str, Reference]:
    """Read IBSI's table: columns ``reference value``, ``tolerance`` and ``tag``, in any order.

    Rows without a value are left out: there was no consensus.
    """
    separator = ";" if ";" in text.partition("\n")[0] else ","
    rows = csv.DictReader(text.lstrip("\ufeff").splitlines(), delimiter=separator)
    return {
        row["tag"]: Reference(
            float(row["reference value"]),
            float(row["tolerance"]),
            _rounding(row["reference value"]),
        )
        for row in rows
        if row["reference value"]
    }


def score(
    name: str,
    values: Mapping[str, float],
    references: Mapping[str, Reference],
    suffixes: tuple[str, str],
) -> Agreement:
    """Compare the features of an unfiltered image.

    Args:
        name: name of the configuration.
        values: feature values by pyradiomics's names.
        references: reference values by IBSI's tags.
        suffixes: endings of the tags of GLCM and GLRLM, and of the other matrices.
    """
    misses, compared = [], 0
    for (feature_class, feature), what in definitions().items():
        value = values.get(f"original_{feature_class}_{feature}")
        directed = feature_class in ("glcm", "glrlm")
        texture = directed or feature_class in ("glszm", "gldm", "ngtdm")
        tag = what.ibsi_tag + (suffixes[0 if directed else 1] if texture else "")
        if value is None or not what.ibsi_tag or tag not in references:
            continue
        compared += 1
        value -= EXCESS if (feature_class, feature) == ("firstorder", "Kurtosis") else 0
        if miss := missed(tag, value, references[tag]):
            misses.append(miss)
    return Agreement(name, compared - len(misses), compared, tuple(misses))


def missed(tag: str, value: float, reference: Reference) -> str:
    """Return one line if a value does not agree with its reference, else an empty string.

    >>> missed("stat_mean", 2.2, Reference(2.15, 0.0, 0.005))
    'stat_mean: 2.2, IBSI 2.15 ± 0'
    """
    allowed = reference.tolerance + reference.rounding
    if abs(value - reference.value) <= allowed * (1 + 1e-9):
        return ""
    return f"{tag}: {value:.6g}, IBSI {reference.value:g} ± {reference.tolerance:g}"


def _rounding(text: str) -> float:
    value = abs(float(text))
    return 0.5 * 10.0 ** (math.floor(math.log10(value)) - 2) if value else 0.0
