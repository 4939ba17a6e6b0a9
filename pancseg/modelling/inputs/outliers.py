"""Find single values far outside their column, such as typing errors."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pancseg.modelling.estimators.fences import FAR_OUT, fences
from pancseg.modelling.inputs.join import JoinedTable

COLUMNS = ("id", "column", "value", "usual_low", "usual_high")
_REACH = 10.0
"""Interquartile ranges beyond the quartiles; three on a logarithmic scale, too."""
_FEW = 3


def outliers(joined: JoinedTable) -> pd.DataFrame:
    """Return the values that lie ten interquartile ranges or more beyond the quartiles.

    Where the others in a column are not negative, a value must also lie three beyond them on a
    logarithmic scale, so that skewed features have no outliers for that alone.

    Returns:
        ``id``, ``column``, ``value``, and the fences that values are moved to within the folds
        (of all patients; those of a fold differ a little). The farthest come first.
    """
    frames = [joined.features, joined.volume, joined.clinical]
    table = pd.concat(frames, axis=1)
    table = table.loc[:, ~table.columns.duplicated()]
    x = table.to_numpy(float)
    low, high = fences(x, _REACH)
    far = (x < low) | (x > high)
    for j in np.flatnonzero(far.any(axis=0)):
        if (x[~far[:, j] & ~np.isnan(x[:, j]), j] >= 0).all():
            far[:, j] &= _far_on_logarithms(x[:, j])
    usual_low, usual_high = fences(x)
    width = np.where(np.isfinite(usual_high - usual_low), usual_high - usual_low, 1.0)
    places = [(i, j) for i, j in zip(*np.nonzero(far), strict=True)]
    places.sort(key=lambda p: -abs(x[p] - (usual_low[p[1]] + usual_high[p[1]]) / 2) / width[p[1]])
    rows = [
        (table.index[i], str(table.columns[j]), x[i, j], usual_low[j], usual_high[j])
        for i, j in places
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def outlier_warnings(found: pd.DataFrame) -> list[str]:
    """Return a warning that names the values farthest out, and their patients."""
    if not len(found):
        return []
    named = [
        f"{row.id}: {row.column} {row.value:g} (usual {row.usual_low:.3g} to {row.usual_high:.3g})"
        for row in found.head(_FEW).itertuples()
    ]
    more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
    values = "1 value lies" if len(found) == 1 else f"{len(found)} values lie"
    return [
        f"{values} far outside the others of the column: {'; '.join(named)}{more}. Within the "
        f"folds such values are moved to {FAR_OUT:g} interquartile ranges from the quartiles; "
        "correct typing errors in the table (outliers.csv)."
    ]


def _far_on_logarithms(values: np.ndarray) -> np.ndarray:
    """Return whether each value is far out among the logarithms; negative values are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(values > 0, np.log(values), np.nan)
    low, high = fences(logs[:, None])
    with np.errstate(invalid="ignore"):
        return np.asarray((values < 0) | (logs < low[0]) | (logs > high[0]))
