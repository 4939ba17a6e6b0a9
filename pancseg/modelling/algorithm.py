"""Give an algorithm the forms in which it is compared: of many columns, of few, of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from pancseg.modelling.estimators.described import described
from pancseg.modelling.estimators.preparation import ScoreFunction, Strongest

Candidates = tuple[BaseEstimator, ...]
"""Unfitted estimators, the simplest first; the inner folds choose one."""


class Many(Protocol):
    """Returns candidates for many columns.

    ``smallest`` is the number of training patients in the smaller class, or with an event.
    """

    def __call__(self, smallest: int, seed: int) -> Candidates: ...  # noqa: D102


class Few(Protocol):
    """Returns candidates for a few columns, of which none is dropped.

    ``rising`` is the number of columns where the last one may only raise the risk; 0: no column is
    special.
    """

    def __call__(self, smallest: int, seed: int, rising: int = 0) -> Candidates: ...  # noqa: D102


@dataclass(frozen=True)
class Algorithm:
    """One algorithm in all of the forms that a comparison needs.

    Trees are fitted in the same way on both sides of a comparison. The linear models of the two
    sides differ in their penalty: that of many columns is tuned, that of few columns is practically
    none. Where few columns stand beside a score, they are fitted as the few columns alone are.

    Attributes:
        score: what ranks single columns.
        few: candidates for volume, for clinical variables, and for these beside a score.
        many_of: candidates for radiomics, penalised and tuned; None: ``few`` on the strongest
            ``columns``.
        columns: number of columns that are selected where ``many_of`` is None.
    """

    score: ScoreFunction
    few: Few
    many_of: Many | None = None
    columns: int = 0

    def many(self, smallest: int, seed: int) -> Candidates:
        """Return candidates for radiomics."""
        if self.many_of is not None:
            return self.many_of(smallest, seed)
        return self._strongest(self.columns, smallest, seed)

    def single(self, smallest: int, seed: int) -> Candidates:
        """Return candidates that see the strongest column alone."""
        return self._strongest(1, smallest, seed)

    def _strongest(self, columns: int, smallest: int, seed: int) -> Candidates:
        return tuple(selected(self.score, columns, model) for model in self.few(smallest, seed))


def distinct(candidates: Candidates, columns: int) -> Candidates:
    """Return the candidates that differ where there are only so many columns to choose from.

    One that selects as many columns as there are is a model of all columns.
    """
    found: dict[str, BaseEstimator] = {}
    for each in candidates:
        whole = isinstance(each, Pipeline) and each.named_steps["select"].k >= columns
        candidate = each[-1] if whole else each
        found.setdefault(described(candidate), candidate)
    return tuple(found.values())


def selected(score: ScoreFunction, columns: int, model: BaseEstimator) -> Pipeline:
    """Return a model of the columns that score highest, each alone."""
    return Pipeline([("select", Strongest(score, columns)), ("model", model)])
