"""Describe a candidate in a few words, for the table of what the inner folds chose."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline


def described(candidate: Any) -> str:
    """Return the columns and the settings of an unfitted candidate as text.

    Example:
        >>> from pancseg.modelling.estimators.logistic import LogisticRidge
        >>> described(LogisticRidge(0.1))
        'all columns, ridge, expected variance 0.1'
    """
    columns, model = "all columns", candidate
    if isinstance(candidate, Pipeline):
        count = candidate.named_steps["select"].k
        columns, model = f"{count} column{'s' * (count > 1)}", candidate[-1]
    found = model.get_params()
    if "spread" in found:
        return f"{columns}, ridge, expected variance {found['spread']:g}"
    if "fraction" in found:
        return f"{columns}, elastic net, {found['fraction']:g} of the largest penalty"
    for name in ("min_samples_leaf", "smallest_leaf"):
        if name in found:
            return f"{columns}, trees with {found[name]} patients or more in a leaf"
    return f"{columns}, no penalty"
