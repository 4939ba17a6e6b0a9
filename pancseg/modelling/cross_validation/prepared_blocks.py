"""Prepare blocks of columns by steps fitted on training rows, and put them side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from pancseg.modelling.cross_validation.plan import FeatureBlock, ValidationPlan
from pancseg.modelling.estimators.preparation import taken_tables


@dataclass(frozen=True)
class PreparedBlock:
    """A block whose preparation was fitted to some rows.

    Attributes:
        steps: the fitted steps.
        x: (all rows, columns) prepared values, gaps filled as in a new patient.
        tables: the rows that were fitted, completed by each imputation; none where gaps are filled
            by medians, one where there was nothing to impute.
    """

    steps: Pipeline
    x: np.ndarray
    tables: Sequence[np.ndarray]


def prepared_blocks(
    plan: ValidationPlan, rows: np.ndarray, names: Iterable[str]
) -> dict[str, PreparedBlock]:
    """Fit the preparation of blocks on these rows."""
    found = {}
    for name in names:
        block = plan.blocks[name]
        steps = clone(block.preparation).fit(block.x[rows], plan.y[rows])
        found[name] = PreparedBlock(steps, steps.transform(block.x), taken_tables(steps))
    return found


def side_by_side(
    prepared: Mapping[str, PreparedBlock], blocks: Sequence[str], rows: np.ndarray
) -> np.ndarray:
    """Return (rows, columns) prepared values of some blocks; no column if there is no block."""
    if not blocks:
        return np.empty((len(rows), 0))
    return np.hstack([prepared[name].x[rows] for name in blocks])


def training_tables(
    prepared: Mapping[str, PreparedBlock], blocks: Sequence[str], rows: np.ndarray
) -> list[np.ndarray]:
    """Return what a model of some blocks is fitted to: a table for each imputation, or one.

    Args:
        prepared: blocks whose preparation was fitted to ``rows``.
        blocks: their names.
        rows: indices of these rows.
    """
    count = max((len(prepared[name].tables) for name in blocks), default=0)
    if count < 2:
        return [side_by_side(prepared, blocks, rows)]
    parts = [prepared[name].tables or [prepared[name].x[rows]] for name in blocks]
    return [
        np.hstack([part[number % len(part)] for part in parts])  # one table serves for all
        for number in range(count)
    ]


def with_score(tables: Sequence[np.ndarray], score: np.ndarray) -> list[np.ndarray]:
    """Return the tables with one more column, the last: a score (n,)."""
    return [np.column_stack([each, score]) for each in tables]


def column_names(
    prepared: Mapping[str, PreparedBlock],
    names: Sequence[str],
    blocks: Mapping[str, FeatureBlock],
) -> tuple[str, ...]:
    """Return the names of the prepared columns of some blocks, side by side."""
    found: list[str] = []
    for name in names:
        clean = prepared[name].steps.named_steps.get("clean")
        kept = range(len(blocks[name].names)) if clean is None else clean.kept_
        found += [blocks[name].names[j] for j in kept]
    return tuple(found)
