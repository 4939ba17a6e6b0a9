"""Plan the validation of a cohort: radiomics, and the simpler models that it is compared with."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pancseg.modelling import subtype, survival
from pancseg.modelling.algorithm import distinct
from pancseg.modelling.cross_validation.folds import training_parts
from pancseg.modelling.cross_validation.importance import SHUFFLES
from pancseg.modelling.cross_validation.plan import FeatureBlock, ModelSpec, ValidationPlan
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.preparation import plain_preparation, preparation
from pancseg.modelling.inputs.clinical import indicator
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.refusals import (
    refuse_few_groups,
    refuse_lonely_class,
    smaller_group,
)
from pancseg.modelling.settings import ModelSettings

RADIOMICS, VOLUME, CLINICAL, CHANCE = "radiomics", "volume only", "clinical only", "chance"
SINGLE = "best single feature"
BOTH = "clinical + radiomics"
SHOWN = (RADIOMICS, VOLUME, CLINICAL, BOTH)
"""Models that are judged in sites and in new patients, and that have curves.

Other algorithms, the best single feature and chance have a row in the table of performance.
"""


def _in_training(count: int, settings: ModelSettings) -> int:
    """Return the number of patients, of ``count``, that an outer fold trains on."""
    return count * (settings.outer - 1) // settings.outer


def make_study(
    joined: JoinedTable,
    endpoint: Endpoint,
    settings: ModelSettings,
    stability: pd.Series[float] | None = None,
) -> ValidationPlan:
    """Return the validation plan of a cohort: radiomics, and the simpler models to compare it with.

    Args:
        joined: the cohort.
        endpoint: the endpoint of the same rows.
        settings: the choices made beforehand.
        stability: ICC by feature name.

    Raises:
        ValueError: no such model, or the folds need more groups of rows than there are.
    """
    kind = subtype if endpoint.kind == "subtype" else survival
    models = kind.MODELS
    if settings.model not in models:
        raise ValueError(
            f"`model`: unknown model {settings.model!r}; choose from {', '.join(models)}"
        )
    refuse_few_groups(len(np.unique(joined.groups)), settings)
    refuse_lonely_class(joined, endpoint)
    icc = None if stability is None else tuple(stability.reindex(joined.features.columns))
    blocks = {RADIOMICS: _radiomics(joined, icc, settings)}
    for name, frame in ((VOLUME, joined.volume), (CLINICAL, joined.clinical)):
        if frame.shape[1]:
            fixed = tuple(np.flatnonzero(frame.columns.isin(_of_texts(joined))).tolist())
            steps = plain_preparation(settings.imputations, settings.seed, fixed)
            blocks[name] = FeatureBlock(frame.to_numpy(float), tuple(map(str, frame)), steps)
    smaller = _in_training(smaller_group(joined, endpoint), settings)
    declared = models[settings.model]
    few = declared.few(smaller, settings.seed)
    width = joined.features.shape[1]
    many = distinct(declared.many(smaller, settings.seed), width)
    specs = [ModelSpec(RADIOMICS, (RADIOMICS,), many, SHUFFLES)]
    for name, other in models.items():
        if name != settings.model:
            title = f"{RADIOMICS}, {name.replace('-', ' ')}"
            others = distinct(other.many(smaller, settings.seed), width)
            specs.append(ModelSpec(title, (RADIOMICS,), others))
    specs.append(ModelSpec(SINGLE, (RADIOMICS,), declared.single(smaller, settings.seed)))
    specs += [ModelSpec(name, (name,), few) for name in (VOLUME, CLINICAL) if name in blocks]
    if CLINICAL in blocks:
        columns = joined.clinical.shape[1] + 1
        both = declared.few(smaller, settings.seed, rising=columns)
        specs.append(ModelSpec(BOTH, (CLINICAL,), both, score_of=RADIOMICS))
    specs.append(ModelSpec(CHANCE, (), kind.chance()))
    task = (
        subtype.SubtypeTask()
        if endpoint.kind == "subtype"
        else survival.SurvivalTask(
            survival.time_grid(endpoint.y),
            survival.chosen_horizons(endpoint.y, settings.horizons),
            survival.middle_horizon(endpoint.y, settings.horizons),
        )
    )
    plan = ValidationPlan(
        endpoint.y,
        _strata(endpoint.strata, joined.batch),
        joined.groups,
        blocks,
        specs,
        task,
        settings.outer,
        settings.inner,
        settings.repeats,
        settings.seed,
    )
    _refuse_folds_without(plan, endpoint)
    return plan


def batch_codes(batch: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the (n,) codes of the rows' scanners or sites, and the names by code."""
    names, codes = np.unique(batch, return_inverse=True)
    return codes, tuple(str(name) for name in names)


def _of_texts(joined: JoinedTable) -> list[str]:
    """Return the names of the 0/1 columns of texts, which would not stay one of several levels."""
    levels = joined.origin.levels
    return [indicator(name, level) for name, texts in levels.items() for level in texts[1:]]


def _radiomics(
    joined: JoinedTable, icc: tuple[float, ...] | None, settings: ModelSettings
) -> FeatureBlock:
    x = joined.features.to_numpy(float)
    if joined.batch is not None:
        x = np.column_stack([batch_codes(joined.batch)[0], x])
    names = tuple(joined.features.columns)
    steps = preparation(icc, joined.batch is not None, settings.imputations, settings.seed)
    return FeatureBlock(x, names, steps)


def _strata(strata: np.ndarray, batch: np.ndarray | None) -> np.ndarray:
    """Return strata of outcome and batch together, so that every fold has all batches."""
    return strata if batch is None else strata + 2 * batch_codes(batch)[0]


def _refuse_folds_without(plan: ValidationPlan, endpoint: Endpoint) -> None:
    """Refuse a plan in which a training part has only one class, or no event."""
    codes = {1} if endpoint.kind == "survival" else {0, 1}
    for train in training_parts(plan):
        if not codes <= set(endpoint.strata[train]):
            what = "no event" if endpoint.kind == "survival" else "only one class"
            raise ValueError(
                f"a fold would have {what} to train on, because a few groups of rows that stay "
                "together contain most of the others; take fewer folds (`folds`) or another `group`"
            )
