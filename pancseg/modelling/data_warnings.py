"""Warn about what the data are hardly sufficient for, and about what they cannot answer."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pancseg.modelling import subtype
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.refusals import FEWEST_PATIENTS, smaller_group
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import BOTH, RADIOMICS
from pancseg.system.text.number_text import percent

_USUAL = 5
"""Fewest rows on a grid for it to count when grid and outcome are tested for association."""
_FEW_PATIENTS, _EVENTS_PER_VARIABLE, _SMALL_SHARE = 100, 10, 0.2


def events_per_column(joined: JoinedTable, endpoint: Endpoint) -> str:
    """Return how many events, or patients of the smaller class, there are per candidate column."""
    smaller = smaller_group(joined, endpoint)
    columns = joined.features.shape[1] + joined.clinical.shape[1]
    what = "events" if endpoint.kind == "survival" else "patients of the smaller class"
    noun = "column" if columns == 1 else "columns"
    return f"{smaller} {what}, {columns} candidate {noun}: {_each(smaller, columns)} per column."


def _each(count: int, parts: int) -> str:
    """Return a ratio with one decimal, rounded down: 9.97 is not 10 where 10 are advised."""
    return f"{10 * count // parts / 10:.1f}"


def warnings_of(joined: JoinedTable, endpoint: Endpoint, settings: ModelSettings) -> list[str]:
    """Return warnings about what the data are hardly sufficient for."""
    found = []
    n, p = joined.count(), joined.features.shape[1]
    smaller = smaller_group(joined, endpoint)
    what = "events" if endpoint.kind == "survival" else "patients of the smaller class"
    name, most = _largest_model(joined, settings)
    if n < _FEW_PATIENTS:
        found.append(
            f"{n} patients: intervals are wide, and differences in so small a study are mostly "
            "chance."
        )
    if (groups := len(np.unique(joined.groups))) < FEWEST_PATIENTS:
        found.append(
            f"{groups} groups of rows stay together: intervals from so few groups say little."
        )
    if smaller / most < _EVENTS_PER_VARIABLE:
        found.append(
            f"{smaller} {what} for models of up to {most} variables ({name}): "
            f"{_each(smaller, most)} per variable; at least {_EVENTS_PER_VARIABLE} are advised."
        )
    if smaller / p < 1 and most < p:
        found.append(f"{p} candidate features for {smaller} {what}: {smaller / p:.2g} per feature.")
    if endpoint.kind == "subtype" and smaller / n < _SMALL_SHARE:
        found.append(f"The smaller class has {smaller} of {n} patients ({percent(smaller / n)}).")
    if endpoint.kind == "survival":
        found += _odd_times(endpoint.y)
    columns = pd.concat([joined.features, joined.clinical], axis=1)
    found += _separation(columns, endpoint)
    return found + _blind_spots(joined, endpoint)


def _blind_spots(joined: JoinedTable, endpoint: Endpoint) -> list[str]:
    """Return warnings about questions that the columns given cannot answer."""
    found = []
    if joined.volume.shape[1] == 0:
        found.append(
            "No volume column: whether radiomics measures more than volume cannot be tested."
        )
    if joined.clinical.shape[1] == 0:
        found.append(
            "No clinical variables (`clinical`): what radiomics adds to them cannot be tested."
        )
    if joined.batch is not None:
        found += _confounded("Scanner or site", joined.batch, endpoint.strata, _COMBAT)
    if joined.grids is not None:
        names, counts = np.unique(joined.grids, return_counts=True)
        usual = np.isin(joined.grids, names[(counts >= _USUAL) & (names != "")])
        grids = joined.grids[usual]
        if len(np.unique(grids)) > 1:
            found += _confounded("The grid (qc_grid_mm)", grids, endpoint.strata[usual], _GRIDS)
    return found


def _largest_model(joined: JoinedTable, settings: ModelSettings) -> tuple[str, int]:
    """Return the judged model with the most variables, and their number."""
    features, clinical = joined.features.shape[1], joined.clinical.shape[1]
    linear = settings.model == "elastic-net"  # one of its candidates is a ridge of all features
    chosen = features if linear else min(subtype.TREE_COLUMNS, features)
    return (BOTH, chosen + clinical) if clinical else (RADIOMICS, chosen)


def _odd_times(y: np.ndarray) -> list[str]:
    found = []
    if (zero := int((y["time"] == 0).sum())) > 0:
        found.append(f"{zero} {'patient has' if zero == 1 else 'patients have'} time 0.")
    if y["event"].all():
        found.append("No patient is censored. Is the event column right?")
    return found


def _separation(columns: pd.DataFrame, endpoint: Endpoint) -> list[str]:
    """Return a warning where one column alone separates the classes, or orders all events."""
    x = columns.to_numpy(float)
    separates = _orders_events if endpoint.kind == "survival" else _separates_classes
    seen = ~np.isnan(x)
    varied = np.where(seen, x, -np.inf).max(axis=0) > np.where(seen, x, np.inf).min(axis=0)
    separating = columns.columns[(separates(x, endpoint.y) | separates(-x, endpoint.y)) & varied]
    if not len(separating):
        return []
    what, ratio = (
        ("order all events without error", "hazard")
        if endpoint.kind == "survival"
        else ("separate the classes without error", "odds")
    )
    if len(separating) == 1:
        which, verb = f"1 column, {separating[0]},", what.replace(" ", "s ", 1)
    else:
        which, verb = f"{len(separating)} columns, such as {separating[0]},", what
    return [
        f"Separation: {which} {verb}; {ratio} ratios are infinite without a penalty. Does "
        f"{'it' if len(separating) == 1 else 'one of them'} encode the outcome?"
    ]


def _separates_classes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return for each column whether all values of class 1 exceed class 0's; gaps do not count."""
    low = np.where(np.isnan(x), np.inf, x)[y == 1].min(axis=0)
    high = np.where(np.isnan(x), -np.inf, x)[y == 0].max(axis=0)
    return np.asarray(low > high)


def _orders_events(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return for each column whether each event hits the highest value of all at risk."""
    order = np.argsort(-y["time"], kind="stable")
    time, event, z = y["time"][order], y["event"][order], x[order]
    at_risk = np.searchsorted(-time, -time, side="right")[event] - 1
    highest = np.maximum.accumulate(np.where(np.isnan(z), -np.inf, z), axis=0)[at_risk]
    return np.asarray((z[event] >= highest).all(axis=0))


_COMBAT = "ComBat then removes biology along with the site effect, or leaves part of that effect."


_GRIDS = (
    "texture depends on the grid, so radiomics may have measured the voxel size; extract all rows "
    "on one grid."
)


def _confounded(what: str, batch: np.ndarray, strata: np.ndarray, then: str) -> list[str]:
    from scipy.stats import chi2_contingency

    p = chi2_contingency(pd.crosstab(batch, strata)).pvalue
    if p > 0.05:
        return []
    return [f"{what} is associated with the outcome (chi-squared p = {p:.2g}): {then}"]
