"""Read how stable each feature is, by which one of correlated features is kept."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pancseg.modelling.inputs.cell_values import numbers, read_table
from pancseg.modelling.inputs.join import JoinedTable


def read_stability(path: Path, joined: JoinedTable) -> pd.Series[float]:
    """Return the ICC by feature from a CSV with columns ``feature`` and ``icc``.

    Raises:
        ValueError: a column is missing, text instead of numbers, a feature twice, or none of the
            cohort's features.
    """
    table = read_table(path, "the stability file")
    if not {"feature", "icc"} <= set(table.columns):
        raise ValueError("the stability file needs the columns 'feature' and 'icc'")
    if table["feature"].duplicated().any():
        first = table["feature"][table["feature"].duplicated()].iloc[0]
        raise ValueError(f"the stability file names {first!r} twice; keep one row per feature")
    if table.empty:
        raise ValueError("the stability file has no rows; one per feature is needed")
    found = numbers(table["icc"], "icc").set_axis(pd.Index(table["feature"]))
    if not set(found.index) & set(joined.features):
        raise ValueError(
            f"the stability file ({found.index[0]!r}, …) names none of the features "
            f"({joined.features.columns[0]!r}, …); use the same feature names in both"
        )
    return found
