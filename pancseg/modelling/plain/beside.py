"""Trees of a few columns and of the score of other trees, as a saved model computes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from pancseg.modelling.plain.arrays import Floats, check_floats, check_indices
from pancseg.modelling.plain.predictors import (
    PREDICTORS,
    BoostedTrees,
    ForestOfClasses,
    Predictor,
    SurvivalForest,
    _Subtype,
    _Survival,
)

_MOST_COLUMNS = 1_000_000


class _Beside:
    """The columns of ``first``, then ``few`` columns; ``last`` sees these and the score."""

    first: Any
    last: Any
    centre: Floats
    few: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_floats("centre", self.centre, 1)
        check_indices("few", self.few, 1, _MOST_COLUMNS)
        if self.last.columns > self.few[0] + 1:
            raise ValueError(f"{self.last.columns} columns beside a score, not {self.few[0]}")

    @property
    def columns(self) -> int | None:
        """Return the smallest number of columns that is needed."""
        return int(self.first.columns + self.few[0])

    @property
    def is_of_trees(self) -> bool:
        """Return True: not every column need be looked at."""
        return True

    def linear(self, x: Floats) -> Floats:
        """Return (n,) log odds or log hazards of ``first``."""
        return np.asarray(self.first.score(x))

    def seen(self, x: Floats) -> Floats:
        """Return the (n, few + 1) columns that ``last`` sees."""
        width = x.shape[1] - int(self.few[0])
        score = self.linear(x[:, :width]) - self.centre[0]
        return np.column_stack([x[:, width:], score])

    def score(self, x: Floats) -> Floats:
        """Return (n,) probabilities of the positive class, or log hazards."""
        return np.asarray(self.last.score(self.seen(x)))


@dataclass(frozen=True)
class ForestBesideScore(_Beside, _Subtype):
    """A random forest beside the log odds of another, which is held between -7 and 7.

    Attributes:
        first: the forest whose score is a column.
        last: the forest of the few columns and the score.
        centre: (1,) mean of the score over the training rows.
        few: (1,) number of columns beside the score.
    """

    first: ForestOfClasses
    last: ForestOfClasses
    centre: Floats
    few: NDArray[np.int64]

    def linear(self, x: Floats) -> Floats:
        """Return (n,) log odds."""
        return np.asarray(logit(np.clip(self.first.score(x), 1e-3, 1 - 1e-3)))


@dataclass(frozen=True)
class BoostingBesideScore(_Beside, _Subtype):
    """Gradient boosting beside the log odds of another; attributes as above."""

    first: BoostedTrees
    last: BoostedTrees
    centre: Floats
    few: NDArray[np.int64]

    def linear(self, x: Floats) -> Floats:
        """Return (n,) log odds."""
        return self.first.log_odds(x)


@dataclass(frozen=True)
class SurvivalForestBesideScore(_Beside, _Survival):
    """A survival forest beside the log hazard of another; attributes as above."""

    first: SurvivalForest
    last: SurvivalForest
    centre: Floats
    few: NDArray[np.int64]

    def event_free(self, x: Floats, times: Floats) -> Floats:
        """Return (n, times) probabilities."""
        return self.last.event_free(self.seen(x), times)


BESIDE: dict[type, Any] = {
    ForestOfClasses: ForestBesideScore,
    BoostedTrees: BoostingBesideScore,
    SurvivalForest: SurvivalForestBesideScore,
}
"""Predictors beside a score by the kind of both."""
ALL_PREDICTORS: dict[str, type[Predictor]] = {
    **PREDICTORS,
    "forest_beside_score": ForestBesideScore,
    "boosting_beside_score": BoostingBesideScore,
    "survival_forest_beside_score": SurvivalForestBesideScore,
}
"""Predictors by their name in a file."""
