"""Owns the leakage canary: the same pipeline where there is nothing to find must find nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from pancseg.modelling.validation import measures
from pancseg.modelling.validation.nested_cv import ValidationPlan, ValidationResult, only, validate

LEVEL = 0.005
"""Of each canary, one-sided: a sound pipeline is refused in one study of a hundred."""


@dataclass(frozen=True)
class Canary:
    """AUC or C of the pipeline on outcomes that carry nothing.

    Attributes:
        what: permuted outcomes, or noise features.
        values: one per run.
        mean, low: and the lower end of the mean's one-sided 99.5 % interval.
    """

    what: str
    values: tuple[float, ...]
    mean: float
    low: float

    @property
    def sings(self) -> bool:
        """Whether something was found where nothing is."""
        return self.low > 0.5


def run_canaries(
    study: ValidationPlan,
    name: str,
    runs: int,
    workers: int = 1,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Canary]:
    """Run the recipe ``name`` on permuted outcomes and on noise features, one repeat each."""
    if runs == 0:
        return []
    own = only(study, name)
    small = replace(own, recipes=[replace(r, shuffles=0) for r in own.recipes], repeats=1)
    found = []
    for what, variants in (("permuted outcomes", _permuted), ("noise features", _noise)):
        values = []
        for place, variant in enumerate(variants(small, runs)):
            values.append(discrimination(variant, validate(variant, workers), name))
            tell(f"canary, {what}, {place + 1} of {runs}")
        found.append(judged(what, values))
    return found


def judged(what: str, values: list[float]) -> Canary:
    """Return the verdict on the values of all runs; a single run cannot sing."""
    spread = np.std(values, ddof=1) if len(values) > 1 else np.inf
    mean = float(np.mean(values))
    reach = student.ppf(1 - LEVEL, max(len(values) - 1, 1)) * spread / np.sqrt(len(values))
    return Canary(what, tuple(values), mean, float(mean - reach))


def discrimination(study: ValidationPlan, found: ValidationResult, name: str) -> float:
    """Return AUC or Harrell's C of one recipe, pairs within test folds."""
    y = study.y
    pair = measures.class_pairs if y.dtype.names is None else measures.harrell_pairs
    score = found.models[name].score
    parts = [
        (r, np.flatnonzero(found.folds[r] == f))
        for r in range(len(score))
        for f in range(study.outer)
    ]
    pairs = ((rows, score[r, rows], pair(y[rows])) for r, rows in parts)
    return float(measures.pair_measure(pairs, np.ones((1, len(y))))[0])


def _permuted(study: ValidationPlan, runs: int) -> Iterator[ValidationPlan]:
    """Yield studies in which outcomes belong to other patients."""
    for run in range(runs):
        order = np.random.default_rng([study.seed, 1, run]).permutation(len(study.y))
        # Strata hold the batch too, which stays with its patient.
        event = study.strata % 2
        strata = study.strata - event + event[order]
        yield replace(study, y=study.y[order], strata=strata, seed=study.seed + 1 + run)


def _noise(study: ValidationPlan, runs: int) -> Iterator[ValidationPlan]:
    """Yield studies whose features are normal noise, as often missing as the real ones.

    Rows miss what other patients' rows do: who lacks a feature may tell of the outcome, and that is
    no leak.
    """
    for run in range(runs):
        random = np.random.default_rng([study.seed, 2, run])
        blocks, order = {}, random.permutation(len(study.y))
        for name, block in study.blocks.items():
            x = random.normal(size=block.x.shape)
            x[np.isnan(block.x)[order]] = np.nan
            batches = x.shape[1] - len(block.names)
            x[:, :batches] = block.x[:, :batches]
            blocks[name] = replace(block, x=x)
        yield replace(study, blocks=blocks, seed=study.seed + 1 + run)
