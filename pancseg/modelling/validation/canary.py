"""Detect leaks: run the same pipeline on data without a signal, where it must find none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student

from pancseg.modelling.cross_validation.nested_cv import validate
from pancseg.modelling.cross_validation.out_of_fold import ValidationResult
from pancseg.modelling.cross_validation.plan import ValidationPlan, only
from pancseg.modelling.validation import measures

LEVEL = 0.005
"""One-sided level of each of the two canaries: one sound pipeline in a hundred is refused."""

POWERLESS = 0.7
"""A canary that would miss a leak up to this AUC or C says nothing for a pipeline."""
ENOUGH = 8
"""From fewer runs, what would be found cannot be told either."""
_POWER = 0.8


@dataclass(frozen=True)
class Canary:
    """AUC or Harrell's C of the pipeline on data without a signal.

    Attributes:
        what: permuted outcomes, or noise features.
        values: one per run.
        mean: mean of the values.
        low: lower end of the mean's one-sided 99.5 % interval.
        detectable: the mean at which four of five such canaries would find the leak.
    """

    what: str
    values: tuple[float, ...]
    mean: float
    low: float
    detectable: float = 1.0

    @property
    def powerless(self) -> bool:
        """Whether the runs are too few, or only a leak that nobody overlooks would be found."""
        return self.detectable > POWERLESS or len(self.values) < ENOUGH

    @property
    def sings(self) -> bool:
        """Whether a signal was found where there is none."""
        return self.low > 0.5


def run_canaries(
    plan: ValidationPlan,
    name: str,
    runs: int,
    workers: int = 1,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Canary]:
    """Run the model ``name`` on permuted outcomes and on noise features, one repeat each.

    Args:
        plan: the validation plan with the real data.
        name: of the model.
        runs: number of runs of each kind; 0: none.
        workers: number of processes.
        tell: called with a line after each run.
    """
    if runs == 0:
        return []
    alone = only(plan, name)
    specs = [replace(spec, shuffles=0) for spec in alone.specs]
    small = replace(alone, specs=specs, repeats=1)
    found = []
    for what, variants in (("permuted outcomes", _permuted), ("noise features", _noise)):
        values = []
        for run, variant in enumerate(variants(small, runs), start=1):
            values.append(discrimination(variant, validate(variant, workers), name))
            tell(f"canary, {what}, {run} of {runs}")
        found.append(judged(what, values))
    return found


def judged(what: str, values: list[float]) -> Canary:
    """Return the canary with the values of all runs; after a single run it cannot sing."""
    spread = np.std(values, ddof=1) if len(values) > 1 else np.inf
    mean, freedom = float(np.mean(values)), max(len(values) - 1, 1)
    error = spread / np.sqrt(len(values))
    level = float(student.ppf(1 - LEVEL, freedom))
    shift = brentq(lambda many: nct.sf(level, freedom, many) - _POWER, 0, 10 * level)
    detectable = min(1.0, 0.5 + float(shift * error))
    return Canary(what, tuple(values), mean, float(mean - level * error), detectable)


def discrimination(plan: ValidationPlan, found: ValidationResult, name: str) -> float:
    """Return the AUC or Harrell's C of one model, over pairs of patients within a test fold."""
    y = plan.y
    pair = measures.class_pairs if y.dtype.names is None else measures.harrell_pairs
    score = found.models[name].score
    parts = [
        (r, np.flatnonzero(found.folds[r] == f))
        for r in range(len(score))
        for f in range(plan.outer)
    ]
    pairs = ((rows, score[r, rows], pair(y[rows])) for r, rows in parts)
    return float(measures.pair_measure(pairs, np.ones((1, len(y))))[0])


def _permuted(plan: ValidationPlan, runs: int) -> Iterator[ValidationPlan]:
    """Yield plans in which outcomes are permuted between patients."""
    for run in range(runs):
        order = np.random.default_rng([plan.seed, 1, run]).permutation(len(plan.y))
        # Strata hold the batch too, which stays with its patient.
        event = plan.strata % 2
        strata = plan.strata - event + event[order]
        yield replace(plan, y=plan.y[order], strata=strata, seed=plan.seed + 1 + run)


def _noise(plan: ValidationPlan, runs: int) -> Iterator[ValidationPlan]:
    """Yield plans whose features are normal noise, with as many gaps as the real ones.

    Gaps are permuted between patients: a gap may be associated with the outcome, which is a signal
    and not a leak.
    """
    for run in range(runs):
        random = np.random.default_rng([plan.seed, 2, run])
        blocks, order = {}, random.permutation(len(plan.y))
        for name, block in plan.blocks.items():
            x = random.normal(size=block.x.shape)
            x[np.isnan(block.x)[order]] = np.nan
            batches = x.shape[1] - len(block.names)
            x[:, :batches] = block.x[:, :batches]
            blocks[name] = replace(block, x=x)
        yield replace(plan, blocks=blocks, seed=plan.seed + 1 + run)
