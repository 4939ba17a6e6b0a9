"""Put the score of a model of many columns beside a few columns, in one model of the same kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SCORE = "radiomics score"


@dataclass(frozen=True)
class BesideScore:
    """A model of a few columns and, last, the score of another model.

    It takes (n, width + few) columns: those of ``first``, then the few.

    Attributes:
        first: the fitted model that gives the score.
        width: number of its columns.
        few: number of columns beside the score.
        centre: mean of the score over the training rows.
        last: the model that was fitted to the few columns and the score out of inner folds.
        linear: (model, columns) → (n,) log odds or log hazards.
    """

    first: Any
    width: int
    few: int
    centre: float
    last: Any
    linear: Callable[[Any, np.ndarray], np.ndarray]

    def columns(self, x: np.ndarray) -> np.ndarray:
        """Return the (n, few + 1) columns that the last model sees."""
        score = self.linear(self.first, x[:, : self.width]) - self.centre
        return np.column_stack([x[:, self.width :], score])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) log hazards."""
        return np.asarray(self.last.predict(self.columns(x)))

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, 2) probabilities."""
        return np.asarray(self.last.predict_proba(self.columns(x)))

    def predict_survival(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return (n, times) probabilities of being event-free at each time."""
        return np.asarray(self.last.predict_survival(self.columns(x), times))
