"""Find columns of the clinical file that go with the outcome although nobody named them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2, chi2_contingency

from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.risk_sets import risk_sets
from pancseg.modelling.inputs.cell_values import is_missing_class
from pancseg.modelling.inputs.features_table import TableOptions
from pancseg.modelling.inputs.join import JoinedTable

_MOST_LEVELS, _FEWEST_ROWS, _LEVEL = 10, 5, 0.01
"""A column has at most so many values, each in at least so many rows; family-wise error rate."""


def unnamed_columns(joined: JoinedTable, endpoint: Endpoint, options: TableOptions) -> list[str]:
    """Return a sentence for each column of few values that goes with the outcome.

    A site or scanner that goes with the outcome can be all that radiomics measures. Tests are
    chi-squared (class) or log-rank (survival), at the 1 % level over all columns looked at.

    Args:
        joined: the cohort.
        endpoint: the endpoint of the same rows.
        options: columns that were named.
    """
    others = (options.batch, options.group, options.volume, options.outcome_id, "patient_id")
    named = {*endpoint.columns, *options.clinical, *options.drop, *joined.origin.levels, *others}
    codes = {
        name: code
        for name in joined.outcomes.columns
        if name not in named and (code := _codes(joined.outcomes[name])) is not None
    }
    found = []
    for name, code in codes.items():
        known = code >= 0
        test = _log_rank if endpoint.kind == "survival" else _chi_squared
        p = test(code[known], endpoint.y[known])
        if p < _LEVEL / len(codes):
            test_name = "log-rank" if endpoint.kind == "survival" else "chi-squared"
            found.append(
                f"The column {name!r} of the clinical file ({len(set(code[known]))} values) goes "
                f"with the outcome ({test_name} p = {p:.1g}) and was given to no model, so "
                "radiomics may have measured it. Name a scanner or site with `batch`, a clinical "
                "variable with `clinical`."
            )
    return found


def _codes(cells: pd.Series[str]) -> np.ndarray | None:
    """Return (n,) codes of the values, -1 where missing; None if it is no column of few values."""
    missing = is_missing_class(cells).to_numpy()
    values, codes = np.unique(cells.to_numpy(dtype=str), return_inverse=True)
    counts = np.bincount(codes[~missing], minlength=len(values))
    usual = counts >= _FEWEST_ROWS
    if not 2 <= int((counts > 0).sum()) <= _MOST_LEVELS or usual.sum() < 2:
        return None
    return np.where(missing | ~usual[codes], -1, codes)


def _chi_squared(code: np.ndarray, y: np.ndarray) -> float:
    if len(np.unique(y)) < 2:
        return 1.0
    return float(chi2_contingency(pd.crosstab(code, y)).pvalue)


def _log_rank(code: np.ndarray, y: np.ndarray) -> float:
    """Return the p-value of the log-rank test of several groups."""
    if not y["event"].any():
        return 1.0
    at_risk = risk_sets(y)
    groups = np.unique(code)
    z = (code[at_risk.order][:, None] == groups[1:]).astype(float)
    share = at_risk.totals(z) / at_risk.totals(np.ones(len(z)))[:, None]
    excess = (z[at_risk.event] - share).sum(axis=0)
    variance = np.diag(share.sum(axis=0)) - share.T @ share
    statistic = excess @ np.linalg.lstsq(variance, excess)[0]
    return float(chi2.sf(statistic, len(groups) - 1))
