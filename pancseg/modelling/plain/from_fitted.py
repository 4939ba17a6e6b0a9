"""Read the plain numbers of a model out of the fitted scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline

from pancseg.modelling.cross_validation.fitted_models import FittedModel
from pancseg.modelling.cross_validation.importance import kept_columns
from pancseg.modelling.estimators.averaged import AveragedBoosting
from pancseg.modelling.estimators.beside import BesideScore
from pancseg.modelling.estimators.chained import Chained
from pancseg.modelling.estimators.cox import CoxElasticNet, NoPredictors
from pancseg.modelling.estimators.fences import Filled, Winsorised
from pancseg.modelling.estimators.logistic import LogisticModel
from pancseg.modelling.estimators.survival_forest import MartingaleForest
from pancseg.modelling.plain.arrays import Floats
from pancseg.modelling.plain.beside import BESIDE
from pancseg.modelling.plain.model import (
    BatchEffects,
    Imputation,
    PlainModel,
    Scaling,
    UsedColumns,
)
from pancseg.modelling.plain.predictors import (
    BoostedTrees,
    Constant,
    Cox,
    ForestOfClasses,
    KaplanMeier,
    Logistic,
    Predictor,
    SurvivalForest,
)
from pancseg.modelling.plain.trees import Trees


def plain_model(fitted: FittedModel, names: Mapping[str, tuple[str, ...]]) -> PlainModel:
    """Return a fitted model as plain numbers: it predicts the same, to the last bits.

    Args:
        fitted: a model that :func:`..cross_validation.fitted_models.fit_specs` fitted.
        names: names of the columns of each block, without the batch.

    Raises:
        TypeError: an estimator that has no plain form.
    """
    kept = kept_columns(fitted.model, len(fitted.columns))
    parts, first = [], 0
    for block, steps in zip(fitted.blocks, fitted.preparations, strict=True):
        width = len(steps.named_steps["scale"].mean_)
        mine = kept[(kept >= first) & (kept < first + width)] - first
        parts.append(_used_columns(block, names[block], steps, mine))
        first += width
    weights = np.asarray(fitted.weights, dtype=float)[kept]
    predictor = _predictor(_last(fitted.model))
    return PlainModel(tuple(parts), predictor, weights, float(fitted.threshold))


def _used_columns(
    block: str, names: tuple[str, ...], steps: Pipeline, chosen: NDArray[np.intp]
) -> UsedColumns:
    """Return the preparation of some of the columns that ``steps`` returns.

    Every step treats each column on its own, so that the columns left out change nothing.
    """
    scale = steps.named_steps["scale"]
    centre, spread = _floats(scale.mean_[chosen]), _floats(scale.scale_[chosen])
    clean = steps.named_steps.get("clean")
    if clean is None:
        imputer, fences = steps.named_steps["impute"], steps.named_steps["fence"]
        limits = _limits(fences, chosen)
        scaling = Scaling(_floats(imputer.statistics_[chosen]), *limits, centre, spread)
        imputation, beside = _imputation(imputer, fences, chosen, 0)
        return UsedColumns(
            block,
            tuple(names[j] for j in chosen),
            scaling,
            None,
            imputation,
            tuple(names[j] for j in beside),
        )
    among = clean.unredundant_.kept_[chosen]  # of the columns that were imputed
    median = clean.imputer_.statistics_[int(clean.batch) :][among]
    limits = _limits(clean.fences_, among + int(clean.batch))
    imputation, beside = _imputation(clean.imputer_, clean.fences_, among, int(clean.batch))
    varied = clean.varied_.kept_[int(clean.batch) :] - int(clean.batch)
    effects = None if clean.combat_ is None else _effects(clean.combat_, among)
    used = tuple(names[j] for j in clean.kept_[chosen])
    scaling = Scaling(_floats(median), *limits, centre, spread)
    more = tuple(names[j] for j in varied[beside])
    return UsedColumns(block, used, scaling, effects, imputation, more)


def _imputation(
    imputer: Filled | Chained, fences: Winsorised, columns: NDArray[np.intp], codes: int
) -> tuple[Imputation | None, NDArray[np.intp]]:
    """Return the equations for some columns, if any, and the other columns that they use.

    Args:
        imputer: the fitted step.
        fences: of its columns, with ``codes`` columns before them.
        columns: indices of the columns wanted.
        codes: 1 where the first column is the code of a batch, else 0.
    """
    nothing = None, np.zeros(0, np.intp)
    if isinstance(imputer, Filled) or not np.isin(columns, imputer.equations_.target).any():
        return nothing
    equations, all_columns = imputer.equations_.restricted(columns)
    limits = _limits(fences, all_columns + codes)
    return Imputation(*limits, equations), all_columns[len(columns) :]


def _limits(fitted: Winsorised, columns: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return the fences of some columns as finite numbers."""
    low, high = fitted.low_[columns], fitted.high_[columns]
    most = np.finfo(np.float64).max
    return _floats(np.clip(low, -most, most)), _floats(np.clip(high, -most, most))


def _effects(combat: Any, among: NDArray[np.intp]) -> BatchEffects:
    return BatchEffects(
        np.ascontiguousarray(combat.batches_, dtype=np.int64),
        _floats(combat.mean_[among]),
        _floats(combat.scale_[among]),
        _floats(combat.shift_[:, among]),
        _floats(combat.spread_[:, among]),
    )


def _last(model: Any) -> Any:
    return model[-1] if isinstance(model, Pipeline) else model


def _predictor(model: Any) -> Predictor:
    match model:
        case BesideScore():
            return _beside(model)
        case LogisticModel():
            return Logistic(_floats(model.coef_), _floats([model.intercept_]))
        case DummyClassifier():
            return Constant(_floats(model.class_prior_[1:]))
        case RandomForestClassifier():
            return ForestOfClasses(_forest(model, 1))
        case HistGradientBoostingClassifier():
            return _boosting([model])
        case AveragedBoosting():
            return _boosting(model.models_)
        case CoxElasticNet():
            return _cox(model)
        case MartingaleForest():
            return SurvivalForest(_forest(model.forest_, 0), _cox(model.cox_))
        case NoPredictors():
            return KaplanMeier(_floats(model.times_), _floats(model.survival_))
    raise TypeError(f"{type(model).__name__} has no plain form; add it to {__name__}")


def _beside(model: BesideScore) -> Predictor:
    """Return a linear model of all columns, or both models of trees."""
    first, last = _predictor(_last(model.first)), _predictor(model.last)
    match first, last:
        case Logistic(), Logistic():
            few, slope = last.coefficients[:-1], last.coefficients[-1]
            intercept = last.intercept + slope * (first.intercept - model.centre)
            return Logistic(_floats([*(slope * first.coefficients), *few]), _floats(intercept))
        case Cox(), Cox():
            few, slope = last.coefficients[:-1], last.coefficients[-1]
            coefficients = _floats([*(slope * first.coefficients), *few])
            # The last model's mean of the score, as a shift of the first model's columns.
            squares = float(first.coefficients @ first.coefficients)
            shift = first.coefficients * (model.centre + last.mean[-1]) / (squares or 1.0)
            mean = _floats([*(first.mean + shift), *last.mean[:-1]])
            return Cox(coefficients, mean, last.times, last.hazard)
        case (ForestOfClasses(), ForestOfClasses()) | (BoostedTrees(), BoostedTrees()) | (
            SurvivalForest(), SurvivalForest()
        ):  # fmt: skip
            count = np.array([model.few], dtype=np.int64)
            found: Predictor = BESIDE[type(first)](first, last, _floats([model.centre]), count)
            return found
    raise TypeError(f"{type(first).__name__} beside {type(last).__name__} has no plain form")


def _cox(model: CoxElasticNet) -> Cox:
    numbers = (model.coef_, model.mean_, model.times_, model.cumulative_hazard_)
    return Cox(*map(_floats, numbers))


def _forest(model: Any, output: int) -> Trees:
    """Return the trees of a random forest; ``output`` is the class, or 0 for a regression."""
    return _joined(
        [
            (tree.feature, tree.threshold, tree.children_left, tree.children_right, value)
            for tree in (each.tree_ for each in model.estimators_)
            for value in (tree.value[:, 0, output],)
        ]
    )


def _boosting(models: Sequence[HistGradientBoostingClassifier]) -> BoostedTrees:
    """Return boosted trees, of several models those whose log odds are the mean of theirs."""
    baselines = [np.ravel(each._baseline_prediction) for each in models]
    trees = [tree for each in models for tree in _boosted(each, len(models))]
    return BoostedTrees(_floats(np.mean(baselines, axis=0)), _joined(trees))


def _boosted(model: HistGradientBoostingClassifier, share: int) -> list[tuple[NDArray[Any], ...]]:
    """Return the trees of gradient boosting on numbers without gaps, with values / ``share``."""
    found: list[tuple[NDArray[Any], ...]] = []
    for (tree,) in model._predictors:
        nodes = tree.nodes
        if nodes["is_categorical"].any():
            raise TypeError("trees that split categories have no plain form")
        inner = nodes["is_leaf"] == 0
        left, right = (
            np.where(inner, nodes[side].astype(np.int64), -1) for side in ("left", "right")
        )
        value = nodes["value"] / share
        found.append((nodes["feature_idx"], nodes["num_threshold"], left, right, value))
    return found


def _joined(trees: list[tuple[NDArray[Any], ...]]) -> Trees:
    """Put trees, each (feature, threshold, left, right, value), one after the other.

    In the arrays given, a leaf has no children: -1.
    """
    sizes = [len(tree[0]) for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
    feature, threshold, left, right, value = [], [], [], [], []
    for root, tree in zip(roots, trees, strict=True):
        leaf = tree[2] < 0
        feature.append(np.where(leaf, 0, tree[0]))
        threshold.append(np.where(leaf, 0.0, tree[1]))
        left.append(np.where(leaf, 0, tree[2] + root))
        right.append(np.where(leaf, 0, tree[3] + root))
        value.append(np.where(leaf, tree[4], 0.0))
    whole = [np.concatenate(part) for part in (feature, threshold, left, right, value)]
    return Trees(
        roots,
        whole[0].astype(np.int64),
        _floats(whole[1]),
        whole[2].astype(np.int64),
        whole[3].astype(np.int64),
        _floats(whole[4]),
    )


def _floats(values: Any) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float64)
