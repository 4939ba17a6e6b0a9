"""What a saved model computes from prepared columns: probabilities, log hazards, curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from scipy.special import expit

from pancseg.modelling.plain.arrays import Floats, check_floats
from pancseg.modelling.plain.trees import Trees

Kind = Literal["subtype", "survival"]


class Predictor(Protocol):
    """What is computed from (n, columns) prepared values.

    * ``kind``: what it predicts.
    * ``columns``: number of columns that it needs; None: it uses none, or any number.
    * ``score``: (n,) probabilities of the positive class, or log hazards.
    * ``event_free``: (n, times) probabilities of being event-free; survival only.
    """

    kind: ClassVar[Kind]

    @property
    def columns(self) -> int | None: ...  # noqa: D102
    def score(self, x: Floats) -> Floats: ...  # noqa: D102
    def event_free(self, x: Floats, times: Floats) -> Floats: ...  # noqa: D102


class _Subtype:
    kind: ClassVar[Kind] = "subtype"

    def event_free(self, x: Floats, times: Floats) -> Floats:
        raise NotImplementedError("a class has no survival curves")


class _Survival:
    kind: ClassVar[Kind] = "survival"


@dataclass(frozen=True)
class Logistic(_Subtype):
    """A logistic regression.

    Attributes:
        coefficients: (columns,).
        intercept: (1,).
    """

    coefficients: Floats
    intercept: Floats

    def __post_init__(self) -> None:
        check_floats("coefficients", self.coefficients, None)
        check_floats("intercept", self.intercept, 1)

    @property
    def columns(self) -> int | None:
        """Return the number of coefficients."""
        return len(self.coefficients)

    def score(self, x: Floats) -> Floats:
        """Return (n,) probabilities of the positive class."""
        return np.asarray(expit(x @ self.coefficients + self.intercept))


@dataclass(frozen=True)
class Constant(_Subtype):
    """The same probability for every patient.

    Attributes:
        share: (1,) of the positive class in the training rows.
    """

    share: Floats

    def __post_init__(self) -> None:
        _check_shares("share", self.share, 1)

    @property
    def columns(self) -> int | None:
        """Return None: no column is used."""
        return None

    def score(self, x: Floats) -> Floats:
        """Return (n,) equal probabilities."""
        return np.full(len(x), self.share[0])


@dataclass(frozen=True)
class ForestOfClasses(_Subtype):
    """A random forest: the mean over trees of the share of the positive class in a leaf."""

    trees: Trees

    def __post_init__(self) -> None:
        _check_shares("trees: value", self.trees.value, None)

    @property
    def columns(self) -> int | None:
        """Return the smallest number of columns that the trees need."""
        return self.trees.columns()

    def score(self, x: Floats) -> Floats:
        """Return (n,) probabilities of the positive class."""
        return _mean_of(self.trees, x)


@dataclass(frozen=True)
class BoostedTrees(_Subtype):
    """Gradient boosting: the leaves' values add up to a log odds.

    Attributes:
        baseline: (1,) log odds before the first tree.
        trees: the trees.
    """

    baseline: Floats
    trees: Trees

    def __post_init__(self) -> None:
        check_floats("baseline", self.baseline, 1)

    @property
    def columns(self) -> int | None:
        """Return the smallest number of columns that the trees need."""
        return self.trees.columns()

    def score(self, x: Floats) -> Floats:
        """Return (n,) probabilities of the positive class."""
        return np.asarray(expit(self.log_odds(x)))

    def log_odds(self, x: Floats) -> Floats:
        """Return (n,) log odds of the positive class."""
        total = np.full(len(x), self.baseline[0])
        for values in self.trees.values_of(x):
            total += values
        return total


@dataclass(frozen=True)
class Cox(_Survival):
    """A Cox model.

    Attributes:
        coefficients: (columns,) log hazard ratios.
        mean: (columns,) means of the training rows.
        times: (t,) event times.
        hazard: (t,) cumulative baseline hazard from each of them on, for a patient at ``mean``.
    """

    coefficients: Floats
    mean: Floats
    times: Floats
    hazard: Floats

    def __post_init__(self) -> None:
        check_floats("coefficients", self.coefficients, None)
        check_floats("mean", self.mean, len(self.coefficients))
        _check_curve("hazard", self.times, self.hazard)
        if (self.hazard < 0).any() or (np.diff(self.hazard) < 0).any():
            raise ValueError("hazard is negative or falls")

    @property
    def columns(self) -> int | None:
        """Return the number of coefficients."""
        return len(self.coefficients)

    def score(self, x: Floats) -> Floats:
        """Return (n,) log partial hazards."""
        # Clipped so that a patient far outside the training rows does not overflow.
        return np.asarray(np.clip((x - self.mean) @ self.coefficients, -30, 30))

    def event_free(self, x: Floats, times: Floats) -> Floats:
        """Return (n, times) probabilities."""
        step = np.searchsorted(self.times, times, side="right")
        hazard = np.concatenate([[0.0], self.hazard])[step]
        return np.asarray(np.exp(-np.exp(self.score(x))[:, None] * hazard[None, :]))


@dataclass(frozen=True)
class SurvivalForest(_Survival):
    """A random forest, and a Cox model of its output as the only column."""

    trees: Trees
    cox: Cox

    def __post_init__(self) -> None:
        if self.cox.columns != 1:
            raise ValueError(f"the Cox model of a forest has {self.cox.columns} columns, not 1")

    @property
    def columns(self) -> int | None:
        """Return the smallest number of columns that the trees need."""
        return self.trees.columns()

    def score(self, x: Floats) -> Floats:
        """Return (n,) log partial hazards."""
        return self.cox.score(_mean_of(self.trees, x)[:, None])

    def event_free(self, x: Floats, times: Floats) -> Floats:
        """Return (n, times) probabilities."""
        return self.cox.event_free(_mean_of(self.trees, x)[:, None], times)


@dataclass(frozen=True)
class KaplanMeier(_Survival):
    """The same curve for every patient.

    Attributes:
        times: (t,) event times.
        event_free_share: (t,) Kaplan–Meier's curve from each of them on.
    """

    times: Floats
    event_free_share: Floats

    def __post_init__(self) -> None:
        _check_curve("event_free_share", self.times, self.event_free_share)
        _check_shares("event_free_share", self.event_free_share, None)

    @property
    def columns(self) -> int | None:
        """Return None: no column is used."""
        return None

    def score(self, x: Floats) -> Floats:
        """Return zeros."""
        return np.zeros(len(x))

    def event_free(self, x: Floats, times: Floats) -> Floats:
        """Return (n, times) probabilities."""
        step = np.searchsorted(self.times, times, side="right")
        curve = np.concatenate([[1.0], self.event_free_share])[step]
        return np.tile(curve, (len(x), 1))


PREDICTORS: dict[str, type] = {
    "logistic": Logistic,
    "constant": Constant,
    "forest": ForestOfClasses,
    "boosting": BoostedTrees,
    "cox": Cox,
    "survival_forest": SurvivalForest,
    "kaplan_meier": KaplanMeier,
}
"""Predictors of prepared columns by their name in a file."""


def _mean_of(trees: Trees, x: Floats) -> Floats:
    """Return the mean over trees of the value of each row's leaf; scikit-learn rounds rows so."""
    with np.errstate(over="ignore"):
        single = x.astype(np.float32)
    total = np.zeros(len(x))
    for values in trees.values_of(single):
        total += values
    return total / len(trees.roots)


def _check_shares(what: str, values: Floats, length: int | None) -> None:
    check_floats(what, values, length)
    if ((values < 0) | (values > 1)).any():
        raise ValueError(f"{what} contains values outside 0–1")


def _check_curve(what: str, times: Floats, values: Floats) -> None:
    check_floats("times", times, None)
    check_floats(what, values, len(times))
    if (np.diff(times) <= 0).any():
        raise ValueError("times are not in rising order")
