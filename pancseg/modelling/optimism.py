"""Correct performance for optimism by the .632+ bootstrap, with tuning repeated in every sample.

A model is fitted, tuning included, to patients drawn with replacement and judged on those who were
not drawn. Their mean is too pessimistic, as a sample holds 63 % of the patients, and what the model
reaches with its own patients is too optimistic; the .632+ estimate weighs the two by how much the
model overfits (Efron and Tibshirani 1997, J Am Stat Assoc 92:548). Harrell's subtraction of the
mean optimism is not used: it is too optimistic for models that overfit strongly, as forests do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from joblib import delayed
from threadpoolctl import threadpool_limits

from pancseg.modelling.cross_validation.fitted_models import FittedModel, fit_specs
from pancseg.modelling.cross_validation.folds import inner_parts
from pancseg.modelling.cross_validation.parallel import in_processes
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.modelling.estimators.combat import FEWEST_ROWS
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.survival import SurvivalTask
from pancseg.modelling.validation import measures
from pancseg.system.processes.python_child import safe_children

CORRECTED = (RADIOMICS, SINGLE, VOLUME, CLINICAL, BOTH)
"""The models that are corrected; other algorithms, shown beside the declared one, are not."""
_OUTSIDE = 0.632
"""Share of the patients in a bootstrap sample, 1 − 1/e."""
_RANK = 0.5
"""AUC and C where predictions and outcomes are unrelated."""
_RANKS = ("AUC", "Harrell's C")
FEWEST_SAMPLES, PERFECT, SOUND = 5, 0.99, 0.95
"""Limits of :func:`trusted`: samples, AUC or C in a model's own patients, and in those left out."""
_MOST_DRAWS = 20
"""A sample that no model can be fitted to is drawn again, so often at most."""


@dataclass(frozen=True)
class Corrected:
    """A measure of one model, corrected for optimism.

    Attributes:
        apparent: of the model fitted to all patients, in these patients.
        outside: (samples,) of each sample's model, in the patients who were not drawn; NaN where
            these cannot be judged.
        no_information: expected where predictions and outcomes are unrelated.
        is_loss: whether lower values are better.
    """

    apparent: float
    outside: np.ndarray
    no_information: float
    is_loss: bool

    @property
    def samples(self) -> int:
        """Number of bootstrap samples that could be judged."""
        return int((~np.isnan(self.outside)).sum())

    @property
    def mean_outside(self) -> float:
        """Mean over the samples, in the patients who were not drawn; NaN where none was judged."""
        return float(np.nanmean(self.outside)) if self.samples else float("nan")

    @property
    def error(self) -> float:
        """Monte Carlo standard error of :attr:`value`, by the jackknife; NaN for fewer than two."""
        known = self.outside[~np.isnan(self.outside)]
        if len(known) < 2:
            return float("nan")
        means = (known.sum() - known) / (len(known) - 1)
        values = [weighed(self.apparent, m, self.no_information, self.is_loss) for m in means]
        return float(np.sqrt(len(known) - 1) * np.std(values))

    @property
    def value(self) -> float:
        """The .632+ estimate; no worse than no information unless the apparent value is."""
        if np.isnan(self.outside).all():
            return float("nan")
        return weighed(self.apparent, self.mean_outside, self.no_information, self.is_loss)


def trusted(values: Mapping[str, Corrected]) -> bool:
    """Return whether the .632+ estimates of a model can be trusted.

    Not those of few samples, which vary too much. Nor those of a model that orders its own patients
    almost without error but not those left out, as most forests do: it would do so whatever the
    outcome, and .632+ merely stretches the distance of the others from 0.5. An AUC of 0.7 in those
    left out becomes 0.76, in noise as well as with a signal.

    Args:
        values: measure → corrected value, of one model.

    Example:
        >>> few, forest, linear = (
        ...     Corrected(apparent, np.full(samples, 0.7), 0.5, is_loss=False)
        ...     for apparent, samples in ((0.8, 3), (1.0, 25), (0.8, 25))
        ... )
        >>> [trusted({"AUC": each}) for each in (few, forest, linear)]
        [False, False, True]
    """
    main = next(each for name, each in values.items() if name in _RANKS)
    if main.samples < FEWEST_SAMPLES:
        return False
    return main.apparent < PERFECT or main.mean_outside >= SOUND


def weighed(apparent: float, outside: float, none: float, is_loss: bool) -> float:
    """Return the .632+ estimate of a measure.

    Args:
        apparent: in the patients that the model was fitted to.
        outside: mean over bootstrap samples, in the patients who were not drawn.
        none: where predictions and outcomes are unrelated.
        is_loss: whether lower values are better.

    >>> round(weighed(1.0, 0.5, 0.5, is_loss=False), 3)  # all of it was overfitting
    0.5
    >>> round(weighed(0.8, 0.8, 0.5, is_loss=False), 3)  # none of it was
    0.8
    """
    sign = 1 if is_loss else -1
    own, others, worst = sign * apparent, sign * outside, sign * none
    others = min(others, worst)
    overfitted = (others - own) / (worst - own) if own < others else 0.0
    weight = _OUTSIDE / (1 - (1 - _OUTSIDE) * overfitted)
    return sign * ((1 - weight) * own + weight * others)


def corrected_for_optimism(
    plan: ValidationPlan,
    final: Mapping[str, FittedModel],
    samples: int,
    workers: int = 1,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[str, Corrected]]:
    """Return model → measure → corrected value; it does not depend on the number of workers.

    Args:
        plan: data and models.
        final: models fitted to all patients.
        samples: number of bootstrap samples; 0: nothing is corrected.
        workers: number of processes.
        tell: called with a line after each sample.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from pancseg.modelling.checked_tables import check_tables
        >>> from pancseg.modelling.fit import plan_study
        >>> from pancseg.modelling.inputs.features_table import TableOptions
        >>> from pancseg.modelling.settings import ModelSettings
        >>> from pancseg.modelling.cross_validation.fitted_models import fit_specs
        >>> settings = ModelSettings(kind="survival", outer=3, inner=2, repeats=1, canary=0)
        >>> plan = plan_study(
        ...     check_tables(
        ...         Path("features.csv"), Path("clinical.csv"), ("os_months", "os_event"),
        ...         settings, TableOptions(),
        ...     )
        ... ).plan
        >>> final = fit_specs(plan, np.arange(60), seed=0)
        >>> found = corrected_for_optimism(plan, final, samples=2)
        >>> sorted(found["radiomics"]), found["radiomics"]["Harrell's C"].samples
        (["Harrell's C", 'integrated Brier'], 2)
    """
    if not samples:
        return {}
    plan = replace(plan, specs=[spec for spec in plan.specs if spec.name in CORRECTED])
    everyone = np.arange(len(plan.y))
    own = {spec.name: _judged(plan, final[spec.name], everyone, everyone) for spec in plan.specs}
    drawn = _samples(plan, samples)
    jobs = (delayed(_outside)(plan, rows, seed) for rows, seed in drawn)
    found = []
    with safe_children():
        for number, values in enumerate(in_processes(jobs, workers), start=1):
            found.append(values)
            tell(f"bootstrap sample {number}")
    return {
        name: {
            measure: Corrected(
                value,
                np.array([each[name][measure][0] for each in found]),
                none,
                measure not in _RANKS,
            )
            for measure, (value, none) in values.items()
        }
        for name, values in own.items()
    }


def optimism_table(found: Mapping[str, Mapping[str, Corrected]]) -> pd.DataFrame:
    """Return ``optimism.csv``, from which every corrected value can be computed again."""
    rows: list[tuple[str, str, str, float]] = []
    for name, values in found.items():
        for measure, one in values.items():
            rows.append((name, measure, "apparent", one.apparent))
            rows.append((name, measure, "no information", one.no_information))
            rows += [
                (name, measure, f"outside sample {number}", float(value))
                for number, value in enumerate(one.outside, start=1)
            ]
    return pd.DataFrame(rows, columns=["model", "measure", "what", "value"])


def _samples(plan: ValidationPlan, count: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the rows and the seed of samples in which every model can be fitted.

    Patients are drawn with all of their rows, and within the class or event (and scanner) of their
    first row, so that a sample has as many of these patients as the cohort. A patient who is alone
    with a class and a scanner is in every sample, and so never judged.
    """
    names, first, member = np.unique(plan.groups, return_index=True, return_inverse=True)
    rows_of = [np.flatnonzero(member == number) for number in range(len(names))]
    strata = plan.strata[first]
    drawn = number = 0
    while drawn < count and number < _MOST_DRAWS * count:
        number += 1
        random = np.random.default_rng([plan.seed, 5, number])
        alike = (np.flatnonzero(strata == stratum) for stratum in np.unique(strata))
        chosen = np.concatenate([random.choice(patients, len(patients)) for patients in alike])
        rows = np.concatenate([rows_of[patient] for patient in chosen])
        seed = int(random.integers(2**31))
        if _can_be_fitted(plan, rows, seed):
            drawn += 1
            yield rows, seed


def _can_be_fitted(plan: ValidationPlan, rows: np.ndarray, seed: int) -> bool:
    """Return whether every inner training part has what models need, and somebody is left over.

    That is both classes, or an event, and of each scanner as many rows as ComBat needs.
    """
    groups = len(np.unique(plan.groups[rows]))
    if groups < plan.inner or groups == len(np.unique(plan.groups)):
        return False
    wanted = {0, 1} if plan.y.dtype.names is None else {1}
    for part in inner_parts(plan, rows, seed):
        scanners = np.unique(plan.strata[part] // 2, return_counts=True)[1]
        if not wanted <= set(plan.strata[part] % 2):
            return False
        if len(scanners) > 1 and scanners.min() < FEWEST_ROWS:
            return False
    return True


def _outside(
    plan: ValidationPlan, rows: np.ndarray, seed: int
) -> dict[str, dict[str, tuple[float, float]]]:
    with threadpool_limits(1):
        fitted = fit_specs(plan, rows, seed)
        others = np.setdiff1d(np.arange(len(plan.y)), rows)
        return {name: _judged(plan, model, others, rows) for name, model in fitted.items()}


def _judged(
    plan: ValidationPlan, fitted: FittedModel, rows: np.ndarray, train: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return the value of each measure in some rows, and the one without any information.

    Args:
        plan: the data.
        fitted: a model.
        rows: the rows that are predicted.
        train: the rows that the model was fitted to, for the distribution of censoring.
    """
    x = fitted.prepared({name: block.x[rows] for name, block in plan.blocks.items()})
    y, score = plan.y[rows], plan.task.predict(fitted.model, x)

    if not isinstance(plan.task, SurvivalTask):
        positive = float(y.mean())
        none = positive * ((1 - score) ** 2).mean() + (1 - positive) * (score**2).mean()
        brier = ((score - y) ** 2).mean()
        return {
            "AUC": (measures.auc(y, score), _RANK),
            "Brier": (float(brier), float(none)),
        }
    found = {"Harrell's C": (measures.harrell(y, score), _RANK)}
    times = np.asarray(plan.task.times)
    if len(times) > 1:
        free = plan.task.curves(fitted.model, x)[:, : len(times)]
        found["integrated Brier"] = _brier(y, plan.y[train], free, times)
    return found


def _brier(
    y: np.ndarray, train: np.ndarray, free: np.ndarray, times: np.ndarray
) -> tuple[float, float]:
    """Return the integrated Brier score, and that of the same predictions of random patients."""
    errors = measures.squared_errors(y, train, free, times)
    died = measures.squared_errors(y, train, np.ones_like(free), times).mean(axis=0)
    alive = measures.squared_errors(y, train, np.zeros_like(free), times).mean(axis=0)
    random = died * (free**2).mean(axis=0) + alive * ((1 - free) ** 2).mean(axis=0)
    found = measures.integrated(np.vstack([errors.mean(axis=0), random]), times)
    return float(found[0]), float(found[1])
