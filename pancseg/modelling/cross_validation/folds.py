"""Draw the outer and inner folds of a plan; rows of one patient stay in one fold."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from pancseg.modelling.cross_validation.plan import ValidationPlan


def make_folds(strata: np.ndarray, groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return (n,) fold numbers: strata are spread evenly, rows of one group stay together.

    Where every stratum (of outcome and batch) has fewer rows than there are folds, only the outcome
    is spread evenly.
    """
    if (np.unique(strata, return_counts=True)[1] < count).all():
        strata = strata % 2
    unique = len(np.unique(groups)) == len(groups)
    kind = StratifiedKFold if unique else StratifiedGroupKFold
    folds = np.full(len(strata), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about strata with fewer rows than folds
        splits = kind(count, shuffle=True, random_state=seed).split(strata, strata, groups)
        for number, (_, test) in enumerate(splits):
            folds[test] = number
    return folds


def training_parts(plan: ValidationPlan) -> Iterator[np.ndarray]:
    """Yield the rows of every outer and inner training part that :func:`.validate` will use."""
    for place, rows in enumerate(outer_parts(plan)):
        yield rows
        repeat, number = divmod(place, plan.outer)
        yield from inner_parts(plan, rows, outer_seed(plan, repeat, number))


def inner_parts(plan: ValidationPlan, rows: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Yield the rows of every inner training part of :func:`.fit_specs` on these rows."""
    inner = make_folds(plan.strata[rows], plan.groups[rows], plan.inner, seed)
    yield from (rows[inner != part] for part in range(plan.inner))


def outer_parts(plan: ValidationPlan) -> Iterator[np.ndarray]:
    """Yield the rows of every outer training part, those of the first repeat first."""
    for repeat in range(plan.repeats):
        outer = outer_folds(plan, repeat)
        yield from (np.flatnonzero(outer != number) for number in range(plan.outer))


def outer_folds(plan: ValidationPlan, repeat: int) -> np.ndarray:
    """Return (n,) number of the outer fold that each row is tested in, in one repeat."""
    return make_folds(plan.strata, plan.groups, plan.outer, _seed(plan.seed, repeat, 0))


def outer_seed(plan: ValidationPlan, repeat: int, fold: int) -> int:
    """Return the seed that the models of an outer fold are fitted with."""
    return _seed(plan.seed, repeat, fold + 1)


def _seed(seed: int, repeat: int, fold: int) -> int:
    return int(np.random.SeedSequence([seed, repeat, fold]).generate_state(1)[0])
