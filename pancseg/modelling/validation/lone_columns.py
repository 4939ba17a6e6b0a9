"""Name single columns that predict the outcome strongly, which often are made from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from pancseg.modelling.validation import measures

AUC_FROM_CHANCE, C_FROM_CHANCE = 0.4, 0.35
"""A column is named where its AUC is above 0.9 or below 0.1, its C above 0.85 or below 0.15."""
_FIRST_LOOK, _SECOND_LOOK, _LOOSE = 300, 2000, 0.2
"""Most patients of the first and of the second look, and what earns a second one."""
_NAMED, _FEWEST = 3, 10
_LARGE, _NOISE = 40, 5000
"""In a cohort with more events, or patients of the smaller class, noise is never that strong."""


def lone_columns(columns: pd.DataFrame, y: np.ndarray) -> pd.Series[float]:
    """Return the columns that alone predict the outcome nearly without error, strongest first.

    Args:
        columns: (n, p) values as they were read; gaps do not count.
        y: (n,) class 0 or 1, or a structured array of events and times.

    Returns:
        Distance of a column's AUC (class) or Harrell's C (survival) from 0.5. For survival the AUC
        of having the event at all counts, too, as it tells columns such as a cause of death.
    """
    x = columns.to_numpy(float)
    if y.dtype.names is None:
        strength = auc_from_chance(x, y == 1)
        return _strong(strength, columns, AUC_FROM_CHANCE)
    c = np.zeros(x.shape[1])
    # All columns on some patients, then the strong ones on more.
    order = np.random.default_rng(0).permutation(len(y))
    some, more = np.sort(order[:_FIRST_LOOK]), np.sort(order[:_SECOND_LOOK])
    c[:] = c_from_chance(x[some], y[some])
    if len(some) < len(y):
        likely = np.flatnonzero(c > _LOOSE)
        c[:] = 0
        c[likely] = c_from_chance(x[np.ix_(more, likely)], y[more])
    found = _strong(c, columns, C_FROM_CHANCE)
    ends = _strong(auc_from_chance(x, y["event"]), columns, AUC_FROM_CHANCE)
    return pd.concat([found, ends[~ends.index.isin(found.index)]])


def lone_column_sentences(columns: pd.DataFrame, y: np.ndarray) -> list[str]:
    """Return a sentence for the verdict that names the columns of :func:`lone_columns`."""
    if not columns.shape[1]:
        return []
    found = lone_columns(columns, y)
    if not len(found):
        return []
    survival = y.dtype.names is not None
    measure = "Harrell's C or AUC of the event" if survival else "AUC"
    named = ", ".join(f"{name!r} ({0.5 + far:.3f})" for name, far in found.head(_NAMED).items())
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    what = (
        "One column alone predicts the outcome strongly"
        if len(found) == 1
        else f"{len(found)} columns, each alone, predict the outcome strongly"
    )
    which = "it was" if len(found) == 1 else "one was"
    expected = _by_chance(columns.shape[1], y)
    chance = (
        f" In so small a cohort, about {expected:.2g} of {columns.shape[1]} columns of noise would "
        "do so, too."
        if expected >= 0.05
        else ""
    )
    return [
        f"{what} ({measure}): {named}{more}. If {which} made from the outcome, or is known only "
        "after it, every number here is void: leave it out (`drop`, or remove it from "
        f"`clinical`).{chance}"
    ]


def auc_from_chance(x: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return (p,) distances from 0.5 of the AUC of each column of (n, p) values with gaps."""
    seen = ~np.isnan(x)
    ranks = rankdata(x, axis=0, nan_policy="omit")
    n1 = (seen & positive[:, None]).sum(axis=0)
    n0 = (seen & ~positive[:, None]).sum(axis=0)
    total = np.where(seen & positive[:, None], ranks, 0).sum(axis=0)
    enough = (n1 >= _FEWEST) & (n0 >= _FEWEST)
    pairs = np.where(enough, n1 * n0, 1)
    return np.where(enough, np.abs((total - n1 * (n1 + 1) / 2) / pairs - 0.5), 0.0)


def c_from_chance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (p,) distances from 0.5 of Harrell's C of each column of (n, p) values with gaps."""
    first, second = np.nonzero(measures.harrell_pairs(y))
    found = np.zeros(x.shape[1])
    for j in range(x.shape[1]):
        difference = x[first, j] - x[second, j]
        difference = difference[~np.isnan(difference)]
        if len(difference) >= _FEWEST:
            found[j] = abs(np.mean(np.sign(difference))) / 2
    return found


def _strong(strength: np.ndarray, columns: pd.DataFrame, least: float) -> pd.Series[float]:
    found = pd.Series(strength, index=columns.columns.map(str))
    return found[found > least].sort_values(ascending=False, kind="stable")


def _by_chance(columns: int, y: np.ndarray) -> float:
    """Return the number of columns of noise that would be named, from up to 5,000 such columns."""
    event = (y == 1) if y.dtype.names is None else y["event"]
    if min(event.sum(), (~event).sum() or len(y)) > _LARGE:
        return 0.0
    count = int(np.clip(_NOISE * 200 // len(y), 200, _NOISE))
    noise = np.random.default_rng(0).normal(size=(len(y), count))
    if y.dtype.names is None:
        named = auc_from_chance(noise, event) > AUC_FROM_CHANCE
    else:
        named = (c_from_chance(noise, y) > C_FROM_CHANCE) | (
            auc_from_chance(noise, event) > AUC_FROM_CHANCE
        )
    return float(columns * named.mean())
