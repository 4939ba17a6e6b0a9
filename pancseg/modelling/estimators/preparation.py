"""Prepare features for a model with scikit-learn steps that are fitted on training rows alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from pancseg.modelling.estimators.chained import Chained
from pancseg.modelling.estimators.combat import ComBat
from pancseg.modelling.estimators.fences import Filled, Winsorised
from pancseg.modelling.estimators.redundancy import Unredundant

ScoreFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
MOST_MISSING = 0.5
"""Largest share of missing values in a feature, over all patients: half."""
FEWEST_DIFFERENT = 0.05
_ORDER = "strongest first"


class Varied(TransformerMixin, BaseEstimator):
    """Keep columns that vary.

    A column is dropped when fewer than 5 % of its values differ from the most frequent one. Gaps
    drop none: whether a column has too many is decided once, on all patients, and not by the
    patients of a fold (:func:`pancseg.modelling.inputs.gaps.without_gaps`).

    Args:
        spared: number of columns at the start that are always kept (the batch).
        fewest_different: smallest share of values that differ from the most frequent one.
    """

    def __init__(self, spared: int = 0, fewest_different: float = FEWEST_DIFFERENT) -> None:
        self.spared, self.fewest_different = spared, fewest_different

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Choose columns from training rows; ``y`` is not used."""
        ordered = np.sort(x, axis=0)  # NaN last
        most = _longest_runs(ordered)
        present = (~np.isnan(x)).sum(axis=0)
        different = present - most
        kept = (different > 0) & (different >= self.fewest_different * present)
        kept[: self.spared] = True
        self.kept_ = np.flatnonzero(kept)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the kept columns."""
        return x[:, self.kept_]


class Strongest(TransformerMixin, BaseEstimator):
    """Keep the ``k`` columns that score highest, each alone, against the training outcome.

    Args:
        score: (x, y) → (p,) scores; higher is stronger.
        k: number of columns.
    """

    def __init__(self, score: ScoreFunction, k: int = 10) -> None:
        self.score, self.k = score, k

    def fit(self, x: np.ndarray, y: np.ndarray, shared: dict[str, Any] | None = None) -> Self:
        """Choose columns from training rows and their outcomes.

        Args:
            x: (n, p) columns.
            y: (n,) outcome.
            shared: results that models fitted to the same columns and rows have in common.
        """
        return self.fit_tables([x], y, shared)

    def fit_tables(
        self, tables: Sequence[np.ndarray], y: np.ndarray, shared: dict[str, Any] | None = None
    ) -> Self:
        """Choose the same columns for several completed tables, by the mean of their scores."""
        shared = {} if shared is None else shared
        key = f"{_ORDER}, {self.score.__qualname__}"
        if key not in shared:
            scores = np.mean([np.nan_to_num(self.score(x, y), nan=-1.0) for x in tables], axis=0)
            shared[key] = np.lexsort((np.arange(len(scores)), -scores))
        self.kept_ = np.sort(shared[key][: self.k])
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the kept columns."""
        return x[:, self.kept_]


class Cleaned(TransformerMixin, BaseEstimator):
    """Drop near-constant columns, pull in values far out, fill gaps, remove batch effects.

    Last, redundant columns are dropped.

    These are one step because :class:`Unredundant` has to know which columns :class:`Varied` kept.
    Batch effects and redundancy are judged by the training rows as new rows are filled: with
    ``imputations``, by the expected values of what is missing.

    Args:
        stability: (columns of X without the batch) ICC, as in :class:`Unredundant`.
        batch: whether column 0 of X holds the code of the batch, for :class:`ComBat`.
        imputations: number of completed tables; 1: gaps are filled by :class:`Filled`.
        seed: random seed of the imputations.

    Attributes:
        kept_: indices of the kept columns of X, not counting the batch.
        imputer_: the fitted :class:`Filled` or :class:`Chained`.
    """

    def __init__(
        self,
        stability: tuple[float, ...] | None = None,
        batch: bool = False,
        imputations: int = 1,
        seed: int = 0,
    ) -> None:
        self.stability, self.batch = stability, batch
        self.imputations, self.seed = imputations, seed

    def fit(self, x: np.ndarray, y: Any = None) -> Self:
        """Fit all parts on training rows; ``y`` is used by :class:`Chained` alone.

        Raises:
            ValueError: no column is left.
        """
        spared = int(self.batch)
        self.varied_ = Varied(spared).fit(x)
        if len(self.varied_.kept_) == spared:
            raise ValueError(
                f"no feature is left in a training fold: all {x.shape[1] - spared} are nearly "
                "constant; give features that vary"
            )
        varied = self.varied_.transform(x)
        self.fences_ = Winsorised().fit(varied)
        if self.batch:  # a code is no measurement
            self.fences_.low_[0], self.fences_.high_[0] = -np.inf, np.inf
        fenced = self.fences_.transform(varied)
        self.imputer_ = imputer(self.imputations, self.seed, self.batch).fit(fenced, y)
        filled = self.imputer_.transform(fenced)
        self.combat_ = ComBat().fit(filled) if self.batch else None
        if self.combat_ is not None:
            filled = self.combat_.transform(filled)
        left = self.varied_.kept_[spared:] - spared
        stability = None if self.stability is None else tuple(np.asarray(self.stability)[left])
        self.unredundant_ = Unredundant(stability).fit(filled)
        self.kept_ = left[self.unredundant_.kept_]
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the kept columns, without gaps, values far out and batch effects."""
        fenced = self.fences_.transform(self.varied_.transform(x))
        return self._after_filling(self.imputer_.transform(fenced))

    def taken_tables(self) -> list[np.ndarray]:
        """Return the completed training rows, prepared, and forget them; none by medians."""
        if not isinstance(self.imputer_, Chained):
            return []
        return [self._after_filling(table) for table in self.imputer_.taken_tables()]

    def _after_filling(self, filled: np.ndarray) -> np.ndarray:
        if self.combat_ is not None:
            filled = self.combat_.transform(filled)
        return np.asarray(self.unredundant_.transform(filled))


def imputer(
    imputations: int, seed: int, batch: bool = False, fixed: tuple[int, ...] = ()
) -> Filled | Chained:
    """Return the step that fills gaps; arguments are those of :class:`Chained`."""
    return Filled() if imputations == 1 else Chained(imputations, seed, batch, fixed)


def preparation(
    stability: tuple[float, ...] | None, batch: bool, imputations: int = 1, seed: int = 0
) -> Pipeline:
    """Return the steps for radiomics: :class:`Cleaned`, then scaling."""
    cleaned = Cleaned(stability, batch, imputations, seed)
    return Pipeline([("clean", cleaned), ("scale", StandardScaler())])


def plain_preparation(imputations: int = 1, seed: int = 0, fixed: tuple[int, ...] = ()) -> Pipeline:
    """Return the steps for a few chosen columns (volume, clinical)."""
    fill = imputer(imputations, seed, fixed=fixed)
    return Pipeline([("fence", Winsorised()), ("impute", fill), ("scale", StandardScaler())])


def taken_tables(steps: Pipeline) -> list[np.ndarray]:
    """Return the completed rows that steps were fitted to, prepared, and forget them.

    There are none where gaps are filled by medians, and one where there was nothing to impute.
    """
    step = steps.named_steps.get("clean", steps.named_steps.get("impute"))
    if step is None or isinstance(step, Filled):
        return []
    return [np.asarray(steps.named_steps["scale"].transform(x)) for x in step.taken_tables()]


def _longest_runs(ordered: np.ndarray) -> np.ndarray:
    """Return how often the most frequent value occurs in each sorted column (NaN last)."""
    row = np.arange(len(ordered))[:, None]
    begins = np.ones(ordered.shape, bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    length = row + 1 - np.maximum.accumulate(np.where(begins, row, 0), axis=0)
    longest: np.ndarray = np.where(np.isnan(ordered), 0, length).max(axis=0, initial=0)
    return longest
