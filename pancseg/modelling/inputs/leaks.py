"""Owns what must not be in a table of features: the outcome, and one patient under two names."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pancseg.modelling.inputs.cell_values import is_missing

_ENOUGH_FEATURES = 10
"""Two patients do not agree in so many by chance."""


def refuse_outcome_names(values: pd.DataFrame, outcome_columns: tuple[str, ...]) -> None:
    """Refuse features that bear the outcome's name."""
    wanted = {name.casefold() for name in outcome_columns}
    leaks = [name for name in map(str, values.columns) if name.casefold() in wanted]
    if leaks:
        raise ValueError(
            f"the outcome {leaks[0]!r} is among the features, which is a leak; `drop` it"
        )


def refuse_outcome_values(
    features: pd.DataFrame, outcome: np.ndarray, column: str, what: str = "feature"
) -> None:
    """Refuse a feature that is the outcome under another name: equal up to a factor and offset."""
    centred = outcome - outcome.mean()
    for name, cells in features.items():
        x = cells.to_numpy()
        seen = ~np.isnan(x)
        if seen.sum() < 10 or np.ptp(x[seen]) == 0 or np.ptp(outcome[seen]) == 0:
            continue
        if abs(np.corrcoef(x[seen], centred[seen])[0, 1]) > 1 - 1e-9:
            raise ValueError(
                f"the {what} {name!r} is the outcome {column!r} under another name, which is a "
                f"leak; {'`drop` it' if what == 'feature' else 'leave it out'}"
            )


def refuse_twins(values: pd.DataFrame, text: pd.DataFrame, groups: np.ndarray) -> None:
    """Refuse one scan under two patients' names: a fold could part them.

    Raises:
        ValueError: rows of two groups with the same image, or the same values in all of ten or
            more features that differ between most rows.
    """
    seen = {"image_sha256": text["image_sha256"]} if "image_sha256" in text else {}
    varied = values.loc[:, values.nunique() > len(values.drop_duplicates()) / 2]
    if varied.shape[1] >= _ENOUGH_FEATURES:
        rows = pd.util.hash_pandas_object(varied, index=False).astype(str)
        known = varied.notna().sum(axis=1) >= _ENOUGH_FEATURES
        seen[f"values in all {varied.shape[1]} features that mostly differ"] = rows.where(known, "")
    for what, cells in seen.items():
        there = ~is_missing(cells).to_numpy()
        owners = pd.DataFrame({"cell": cells.to_numpy(), "group": groups, "id": values.index})[
            there
        ]
        several = owners.groupby("cell")["group"].transform("nunique") > 1
        if several.any():
            first = owners[several].iloc[0]
            twin = owners[(owners["cell"] == first["cell"]) & (owners["group"] != first["group"])]
            raise ValueError(
                f"FEATURES: {first['id']!r} and {twin['id'].iloc[0]!r} have the same {what} "
                f"({int(several.sum())} such rows); one patient under two names stands on both "
                "sides of a fold: take one out, or give both one value in a `group` column"
            )
