"""Multiple imputation by chained equations with predictive mean matching, within a training fold.

The training rows are completed several times by draws (van Buuren 2018, Flexible Imputation of
Missing Data, 2nd ed., algorithms 3.3 and 4.3): a missing value is that of one of the five known
rows whose predictions, by regression on other columns, are nearest, so that no impossible value
occurs. The outcome is in these regressions (Moons et al. 2006, J Clin Epidemiol 59:1092): draws
that ignore it are unrelated to it beyond the other columns, which weakens every coefficient.

Other rows, such as a new patient's, have no outcome. They are completed by the expected values of
regressions without it: the mean over draws, for a linear model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from pancseg.modelling.estimators.fences import Filled
from pancseg.modelling.estimators.mean_matching import matched
from pancseg.modelling.estimators.survival_forest import martingale_residuals
from pancseg.modelling.plain.equations import Equations

MOST_PREDICTORS = 10
"""Columns that an equation has, at most, besides those of the batch and the outcome."""
FEWEST_KNOWN = 10
"""A column that fewer training rows have is filled as :class:`Filled` does."""
ROUNDS = 5
_RIDGE = 1.0
"""Penalty of a coefficient of standardised columns: that of one patient."""
_BLOCK = 256
"""Columns whose correlations with all others are computed together."""


class Chained(TransformerMixin, BaseEstimator):
    """Fill gaps by chained equations; columns without gaps in the training rows have none.

    An equation's columns are the ten with the highest product of two numbers: the absolute
    correlation with its target, and the share of the rows lacking the target that have them
    (usable cases; van Buuren 2018, section 6.3). Correlations that the strongest of p columns of
    noise would reach do not count: those below √(2 ln p / n), with n the rows that have both
    (Donoho and Johnstone 1994, Biometrika 81:425).

    Args:
        imputations: number of completed tables; 2 or more.
        seed: random seed of the draws.
        batch: whether column 0 holds the code of the batch, which is in every equation.
        fixed: columns that are never estimated, but filled as :class:`Filled` does.

    Attributes:
        statistics_: (p,) medians and means, as those of :class:`Filled`.
        equations_: of the columns without the batch, for other rows.
    """

    def __init__(
        self,
        imputations: int = 5,
        seed: int = 0,
        batch: bool = False,
        fixed: tuple[int, ...] = (),
    ) -> None:
        self.imputations, self.seed, self.batch, self.fixed = imputations, seed, batch, fixed

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Draw the completed tables, and fit the equations for other rows.

        Args:
            x: (n, p) training rows, NaN where missing.
            y: (n,) class, or events and times.
        """
        filled = Filled().fit(x)
        self.statistics_ = filled.statistics_
        first, codes = int(self.batch), self._codes(x)
        batches = np.zeros(0, np.int64) if codes is None else np.unique(codes)
        chain = _Chain(
            x[:, first:],
            filled.transform(x)[:, first:],
            np.empty((len(x), 0)) if codes is None else (codes[:, None] == batches).astype(float),
            outcome_columns(y),
        )
        chain.choose(self.fixed)
        tables = chain.drawn(self.imputations, np.random.default_rng([self.seed, 7]))
        self._tables = [np.hstack([x[:, :first], table]) for table in tables]
        self.equations_ = chain.equations(self.statistics_[first:], batches)
        return self

    def taken_tables(self) -> list[np.ndarray]:
        """Return the completed training rows, (n, p) each, and forget them.

        There is one table where no column is estimated.
        """
        found, self._tables = self._tables, []
        return found

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the rows with the expected values of what is missing."""
        first = int(self.batch)
        filled = self.equations_.filled(x[:, first:], self._codes(x))
        return np.hstack([x[:, :first], filled])

    def _codes(self, x: np.ndarray) -> np.ndarray | None:
        return x[:, 0].astype(np.int64) if self.batch else None


def outcome_columns(y: np.ndarray) -> np.ndarray:
    """Return (n, 1 or 2) columns by which an outcome is in a regression.

    Of a class it is 0 or 1. Of a time to an event they are the event, and the cumulative hazard by
    then (White and Royston 2009, Stat Med 28:1982).
    """
    if y.dtype.names is None:
        return np.asarray(y, float)[:, None]
    event = y["event"].astype(float)
    return np.column_stack([event, event - martingale_residuals(y)])


def can_be_estimated(x: np.ndarray) -> np.ndarray:
    """Return (p,) whether training rows (n, p) suffice for an equation of a column.

    They do if ten rows or more have it, and not all the same value.
    """
    known = (~np.isnan(x)).sum(axis=0)
    return np.asarray((known >= FEWEST_KNOWN) & (_mean_and_spread(x)[1] > 0))


def _mean_and_spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means and SDs (p,) of what is known; the SD of what hardly varies is 0."""
    mean, spread = np.zeros((2, x.shape[1]))
    some = ~np.isnan(x).all(axis=0)
    mean[some], spread[some] = np.nanmean(x[:, some], axis=0), np.nanstd(x[:, some], axis=0)
    return mean, np.where(spread > 1e-12 * np.abs(mean), spread, 0.0)


@dataclass
class _Equation:
    """A column to be estimated.

    Attributes:
        column: its index.
        predictors: columns on the right-hand side; batch and outcome are not among them.
        known, lacking: rows that have and lack the column.
    """

    column: int
    predictors: np.ndarray
    known: np.ndarray
    lacking: np.ndarray


class _Chain:
    """The chained equations of one table.

    Args:
        x: (n, p) values, NaN where missing.
        filled: the same, gaps filled by medians.
        batch: (n, b) indicators of the batch.
        outcome: (n, o) columns.
    """

    def __init__(
        self, x: np.ndarray, filled: np.ndarray, batch: np.ndarray, outcome: np.ndarray
    ) -> None:
        self.x, self.filled, self.batch, self.gaps = x, filled, batch, np.isnan(x)
        self.outcome = (outcome - outcome.mean(axis=0)) / np.maximum(outcome.std(axis=0), 1e-12)
        self.known = (~self.gaps).sum(axis=0)
        self.mean, spread = _mean_and_spread(x)
        self.sd = np.where(spread > 0, spread, 1.0)

    def choose(self, fixed: tuple[int, ...]) -> None:
        """Choose the columns to estimate, those with the fewest gaps first, and from what."""
        wanted = self.gaps.any(axis=0) & can_be_estimated(self.x)
        wanted[list(fixed)] = False
        found = np.flatnonzero(wanted)
        self.equations_ = list(self._chosen(found[np.argsort(-self.known[found], kind="stable")]))

    def _chosen(self, targets: np.ndarray) -> Iterator[_Equation]:
        there = (~self.gaps).astype(float)
        z = np.where(self.gaps, 0.0, (self.x - self.mean) / self.sd)
        squares, noise = z**2, 2 * np.log(max(z.shape[1], 2))
        for first in range(0, len(targets), _BLOCK):
            some = targets[first : first + _BLOCK]
            both = np.sqrt((squares[:, some].T @ there) * (there[:, some].T @ squares))
            rho = np.abs(z[:, some].T @ z) / np.where(both > 0, both, np.inf)
            lacking = self.gaps[:, some].astype(float)
            usable = (lacking.T @ there) / lacking.sum(axis=0)[:, None]
            score = np.where(rho**2 * (there[:, some].T @ there) > noise, rho * usable, 0.0)
            score = score.round(12)
            score[np.arange(len(some)), some] = 0.0
            for column, row in zip(some, score, strict=True):
                best = np.lexsort((np.arange(len(row)), -row))[:MOST_PREDICTORS]
                gap = self.gaps[:, column]
                yield _Equation(
                    int(column),
                    np.sort(best[row[best] > 0]),
                    np.flatnonzero(~gap),
                    np.flatnonzero(gap),
                )

    def drawn(self, count: int, random: np.random.Generator) -> list[np.ndarray]:
        """Return completed tables; one where there is nothing to draw."""
        if not self.equations_:
            self.z = self._scaled(self.filled[None])
            return [self.filled]
        tables = np.repeat(self.filled[None], count, axis=0)
        for each in self.equations_:  # a start of which each table has its own
            picked = random.choice(each.known, (count, len(each.lacking)))
            tables[:, each.lacking, each.column] = self.x[picked, each.column]
        self.z = self._scaled(tables)
        drawn = {each.column for each in self.equations_}
        linked = any(drawn & set(each.predictors.tolist()) for each in self.equations_)
        for _ in range(ROUNDS if linked else 1):
            for each in self.equations_:
                values = self.x[self._donors(each, random), each.column]
                tables[:, each.lacking, each.column] = values
                scaled = (values - self.mean[each.column]) / self.sd[each.column]
                self.z[:, each.lacking, each.column] = scaled
        return list(tables)

    def _scaled(self, tables: np.ndarray) -> np.ndarray:
        return np.asarray((tables - self.mean) / self.sd)

    def _right_hand_side(self, each: _Equation, *beside: np.ndarray) -> np.ndarray:
        """Return (tables, n, k) scaled columns."""
        found = [self.z[:, :, each.predictors]]
        found += [np.broadcast_to(more, (len(self.z), *more.shape)) for more in beside]
        return np.concatenate(found, axis=2)

    def _donors(self, each: _Equation, random: np.random.Generator) -> np.ndarray:
        """Return (tables, lacking) rows whose values are taken."""
        z = self._right_hand_side(each, self.batch, self.outcome)
        z = z - z[:, each.known].mean(axis=1, keepdims=True)
        count, _, width = z.shape
        known, lacking = z[:, each.known], z[:, each.lacking]
        target = (self.x[each.known, each.column] - self.mean[each.column]) / self.sd[each.column]
        gram = known.transpose(0, 2, 1) @ known + _RIDGE * np.eye(width)
        beta = np.linalg.solve(gram, (target @ known)[:, :, None])
        near = (known @ beta)[:, :, 0]
        freedom = max(len(each.known) - width - 1, 1)
        sigma = np.sqrt(((target - near) ** 2).sum(axis=1) / random.chisquare(freedom, count))
        noise = random.normal(size=(count, width, 1))
        root = np.linalg.cholesky(gram).transpose(0, 2, 1)
        drawn = beta + sigma[:, None, None] * np.linalg.solve(root, noise)
        start = sigma * random.normal(size=count) / np.sqrt(len(each.known))
        wanted = (lacking @ drawn)[:, :, 0] + start[:, None]
        pairs = zip(near, wanted, strict=True)
        taken = np.array([matched(*pair, random) for pair in pairs])
        return np.asarray(each.known[taken])

    def equations(self, start: np.ndarray, batches: np.ndarray) -> Equations:
        """Return the equations for other rows, fitted to all completed tables together.

        Args:
            start: (p,) what fills a column without an equation.
            batches: (b,) codes.
        """
        places = self.x.shape[1] + np.arange(len(batches))
        shape = len(self.equations_), MOST_PREDICTORS + len(batches)
        predictors, coefficients = np.zeros(shape, np.int64), np.zeros(shape)
        intercept, least, most = np.zeros((3, len(self.equations_)))
        mean = np.concatenate([self.mean, np.zeros(len(batches))])
        sd = np.concatenate([self.sd, np.ones(len(batches))])
        for row, each in enumerate(self.equations_):
            z = np.concatenate(list(self._right_hand_side(each, self.batch)[:, each.known]))
            value, centre = self.x[each.known, each.column], z.mean(axis=0)
            target = np.tile(value - value.mean(), len(self.z))
            z = z - centre
            penalty = _RIDGE * len(self.z) * np.eye(z.shape[1])
            columns = np.concatenate([each.predictors, places])
            beta = np.linalg.solve(z.T @ z + penalty, z.T @ target) / sd[columns]
            predictors[row, : len(columns)], coefficients[row, : len(columns)] = columns, beta
            intercept[row] = value.mean() - beta @ (mean[columns] + sd[columns] * centre)
            least[row], most[row] = value.min(), value.max()
        target_columns = np.array([each.column for each in self.equations_], np.int64)
        return Equations(
            start, batches, target_columns, predictors, coefficients, intercept, least, most
        )
