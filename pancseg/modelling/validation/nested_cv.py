"""Owns repeated nested cross-validation: patients never parted, everything fitted on training rows.

Knows nothing about files or reports. What differs between subtype and survival is in a
``PredictionTask``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from pancseg.modelling.validation.importance import kept_columns, own_weights, permuted_weights


class PredictionTask(Protocol):
    """What is predicted.

    * ``predict`` gives one score per row, higher means the event or the positive class.
    * ``curves`` gives survival probabilities (rows, times), or None for classes.
    * ``loss`` judges out-of-fold scores of candidates inside the training rows; lower is better.
    * ``threshold`` parts high from low, from inner out-of-fold scores and training scores.
    """

    def predict(self, model: Any, x: np.ndarray) -> np.ndarray: ...  # noqa: D102
    def curves(self, model: Any, x: np.ndarray) -> np.ndarray | None: ...  # noqa: D102
    def loss(self, y: np.ndarray, score: np.ndarray, fold: np.ndarray) -> float: ...  # noqa: D102
    def threshold(  # noqa: D102
        self, y: np.ndarray, inner: np.ndarray, training: np.ndarray
    ) -> float: ...


@dataclass(frozen=True)
class FeatureBlock:
    """Columns that are prepared together.

    Attributes:
        x: (n, p) values; column 0 is the batch where ``names`` has one entry less.
        names: of the columns without the batch.
        preparation: unfitted steps.
    """

    x: np.ndarray
    names: tuple[str, ...]
    preparation: Pipeline


@dataclass(frozen=True)
class ModelSpec:
    """A model to be judged.

    Attributes:
        name: as in the report.
        blocks: whose prepared columns it sees, side by side.
        candidates: unfitted estimators, the simplest first; one is chosen inside.
        shuffles: of each column among the rows held out, to weigh the columns of a model that has
            neither coefficients nor importances; 0: they are not weighed.
    """

    name: str
    blocks: tuple[str, ...]
    candidates: tuple[BaseEstimator, ...]
    shuffles: int = 0


@dataclass(frozen=True)
class ValidationPlan:
    """Everything that validation needs.

    Attributes:
        y: (n,) outcome. ``strata``: (n,) what folds are balanced by. ``groups``: (n,) patients.
        blocks, recipes, task: see there.
        outer, inner, repeats: folds and how often they are drawn.
        seed: of folds and models.
    """

    y: np.ndarray
    strata: np.ndarray
    groups: np.ndarray
    blocks: Mapping[str, FeatureBlock]
    recipes: Sequence[ModelSpec]
    task: PredictionTask
    outer: int = 5
    inner: int = 5
    repeats: int = 5
    seed: int = 0


@dataclass(frozen=True)
class FittedModel:
    """A recipe fitted on some rows.

    Attributes:
        preparations: one fitted pipeline per block of the recipe.
        blocks: their names.
        model: fitted estimator on the prepared columns side by side.
        columns: names of these. ``weights``: (columns,) coefficient or importance, 0 if not used; 1
            if used by a model that has neither.
        threshold: parts high from low.
        choice: index of the candidate chosen.
    """

    preparations: tuple[Pipeline, ...]
    blocks: tuple[str, ...]
    model: Any
    columns: tuple[str, ...]
    weights: np.ndarray
    threshold: float
    choice: int

    def prepared(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return what the model sees of each block's values."""
        if not self.blocks:
            return np.empty((len(next(iter(x.values()))), 0))
        parts = zip(self.blocks, self.preparations, strict=True)
        return np.hstack([preparation.transform(x[name]) for name, preparation in parts])


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of one recipe for rows that its models had not seen.

    Attributes:
        score, threshold: (repeats, n).
        curves: (repeats, n, times), or None.
        weights: per outer model, name of a column used → coefficient or importance.
        choices: per outer model, the candidate chosen.
    """

    score: np.ndarray
    threshold: np.ndarray
    curves: np.ndarray | None
    weights: tuple[dict[str, float], ...]
    choices: tuple[int, ...]


@dataclass(frozen=True)
class ValidationResult:
    """Out-of-fold predictions of all recipes on the same folds: ``folds`` is (repeats, n)."""

    folds: np.ndarray
    models: dict[str, OutOfFold]


def make_folds(strata: np.ndarray, groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return (n,) fold numbers: strata spread evenly, rows of one group together.

    Where no stratum (outcome, and batch) has a row for each fold, the outcome's alone are spread.
    """
    if (np.unique(strata, return_counts=True)[1] < count).all():
        strata = strata % 2
    unique = len(np.unique(groups)) == len(groups)
    kind = StratifiedKFold if unique else StratifiedGroupKFold
    folds = np.full(len(strata), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # strata smaller than folds are spread anyway
        splits = kind(count, shuffle=True, random_state=seed).split(strata, strata, groups)
        for number, (_, test) in enumerate(splits):
            folds[test] = number
    return folds


def training_parts(study: ValidationPlan) -> Iterator[np.ndarray]:
    """Yield the rows of every part that something is fitted on, as :func:`validate` will."""
    for repeat in range(study.repeats):
        seed = _seed(study.seed, repeat, 0)
        outer = make_folds(study.strata, study.groups, study.outer, seed)
        for number in range(study.outer):
            rows = np.flatnonzero(outer != number)
            yield rows
            seed = _seed(study.seed, repeat, number + 1)
            inner = make_folds(study.strata[rows], study.groups[rows], study.inner, seed)
            yield from (rows[inner != part] for part in range(study.inner))


def fit_recipes(study: ValidationPlan, train: np.ndarray, seed: int) -> dict[str, FittedModel]:
    """Fit every recipe on the training rows alone, its candidate chosen by inner folds.

    Args:
        study: all rows.
        train: indices of those that may be looked at.
        seed: of the inner folds.
    """
    y = study.y[train]
    folds = make_folds(study.strata[train], study.groups[train], study.inner, seed)
    inner = {
        recipe.name: np.full((len(recipe.candidates), len(train)), np.nan)
        for recipe in study.recipes
        if len(recipe.candidates) > 1 or _wants_inner_scores(study.task)
    }
    for number in range(study.inner):
        fit, judge = folds != number, folds == number
        if not inner or not judge.any():
            continue
        prepared = _prepared(study, train[fit])
        for recipe in study.recipes:
            x = _side_by_side(prepared, recipe, train)
            for place, candidate in enumerate(recipe.candidates):
                if recipe.name in inner:
                    model = _fit(candidate, x[fit], y[fit])
                    inner[recipe.name][place, judge] = study.task.predict(model, x[judge])
    prepared = _prepared(study, train)
    found = {}
    for recipe in study.recipes:
        scores = inner.get(recipe.name)
        choice = 0
        if scores is not None:
            losses = [study.task.loss(y, score, folds) for score in scores]
            choice = int(np.argmin(np.round(losses, 9)))
        x = _side_by_side(prepared, recipe, train)
        model = _fit(recipe.candidates[choice], x, y)
        own = study.task.predict(model, x)
        threshold = study.task.threshold(y, own if scores is None else scores[choice], own)
        columns, weights = _weights(prepared, recipe, study.blocks, model, x.shape[1])
        steps = tuple(prepared[name][0] for name in recipe.blocks)
        found[recipe.name] = FittedModel(
            steps, recipe.blocks, model, columns, weights, threshold, choice
        )
    return found


def validate(
    study: ValidationPlan, workers: int = 1, tell: Callable[[str], None] = lambda line: None
) -> ValidationResult:
    """Return out-of-fold predictions; the same whatever the number of workers.

    Args:
        study: what to validate.
        workers: processes.
        tell: called after each outer fold.
    """
    n = len(study.y)
    folds = np.array(
        [
            make_folds(study.strata, study.groups, study.outer, _seed(study.seed, repeat, 0))
            for repeat in range(study.repeats)
        ]
    )
    places = [(r, f) for r in range(study.repeats) for f in range(study.outer)]
    jobs = (
        delayed(_outer_fold)(study, folds[r] == f, _seed(study.seed, r, f + 1)) for r, f in places
    )
    results = []
    for (r, f), result in zip(
        places, Parallel(n_jobs=workers, return_as="generator")(jobs), strict=True
    ):
        results.append(result)
        tell(f"repeat {r + 1}, fold {f + 1}")
    models = {}
    for recipe in study.recipes:
        parts = [result[recipe.name] for result in results]
        score, threshold = np.empty((2, study.repeats, n))
        first = parts[0].curves
        curves = None if first is None else np.empty((study.repeats, n, first.shape[1]))
        for (r, f), part in zip(places, parts, strict=True):
            rows = folds[r] == f
            score[r, rows], threshold[r, rows] = part.score, part.threshold
            if curves is not None:
                curves[r, rows] = part.curves
        models[recipe.name] = OutOfFold(
            score,
            threshold,
            curves,
            tuple(part.weights for part in parts),
            tuple(part.choice for part in parts),
        )
    return ValidationResult(folds, models)


@dataclass(frozen=True)
class _Part:
    """One recipe's predictions in one outer fold."""

    score: np.ndarray
    threshold: float
    curves: np.ndarray | None
    weights: dict[str, float]
    choice: int


def _outer_fold(study: ValidationPlan, test: np.ndarray, seed: int) -> dict[str, _Part]:
    with threadpool_limits(1):
        fitted = fit_recipes(study, np.flatnonzero(~test), seed)
        found = {}
        values = {name: block.x[test] for name, block in study.blocks.items()}
        for recipe in study.recipes:
            model = fitted[recipe.name]
            x = model.prepared(values)
            weights = model.weights
            if recipe.shuffles and own_weights(model.model) is None:
                loss = _held_out_loss(study, test)
                weights = permuted_weights(model.model, x, loss, recipe.shuffles, seed)
            used = np.flatnonzero(model.weights)
            found[recipe.name] = _Part(
                study.task.predict(model.model, x),
                model.threshold,
                study.task.curves(model.model, x),
                {model.columns[j]: float(weights[j]) for j in used},
                model.choice,
            )
        return found


def _held_out_loss(study: ValidationPlan, test: np.ndarray) -> Callable[[Any, np.ndarray], float]:
    """Return the task's loss of a model on the rows held out, given what it sees of them."""
    y = study.y[test]
    one_fold = np.zeros(len(y))
    return lambda model, x: study.task.loss(y, study.task.predict(model, x), one_fold)


def only(study: ValidationPlan, name: str) -> ValidationPlan:
    """Return a study of one recipe."""
    recipes = [recipe for recipe in study.recipes if recipe.name == name]
    blocks = {block: study.blocks[block] for recipe in recipes for block in recipe.blocks}
    return replace(study, recipes=recipes, blocks=blocks)


def _prepared(study: ValidationPlan, rows: np.ndarray) -> dict[str, tuple[Pipeline, np.ndarray]]:
    """Fit each block's preparation on these rows; return it and all rows prepared by it."""
    found = {}
    for name, block in study.blocks.items():
        steps = clone(block.preparation).fit(block.x[rows], study.y[rows])
        found[name] = (steps, steps.transform(block.x))
    return found


def _side_by_side(
    prepared: Mapping[str, tuple[Pipeline, np.ndarray]], recipe: ModelSpec, rows: np.ndarray
) -> np.ndarray:
    if not recipe.blocks:
        return np.empty((len(rows), 0))
    return np.hstack([prepared[name][1][rows] for name in recipe.blocks])


def _fit(candidate: BaseEstimator, x: np.ndarray, y: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # solvers' remarks; the report judges by what comes out
        return clone(candidate).fit(x, y)


def _wants_inner_scores(task: PredictionTask) -> bool:
    return bool(getattr(task, "threshold_needs_inner", False))


def _seed(seed: int, repeat: int, fold: int) -> int:
    return int(np.random.SeedSequence([seed, repeat, fold]).generate_state(1)[0])


def _weights(
    prepared: Mapping[str, tuple[Pipeline, np.ndarray]],
    recipe: ModelSpec,
    blocks: Mapping[str, FeatureBlock],
    model: Any,
    width: int,
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return names of the columns that the model saw and their coefficients or importances."""
    names: list[str] = []
    for name in recipe.blocks:
        clean = prepared[name][0].named_steps.get("clean")
        places = range(len(blocks[name].names)) if clean is None else clean.kept_
        names += [blocks[name].names[j] for j in places]
    weights = np.zeros(width)
    kept, own = kept_columns(model, width), own_weights(model)
    weights[kept] = 1.0 if own is None else own[: len(kept)]
    return tuple(names), weights
