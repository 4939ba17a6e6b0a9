"""The dictionary from pyradiomics to IBSI: every feature's IBSI code and name, and its unit.

The table is ``ibsi_codes.csv``, one row per feature that pyradiomics can compute. Codes and names
are those of the IBSI reference manual (arXiv 1612.07003), tags those of IBSI's reference values.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple


class Definition(NamedTuple):
    """The definition of one feature.

    Attributes:
        feature_class: pyradiomics's class, such as ``glcm``.
        feature: pyradiomics's name of the feature, such as ``Idm``.
        ibsi_tag: name in IBSI's tables of reference values, without the aggregation at its end
            (``cm_inv_diff_mom`` for ``cm_inv_diff_mom_3D_avg``); empty without a counterpart.
        ibsi_code: IBSI's code of four characters; empty without a counterpart.
        ibsi_name: the manual's heading; empty without a counterpart.
        unit: ``mm``, ``mm²``, ``mm³``, ``1/mm``, ``none``, or a unit with ``HU``, which stands for
            the unit of the image's intensities.
        note: difference from IBSI's definition, if any.
    """

    feature_class: str
    feature: str
    ibsi_tag: str
    ibsi_code: str
    ibsi_name: str
    unit: str
    note: str


@cache
def definitions() -> Mapping[tuple[str, str], Definition]:
    """Return all definitions by (feature class, feature), in the order of the file.

    >>> definitions()["glcm", "Idm"].ibsi_code
    'WF0Z'
    """
    text = files("pancseg.features").joinpath("ibsi_codes.csv").read_text(encoding="utf-8")
    rows = (Definition(**row) for row in csv.DictReader(text.splitlines()))
    return MappingProxyType({(row.feature_class, row.feature): row for row in rows})
