"""What multiple imputation gives a model against medians, and whether noise stays noise.

``python studies/imputation.py [TABLES [NOISE]]`` simulates TABLES cohorts (30) a row and NOISE
tables without a signal (40); prints Markdown. Differences are paired, ± a standard error.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from pancseg.modelling import subtype, survival
from pancseg.modelling.analysis.analyse import analyse
from pancseg.modelling.cross_validation.fitted_models import fit_specs
from pancseg.modelling.cross_validation.plan import FeatureBlock, ModelSpec, ValidationPlan
from pancseg.modelling.estimators.preparation import preparation
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import CHANCE, RADIOMICS, SINGLE
from pancseg.modelling.validation import measures
from pancseg.tables.markdown_table import markdown_table

TRAINING, NEW, COLUMNS, IMPUTATIONS = 150, 1000, 30, 5
CASES = {
    "30 % of the true feature, nothing correlated": (0.0, (1, 0.3)),
    "30 % of the true feature, two columns with r = 0.6": (0.6, (1, 0.3)),
    "30 % of the true feature, two columns with r = 0.85": (0.85, (1, 0.3)),
    "10 % of every column, two columns with r = 0.85": (0.85, (COLUMNS, 0.1)),
}
"""Correlation of two columns with the true one, and in how many columns what share is missing."""


def cohort(
    seed: int, kind: str, rho: float, gaps: tuple[int, float], effect: float = 1.5
) -> tuple[np.ndarray, np.ndarray]:
    """Return features, of which the first one has an effect, and outcomes."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(TRAINING + NEW, COLUMNS))
    x[:, 1:3] = rho * x[:, :1] + np.sqrt(1 - rho**2) * x[:, 1:3]
    if kind == "survival":
        death = random.exponential(np.exp(-0.8 * effect * x[:, 0]))
        censored = random.exponential(2.0, len(x))
        y = survival_outcome(death < censored, np.minimum(death, censored))
    else:
        y = (effect * x[:, 0] + random.logistic(size=len(x)) > 0).astype(int)
    count, share = gaps
    x[:, :count][random.random((len(x), count)) < share] = np.nan
    return x, y


def plan_of(x: np.ndarray, y: np.ndarray, imputations: int, seed: int) -> ValidationPlan:
    """Return the plan of the declared linear model of these features."""
    is_class = y.dtype.names is None
    kind = subtype if is_class else survival
    event = y if is_class else y["event"].astype(int)
    names = tuple(f"f{column}" for column in range(x.shape[1]))
    block = FeatureBlock(x, names, preparation(None, False, imputations, seed))
    smaller = int(min(event[:TRAINING].sum(), (1 - event[:TRAINING]).sum())) * 4 // 5
    declared = kind.MODELS["elastic-net"]
    specs = [
        ModelSpec(RADIOMICS, (RADIOMICS,), declared.many(smaller, seed)),
        ModelSpec(SINGLE, (RADIOMICS,), declared.single(smaller, seed)),
        ModelSpec(CHANCE, (), kind.chance()),
    ]
    task = (
        subtype.SubtypeTask()
        if is_class
        else survival.SurvivalTask(
            survival.time_grid(y), survival.chosen_horizons(y, ()), survival.middle_horizon(y, ())
        )
    )
    return ValidationPlan(
        y, event, np.arange(len(y)), {RADIOMICS: block}, specs, task, inner=3, repeats=1, seed=seed
    )


def judged(seed: int, kind: str, case: str, imputations: int) -> tuple[float, float, float]:
    """Return AUC or C and loss in new patients with gaps of the same kind, and seconds."""
    x, y = cohort(seed, kind, *CASES[case])
    plan = plan_of(x, y, imputations, seed)
    plan = ValidationPlan(**{**vars(plan), "specs": plan.specs[:1]})
    began = time.perf_counter()
    fitted = fit_specs(plan, np.arange(TRAINING), seed)[RADIOMICS]
    seconds = time.perf_counter() - began
    new = slice(TRAINING, None)
    score = plan.task.predict(fitted.model, fitted.prepared({RADIOMICS: x[new]}))
    rank = measures.auc if kind == "subtype" else measures.harrell
    loss = plan.task.loss(y[new], score, np.zeros(len(score)))
    return float(rank(y[new], score)), loss, seconds


def row(kind: str, case: str, tables: int) -> list[str]:
    """Return a row: measures by medians, and the differences."""
    both = np.array(
        [[judged(seed, kind, case, count) for count in (1, IMPUTATIONS)] for seed in range(tables)]
    )
    cells = [kind, case]
    for place, digits in ((0, 3), (1, 3)):
        gained = both[:, 1, place] - both[:, 0, place]
        error = gained.std(ddof=1) / np.sqrt(tables)
        cells += [f"{both[:, 0, place].mean():.{digits}f}", f"{gained.mean():+.4f} ± {error:.4f}"]
    return [*cells, f"{both[:, 1, 2].sum() / both[:, 0, 2].sum():.1f}"]


def called_better(seed: int, imputations: int) -> tuple[bool, float]:
    """Return whether a model of noise with gaps is called better than chance, and its AUC."""
    x, y = cohort(seed, "subtype", 0.6, (COLUMNS, 0.3), effect=0.0)
    plan = plan_of(x[:TRAINING], y[:TRAINING], imputations, seed)
    settings = ModelSettings(kind="subtype", repeats=1, inner_folds=3, canary=0, seed=seed)
    found = analyse(plan, settings).measures[RADIOMICS]["AUC"]
    return bool(found.low > 0.5), found.value


def main(tables: int, noise: int) -> None:
    """Print both tables."""
    threadpool_limits(1)
    titles = ["outcome", "missing", "AUC or C, medians", f"{IMPUTATIONS} imputations"]
    titles += ["loss, medians", f"{IMPUTATIONS} imputations", "times as long"]
    rows = [row(kind, case, tables) for kind in ("subtype", "survival") for case in CASES]
    print(markdown_table(titles, rows, left=2), flush=True)
    rows = []
    for name, count in (("medians", 1), (f"{IMPUTATIONS} imputations", IMPUTATIONS)):
        found = [called_better(seed, count) for seed in range(noise)]
        mean = np.mean([value for _, value in found])
        rows.append([name, f"{sum(better for better, _ in found)} of {noise}", f"{mean:.3f}"])
    print(markdown_table(["noise, 30 % missing", "called better", "mean AUC"], rows, left=1))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ["30", "40"]))
