"""A fitted model without a library: the columns that it uses, their preparation, its predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pancseg.modelling.plain.arrays import Floats, check_floats, check_indices
from pancseg.modelling.plain.equations import Equations
from pancseg.modelling.plain.predictors import Predictor

MOST_BATCHES = 1_000_000


@dataclass(frozen=True)
class Scaling:
    """Fixed values for gaps, winsorising and scaling of k columns.

    Attributes:
        median: (k,) what replaces a missing value.
        low, high: (k,) the range that values are moved into; the largest numbers: no limit.
        centre, spread: (k,) subtracted from each column, then divided by.
    """

    median: Floats
    low: Floats
    high: Floats
    centre: Floats
    spread: Floats

    def __post_init__(self) -> None:
        check_floats("median", self.median, None)
        for name in ("centre", "low", "high"):
            check_floats(name, getattr(self, name), len(self.median))
        if (self.low > self.high).any():
            raise ValueError("low contains values above those of high")
        check_floats("spread", self.spread, len(self.median))
        if (self.spread <= 0).any():
            raise ValueError("spread contains values that are not positive")


@dataclass(frozen=True)
class BatchEffects:
    """ComBat's estimates for k columns (:mod:`pancseg.modelling.estimators.combat`).

    Attributes:
        batches: (b,) codes of the scanners or sites, rising.
        mean, scale: (k,) grand mean and pooled standard deviation.
        shift, spread: (b, k) location and standard deviation of each batch.
    """

    batches: NDArray[np.int64]
    mean: Floats
    scale: Floats
    shift: Floats
    spread: Floats

    def __post_init__(self) -> None:
        check_indices("batches", self.batches, None, MOST_BATCHES)
        if not len(self.batches) or (np.diff(self.batches) <= 0).any():
            raise ValueError("batches are not in rising order")
        check_floats("mean", self.mean, None)
        check_floats("scale", self.scale, len(self.mean))
        for name in ("shift", "spread"):
            check_floats(name, getattr(self, name), len(self.batches), len(self.mean))
        if (self.scale <= 0).any() or (self.spread <= 0).any():
            raise ValueError("scale or spread contains values that are not positive")

    def removed_from(self, x: Floats, batch: NDArray[np.int64]) -> Floats:
        """Return (n, k) values without the shift and spread of their batches.

        Raises:
            ValueError: a batch that was not in the training rows.
        """
        index = np.searchsorted(self.batches, batch).clip(max=len(self.batches) - 1)
        unseen = self.batches[index] != batch
        if unseen.any():
            raise ValueError(
                f"`batch`: {int(unseen.sum())} patients are of a scanner or site that the model "
                "has not seen, so ComBat cannot harmonise them; leave them out, or fit a model "
                "without `batch`"
            )
        z = ((x - self.mean) / self.scale - self.shift[index]) / self.spread[index]
        return np.asarray(z * self.scale + self.mean)


@dataclass(frozen=True)
class Imputation:
    """The equations that estimate missing values of c columns, and what they see.

    Attributes:
        low, high: (c,) the range that values are moved into first.
        equations: of these columns.
    """

    low: Floats
    high: Floats
    equations: Equations

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            check_floats(name, getattr(self, name), len(self.equations.start))
        if (self.low > self.high).any():
            raise ValueError("low contains values above those of high")


@dataclass(frozen=True)
class UsedColumns:
    """The columns of a block that a model uses, and their preparation.

    Attributes:
        block: name of the block.
        names: names of the columns.
        scaling: fixed values for gaps, winsorising and scaling.
        effects: scanner or site effects to remove; None: none.
        imputation: equations that estimate missing values of the columns; None: gaps are filled
            with ``scaling.median``.
        beside: names of further columns, which only ``imputation`` uses; they follow ``names``.
    """

    block: str
    names: tuple[str, ...]
    scaling: Scaling
    effects: BatchEffects | None = None
    imputation: Imputation | None = None
    beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.scaling.median)
        if len(self.names) != count or (self.effects and len(self.effects.mean) != count):
            raise ValueError(f"{len(self.names)} columns are named, but {count} are prepared")
        imputed = len(self.imputation.low) if self.imputation else count
        if count + len(self.beside) != imputed:
            raise ValueError(
                f"{count + len(self.beside)} columns are named, but {imputed} are imputed"
            )

    def prepared(self, values: pd.DataFrame, batch: NDArray[np.int64] | None) -> Floats:
        """Return (n, k) prepared values.

        Args:
            values: the block; a column that it lacks counts as missing values.
            batch: (n,) codes of the rows' scanners or sites; needed where there are ``effects``.
        """
        x = values.reindex(columns=pd.Index([*self.names, *self.beside])).to_numpy(float)
        if self.imputation is not None:
            x = np.clip(x, self.imputation.low, self.imputation.high)
            x = self.imputation.equations.filled(x, batch)[:, : len(self.names)]
        x = np.where(np.isnan(x), self.scaling.median, x)
        x = np.clip(x, self.scaling.low, self.scaling.high)
        if self.effects is not None:
            assert batch is not None
            x = self.effects.removed_from(x, batch)
        return np.asarray((x - self.scaling.centre) / self.scaling.spread)


@dataclass(frozen=True)
class PlainModel:
    """A fitted model in plain numbers.

    Attributes:
        parts: the columns that it uses, by block.
        predictor: what is computed from them, side by side.
        weights: (columns,) coefficient or importance of each column; 1 where the model has neither.
        threshold: score that separates high from low risk.
    """

    parts: tuple[UsedColumns, ...]
    predictor: Predictor
    weights: Floats
    threshold: float

    def __post_init__(self) -> None:
        count = len(self.columns)
        check_floats("weights", self.weights, count)
        needed = self.predictor.columns
        fits = needed is None or (needed <= count if self.is_of_trees else needed == count)
        if not fits:
            raise ValueError(f"the model needs {needed} columns, but {count} are prepared")

    @property
    def is_of_trees(self) -> bool:
        """Whether the predictor follows trees, which need not look at every column."""
        return hasattr(self.predictor, "trees") or hasattr(self.predictor, "is_of_trees")

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks that it uses."""
        return tuple(part.block for part in self.parts)

    @property
    def imputes(self) -> bool:
        """Whether it has equations for missing values."""
        return any(part.imputation is not None for part in self.parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it uses, in the order of ``weights``."""
        return tuple(name for part in self.parts for name in part.names)

    def prepared(
        self, blocks: Mapping[str, pd.DataFrame], batch: NDArray[np.int64] | None, rows: int
    ) -> Floats:
        """Return (rows, columns) prepared values; a model without blocks has no column."""
        parts = [part.prepared(blocks[part.block], batch) for part in self.parts]
        return np.hstack(parts) if parts else np.empty((rows, 0))
