"""Regression equations that estimate a patient's missing values from the others, as plain numbers.

Each row is completed on its own, whatever the other rows are, and no random number is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pancseg.modelling.plain.arrays import Floats, check_floats, check_indices

_MOST_BATCHES = 1_000_000
_MOST_ROUNDS = 100
_SETTLED = 1e-9
"""A row is complete when no estimate moves by more than this share of its column's range."""


@dataclass(frozen=True)
class Equations:
    """Equations for some of c columns; the others are filled with a fixed value.

    An equation estimates a column from k others: intercept + Σ coefficient × value, held within the
    column's range. Where a value in it is missing as well, the equations are solved together, by
    Gauss–Seidel steps from the fixed values.

    Attributes:
        start: (c,) fixed values: what fills a column without an equation.
        batches: (b,) codes of scanners or sites, each with a 0/1 column after the c columns; empty
            where these play no part.
        target: (e,) columns that have an equation.
        predictors: (e, k) columns on the right-hand side, up to c + b.
        coefficients: (e, k).
        intercept: (e,).
        least, most: (e,) range of the target.

    Example:
        >>> one = np.array([[2.0]])
        >>> double = Equations(
        ...     np.zeros(2), np.zeros(0, np.int64), np.array([1]), np.array([[0]]), one,
        ...     np.array([1.0]), np.array([0.0]), np.array([9.0]),
        ... )
        >>> double.filled(np.array([[3.0, np.nan], [8.0, np.nan], [np.nan, 4.0]])).tolist()
        [[3.0, 7.0], [8.0, 9.0], [0.0, 4.0]]
    """

    start: Floats
    batches: NDArray[np.int64]
    target: NDArray[np.int64]
    predictors: NDArray[np.int64]
    coefficients: Floats
    intercept: Floats
    least: Floats
    most: Floats

    def __post_init__(self) -> None:
        check_floats("start", self.start, None)
        check_indices("batches", self.batches, None, _MOST_BATCHES)
        if (np.diff(self.batches) <= 0).any():
            raise ValueError("batches are not in rising order")
        count = len(self.target)
        check_indices("target", self.target, count, len(self.start) - 1)
        check_floats("coefficients", self.coefficients, count, None)
        if self.predictors.shape != self.coefficients.shape:
            raise ValueError("predictors and coefficients differ in shape")
        width = len(self.start) + len(self.batches)
        check_indices("predictors", self.predictors.ravel(), None, width - 1)
        for name in ("intercept", "least", "most"):
            check_floats(name, getattr(self, name), count)
        if (self.least > self.most).any():
            raise ValueError("least contains values above those of most")
        if len(set(self.target.tolist())) < count:
            raise ValueError("target names a column twice")

    def filled(self, x: Floats, batch: NDArray[np.int64] | None = None) -> Floats:
        """Return (n, c) values without gaps.

        Args:
            x: (n, c) values, NaN where missing.
            batch: (n,) codes of the rows' scanners or sites; needed where there are ``batches``.
        """
        gaps = np.isnan(x)
        whole = np.where(gaps, self.start, x)
        rows = np.flatnonzero(gaps[:, self.target].any(axis=1))
        if not len(rows):
            return np.asarray(whole)
        part, lacking = whole[rows], gaps[rows]
        if len(self.batches):
            assert batch is not None
            part = np.hstack([part, batch[rows, None] == self.batches])
        whole[rows] = self._solved(part, lacking)[:, : x.shape[1]]
        return np.asarray(whole)

    def _solved(self, x: Floats, gaps: NDArray[np.bool_]) -> Floats:
        """Return rows whose gaps satisfy the equations; each row stops when it has settled."""
        moving = np.ones(len(x), bool)
        for _ in range(_MOST_ROUNDS):
            moved = np.zeros(len(x), bool)
            for place, column in enumerate(self.target):
                rows = np.flatnonzero(gaps[:, column] & moving)
                if not len(rows):
                    continue
                # Sums of each row, not a matrix product, whose last bits depend on the other rows.
                terms = x[np.ix_(rows, self.predictors[place])] * self.coefficients[place]
                value = self.intercept[place] + terms.sum(axis=1)
                value = np.clip(value, self.least[place], self.most[place])
                limit = _SETTLED * (self.most[place] - self.least[place])
                moved[rows] |= np.abs(value - x[rows, column]) > limit
                x[rows, column] = value
            moving &= moved
            if not moving.any():
                break
        return x

    def restricted(self, columns: NDArray[np.intp]) -> tuple[Equations, NDArray[np.intp]]:
        """Return the equations that some columns need, and the columns of these equations.

        The columns asked for come first, then those that their equations need. They are filled as
        by all equations, bit for bit.

        Args:
            columns: (k,) indices.
        """
        place_of = {int(column): place for place, column in enumerate(self.target)}
        width, needed = len(self.start), list(map(int, columns))
        seen = set(needed)
        for column in needed:  # which grows
            place = place_of.get(column)
            if place is None:
                continue
            used = self.predictors[place][self.coefficients[place] != 0]
            new = [int(other) for other in used if other < width and int(other) not in seen]
            needed += new
            seen.update(new)
        index = np.zeros(width + len(self.batches), np.int64)
        index[needed] = np.arange(len(needed))
        index[width:] = len(needed) + np.arange(len(self.batches))
        kept = [place for place, column in enumerate(self.target) if int(column) in seen]
        used = self.coefficients[kept] != 0
        found = Equations(
            self.start[needed],
            self.batches,
            index[self.target[kept]],
            np.where(used, index[self.predictors[kept]], 0),
            self.coefficients[kept],
            self.intercept[kept],
            self.least[kept],
            self.most[kept],
        )
        return found, np.array(needed, np.intp)
