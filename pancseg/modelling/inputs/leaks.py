"""Refuse feature tables that contain the outcome, or one patient under two names."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from pancseg.modelling.inputs.cell_values import is_missing

_ENOUGH_FEATURES = 10
"""Two patients do not agree in so many features by chance."""


def refuse_outcome_names(values: pd.DataFrame, outcome_columns: tuple[str, ...]) -> None:
    """Refuse features that have the name of an outcome column, in any case."""
    leaks = outcome_names(values.columns, outcome_columns)
    if leaks:
        them = "it" if len(leaks) == 1 else "them"
        raise ValueError(f"{among_the_features(leaks)}; leave {them} out with {dropping(leaks)}")


def outcome_names(names: Iterable[str], outcome_columns: tuple[str, ...]) -> list[str]:
    """Return the names that are those of outcome columns, in any case."""
    wanted = {name.casefold() for name in outcome_columns}
    return [name for name in map(str, names) if name.casefold() in wanted]


def among_the_features(leaks: Sequence[str]) -> str:
    """Return the sentence on outcome columns in a feature table."""
    verb = "is" if len(leaks) == 1 else "are"
    return f"the outcome {', '.join(map(repr, leaks))} {verb} among the features, which is a leak"


def dropping(names: Iterable[str]) -> str:
    """Return the parameters that leave columns out, as they can be typed.

    Example:
        >>> dropping(["Image", "site no"])
        "`drop` Image `drop` 'site no'"
    """
    return " ".join(f"`drop` {shlex.quote(name)}" for name in names)


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
                f"leak; leave it out{' with `drop`' if what == 'feature' else ''}"
            )


def refuse_twins(values: pd.DataFrame, text: pd.DataFrame, groups: np.ndarray) -> None:
    """Refuse one scan under two patients' names, as the two could be in different folds.

    Raises:
        ValueError: rows of two groups have the same image, or the same values in all features that
            differ between most rows, if there are ten or more of these.
    """
    seen = {"image_sha256": text["image_sha256"]} if "image_sha256" in text else {}
    varied = values.loc[:, values.nunique() > len(values.drop_duplicates()) / 2]
    if varied.shape[1] >= _ENOUGH_FEATURES:
        rows = pd.util.hash_pandas_object(varied, index=False).astype(str)
        known = varied.notna().sum(axis=1) >= _ENOUGH_FEATURES
        seen[f"values in all {varied.shape[1]} features that differ between most rows"] = (
            rows.where(known, "")
        )
    for what, cells in seen.items():
        owners = pd.DataFrame({"cell": cells.to_numpy(), "group": groups, "id": values.index})
        owners = owners[~is_missing(cells).to_numpy()]
        several = owners.groupby("cell")["group"].transform("nunique") > 1
        if several.any():
            first = owners[several].iloc[0]
            twin = owners[(owners["cell"] == first["cell"]) & (owners["group"] != first["group"])]
            raise ValueError(
                f"the feature table: {first['id']!r} and {twin['id'].iloc[0]!r} have the same "
                f"{what} ({int(several.sum())} such rows), so one patient under two names could be "
                "in training and test; remove one, or give both the same value in a `group` column"
            )
