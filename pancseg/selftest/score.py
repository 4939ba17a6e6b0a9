"""Features against IBSI's reference values: how many agree, and which do not."""

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
"""IBSI's values of an unfiltered image that pyradiomics has a feature for, per configuration."""


class Reference(NamedTuple):
    """What IBSI agreed on.

    Attributes:
        value: the consensus.
        tolerance: how far from it a value may be.
        rounding: half a unit of the last of three digits, to which the value is given.
    """

    value: float
    tolerance: float
    rounding: float


@dataclass(frozen=True)
class Agreement:
    """One configuration's outcome.

    Attributes:
        name: what was configured.
        agree: how many values lie within tolerance and rounding of the reference.
        compared: how many there is a reference for.
        misses: one line for each that does not agree.
    """

    name: str
    agree: int
    compared: int
    misses: tuple[str, ...]


def read_references(text: str) -> dict[str, Reference]:
    """Read IBSI's table: ``reference value``, ``tolerance`` and ``tag``, any order.

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
        name: of the configuration.
        values: by pyradiomics's names.
        references: by IBSI's tags.
        suffixes: how the tags of GLCM and GLRLM end, and those of the other matrices.
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
    """Return one line when a value does not agree with its reference, or nothing."""
    allowed = reference.tolerance + reference.rounding
    if abs(value - reference.value) <= allowed * (1 + 1e-9):
        return ""
    return f"{tag}: {value:.6g}, IBSI {reference.value:g} ± {reference.tolerance:g}"


def _rounding(text: str) -> float:
    value = abs(float(text))
    return 0.5 * 10.0 ** (math.floor(math.log10(value)) - 2) if value else 0.0
