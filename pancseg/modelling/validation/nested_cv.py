"""Validate models by repeated nested cross-validation, fitting everything on training rows.

Rows of one patient stay in one fold. What differs between subtype and survival is in a
:class:`PredictionTask`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from joblib import delayed
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits

from pancseg.modelling.estimators.averaged import Shared, fit_averaged
from pancseg.modelling.estimators.beside import SCORE, BesideScore
from pancseg.modelling.estimators.preparation import taken_tables
from pancseg.modelling.validation.importance import kept_columns, own_weights, permuted_weights
from pancseg.modelling.validation.parallel import in_processes
from pancseg.system.processes.python_child import safe_children


class PredictionTask(Protocol):
    """What is predicted.

    * ``predict`` returns one score per row; higher scores mean the event or the positive class.
    * ``linear`` returns the score on the scale of a linear predictor: log odds or log hazards.
    * ``curves`` returns survival probabilities (rows, times), or None for classes.
    * ``loss`` judges a candidate by its out-of-fold scores of training rows; lower is better.
    * ``threshold`` returns the score that separates high from low risk, from the inner out-of-fold
      scores and the scores of the training rows.
    """

    def predict(self, model: Any, x: np.ndarray) -> np.ndarray: ...  # noqa: D102
    def linear(self, model: Any, x: np.ndarray) -> np.ndarray: ...  # noqa: D102
    def curves(self, model: Any, x: np.ndarray) -> np.ndarray | None: ...  # noqa: D102
    def loss(self, y: np.ndarray, score: np.ndarray, fold: np.ndarray) -> float: ...  # noqa: D102
    def threshold(  # noqa: D102
        self, y: np.ndarray, inner: np.ndarray, training: np.ndarray
    ) -> float: ...


@dataclass(frozen=True)
class FeatureBlock:
    """Columns that are prepared together.

    Attributes:
        x: (n, p) values; column 0 is the batch where ``names`` has one entry fewer.
        names: names of the columns, without the batch.
        preparation: unfitted steps.
    """

    x: np.ndarray
    names: tuple[str, ...]
    preparation: Pipeline


@dataclass(frozen=True)
class ModelSpec:
    """A model to be judged.

    Attributes:
        name: its name in the report.
        blocks: names of the feature blocks whose prepared columns it sees, side by side.
        candidates: unfitted estimators, the simplest first; the inner folds choose one.
        shuffles: number of shuffles of each column among the held-out rows, to weigh the columns of
            a model with neither coefficients nor importances; 0: they are not weighed.
        score_of: name of an earlier model, without such a score of its own, whose score is one more
            column, the last: its inner out-of-fold score where this model is trained.
    """

    name: str
    blocks: tuple[str, ...]
    candidates: tuple[BaseEstimator, ...]
    shuffles: int = 0
    score_of: str | None = None


@dataclass(frozen=True)
class ValidationPlan:
    """The data, models and folds of a validation.

    Attributes:
        y: (n,) outcome.
        strata: (n,) integers that folds are balanced by; odd ones have the event or class 1.
        groups: (n,) rows with equal values stay in one fold.
        blocks: columns by name.
        specs: the models to be judged.
        task: what is predicted.
        outer: number of outer folds.
        inner: number of inner folds.
        repeats: number of times that the folds are drawn.
        seed: random seed of folds and models.
    """

    y: np.ndarray
    strata: np.ndarray
    groups: np.ndarray
    blocks: Mapping[str, FeatureBlock]
    specs: Sequence[ModelSpec]
    task: PredictionTask
    outer: int = 5
    inner: int = 5
    repeats: int = 5
    seed: int = 0


@dataclass(frozen=True)
class FittedModel:
    """A model that was fitted on some rows.

    Attributes:
        preparations: one fitted pipeline per block.
        blocks: names of the blocks.
        model: estimator fitted on the prepared columns of all blocks, side by side.
        columns: names of these columns.
        weights: (columns,) coefficient or importance; 0 if the column is not used, 1 if it is used
            by a model that has neither.
        threshold: score that separates high from low risk.
        choice: index of the chosen candidate.
        beside: weights of the few columns and of the score of a model with ``score_of``.
        flat: whether it predicts the same for all that it was fitted to.
    """

    preparations: tuple[Pipeline, ...]
    blocks: tuple[str, ...]
    model: Any
    columns: tuple[str, ...]
    weights: np.ndarray
    threshold: float
    choice: int
    beside: Mapping[str, float] | None = None
    flat: bool = False

    def prepared(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return (n, columns) prepared values that the model sees, from the values by block."""
        if not self.blocks:
            return np.empty((len(next(iter(x.values()))), 0))
        parts = zip(self.blocks, self.preparations, strict=True)
        return np.hstack([preparation.transform(x[name]) for name, preparation in parts])


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of one model for rows that it was not fitted to.

    Attributes:
        score: (repeats, n).
        threshold: (repeats, n) threshold of the outer fold that a row was tested in.
        curves: (repeats, n, times) survival probabilities, or None.
        weights: for each outer fold, name of a used column → coefficient or importance; of a model
            beside a score, name of each column and ``SCORE``.
        choices: for each outer fold, index of the chosen candidate.
        flat: for each outer fold, whether its model predicts the same for all patients, those that
            it was fitted to included.
    """

    score: np.ndarray
    threshold: np.ndarray
    curves: np.ndarray | None
    weights: tuple[dict[str, float], ...]
    choices: tuple[int, ...]
    flat: tuple[bool, ...] = ()


@dataclass(frozen=True)
class ValidationResult:
    """Out-of-fold predictions of all models on the same folds.

    Attributes:
        folds: (repeats, n) number of the outer fold that a row was tested in.
        models: predictions by name of the model.
    """

    folds: np.ndarray
    models: dict[str, OutOfFold]


def make_folds(strata: np.ndarray, groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return (n,) fold numbers: strata are spread evenly, rows of one group stay together.

    Where every stratum (of outcome and batch) has fewer rows than there are folds, only the outcome
    is spread evenly.
    """
    if (np.unique(strata, return_counts=True)[1] < count).all():
        strata = strata % 2
    unique = len(np.unique(groups)) == len(groups)
    kind = StratifiedKFold if unique else StratifiedGroupKFold
    folds = np.full(len(strata), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about strata with fewer rows than folds
        splits = kind(count, shuffle=True, random_state=seed).split(strata, strata, groups)
        for number, (_, test) in enumerate(splits):
            folds[test] = number
    return folds


def training_parts(plan: ValidationPlan) -> Iterator[np.ndarray]:
    """Yield the rows of every outer and inner training part that :func:`validate` will use."""
    for place, rows in enumerate(outer_parts(plan)):
        yield rows
        repeat, number = divmod(place, plan.outer)
        yield from inner_parts(plan, rows, outer_seed(plan, repeat, number))


def inner_parts(plan: ValidationPlan, rows: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Yield the rows of every inner training part of :func:`fit_specs` on these rows."""
    inner = make_folds(plan.strata[rows], plan.groups[rows], plan.inner, seed)
    yield from (rows[inner != part] for part in range(plan.inner))


def outer_parts(plan: ValidationPlan) -> Iterator[np.ndarray]:
    """Yield the rows of every outer training part, those of the first repeat first."""
    for repeat in range(plan.repeats):
        seed = _seed(plan.seed, repeat, 0)
        outer = make_folds(plan.strata, plan.groups, plan.outer, seed)
        yield from (np.flatnonzero(outer != number) for number in range(plan.outer))


def outer_seed(plan: ValidationPlan, repeat: int, fold: int) -> int:
    """Return the seed that the models of an outer fold are fitted with."""
    return _seed(plan.seed, repeat, fold + 1)


def fit_specs(plan: ValidationPlan, train: np.ndarray, seed: int) -> dict[str, FittedModel]:
    """Fit every model on the training rows alone; inner folds choose its candidate.

    Args:
        plan: the validation plan, with all rows.
        train: indices of the training rows.
        seed: random seed of the inner folds.
    """
    y = plan.y[train]
    folds = make_folds(plan.strata[train], plan.groups[train], plan.inner, seed)
    inner = _inner_scores(plan, train, folds)
    prepared = _prepared(plan, train, plan.blocks)
    found: dict[str, FittedModel] = {}
    for spec in plan.specs:
        scores = inner.scores.get(spec.name)
        if spec.score_of is not None:
            outside = inner.linear[spec.score_of][found[spec.score_of].choice]
            scores = _inner_scores_beside(plan, spec, inner, outside, train, folds)
        choice = 0
        if scores is not None:
            losses = [plan.task.loss(y, score, folds) for score in scores]
            choice = int(np.argmin(np.round(losses, 9)))
        if spec.score_of is None:
            x = _side_by_side(prepared, spec.blocks, train)
            model = _fit(spec.candidates[choice], _tables(prepared, spec.blocks, train), y)
            blocks, beside = spec.blocks, None
        else:
            first = found[spec.score_of]
            blocks = (*first.blocks, *spec.blocks)
            few, x = (_side_by_side(prepared, names, train) for names in (spec.blocks, blocks))
            tables = _tables(prepared, spec.blocks, train)
            last = _fit(spec.candidates[choice], _with_score(tables, outside), y)
            width = x.shape[1] - few.shape[1]
            centre = float(plan.task.linear(first.model, x[:, :width]).mean())
            model = BesideScore(first.model, width, few.shape[1], centre, last, plan.task.linear)
            weights = own_weights(last)
            names = [*_names(prepared, spec.blocks, plan.blocks), SCORE]
            values = np.ones(len(names)) if weights is None else weights
            beside = dict(zip(names, map(float, values), strict=True))
        seen = plan.task.predict(model, x)
        threshold = plan.task.threshold(y, seen if scores is None else scores[choice], seen)
        weights = np.zeros(x.shape[1])
        used, own = kept_columns(model, x.shape[1]), own_weights(model)
        weights[used] = 1.0 if own is None else own[: len(used)]
        found[spec.name] = FittedModel(
            tuple(prepared[name].steps for name in blocks),
            blocks,
            model,
            _names(prepared, blocks, plan.blocks),
            weights,
            threshold,
            choice,
            beside,
            bool(np.ptp(seen) == 0),
        )
    return found


@dataclass(frozen=True)
class _Inner:
    """What the inner folds found.

    Attributes:
        scores: model → (candidates, n) out-of-fold scores.
        linear: model whose score others use → (candidates, n) out-of-fold linear predictors, less
            their mean over the rows that were fitted: two folds' models have two intercepts.
        few: for each fold, the prepared blocks that are put beside a score.
    """

    scores: dict[str, np.ndarray]
    linear: dict[str, np.ndarray]
    few: list[dict[str, _Prepared]]


def _inner_scores(plan: ValidationPlan, train: np.ndarray, folds: np.ndarray) -> _Inner:
    y, n = plan.y[train], len(train)
    beside = [spec for spec in plan.specs if spec.score_of is not None]
    used = {spec.score_of for spec in beside}
    own = [
        spec
        for spec in plan.specs
        if spec.score_of is None
        and (len(spec.candidates) > 1 or _wants_inner_scores(plan.task) or spec.name in used)
    ]
    blocks = {name for spec in (*own, *beside) for name in spec.blocks}
    found = _Inner(
        {spec.name: np.full((len(spec.candidates), n), np.nan) for spec in own},
        {
            spec.name: np.full((len(spec.candidates), n), np.nan)
            for spec in own
            if spec.name in used
        },
        [],
    )
    for number in range(plan.inner if own else 0):
        fit, judge = folds != number, folds == number
        if not judge.any():
            found.few.append({})
            continue
        prepared = _prepared(plan, train[fit], blocks)
        common: dict[tuple[str, ...], Shared] = {}
        for spec in own:
            x = _side_by_side(prepared, spec.blocks, train)
            tables = _tables(prepared, spec.blocks, train[fit])
            shared = common.setdefault(spec.blocks, [{} for _ in tables])
            for index, candidate in enumerate(spec.candidates):
                model = _fit(candidate, tables, y[fit], shared)
                found.scores[spec.name][index, judge] = plan.task.predict(model, x[judge])
                if spec.name in used:
                    own_scale = plan.task.linear(model, x)
                    centred = own_scale[judge] - own_scale[fit].mean()
                    found.linear[spec.name][index, judge] = centred
        few = {name for spec in beside for name in spec.blocks}
        found.few.append({name: prepared[name] for name in few})
    return found


def _inner_scores_beside(
    plan: ValidationPlan,
    spec: ModelSpec,
    inner: _Inner,
    outside: np.ndarray,
    train: np.ndarray,
    folds: np.ndarray,
) -> np.ndarray:
    """Return (candidates, n) out-of-fold scores of a model of few columns beside a score.

    Args:
        plan: the validation plan, with all rows.
        spec: the model.
        inner: what the inner folds found.
        outside: (n,) the score.
        train: (n,) indices of the training rows.
        folds: (n,) inner folds.
    """
    y = plan.y[train]
    found = np.full((len(spec.candidates), len(outside)), np.nan)
    for number, few in enumerate(inner.few):
        fit, judge = folds != number, folds == number
        if not judge.any():
            continue
        x = np.column_stack([_side_by_side(few, spec.blocks, train), outside])
        tables = _with_score(_tables(few, spec.blocks, train[fit]), outside[fit])
        for index, candidate in enumerate(spec.candidates):
            model = _fit(candidate, tables, y[fit])
            found[index, judge] = plan.task.predict(model, x[judge])
    return found


def validate(
    plan: ValidationPlan, workers: int = 1, tell: Callable[[str], None] = lambda line: None
) -> ValidationResult:
    """Return out-of-fold predictions; they do not depend on the number of workers.

    Args:
        plan: what to validate.
        workers: number of processes.
        tell: called with a line after each outer fold.
    """
    n = len(plan.y)
    folds = np.array(
        [
            make_folds(plan.strata, plan.groups, plan.outer, _seed(plan.seed, repeat, 0))
            for repeat in range(plan.repeats)
        ]
    )
    outer = [(r, f) for r in range(plan.repeats) for f in range(plan.outer)]
    jobs = (delayed(_outer_fold)(plan, folds[r] == f, outer_seed(plan, r, f)) for r, f in outer)
    results = []
    with safe_children():
        for (r, f), result in zip(outer, in_processes(jobs, workers), strict=True):
            results.append(result)
            tell(f"repeat {r + 1}, fold {f + 1}")
    models = {}
    for spec in plan.specs:
        parts = [result[spec.name] for result in results]
        score, threshold = np.empty((2, plan.repeats, n))
        first = parts[0].curves
        curves = None if first is None else np.empty((plan.repeats, n, first.shape[1]))
        for (r, f), part in zip(outer, parts, strict=True):
            rows = folds[r] == f
            score[r, rows], threshold[r, rows] = part.score, part.threshold
            if curves is not None:
                curves[r, rows] = part.curves
        models[spec.name] = OutOfFold(
            score,
            threshold,
            curves,
            tuple(part.weights for part in parts),
            tuple(part.choice for part in parts),
            tuple(part.flat for part in parts),
        )
    return ValidationResult(folds, models)


@dataclass(frozen=True)
class _Part:
    """Predictions of one model in one outer fold."""

    score: np.ndarray
    threshold: float
    curves: np.ndarray | None
    weights: dict[str, float]
    choice: int
    flat: bool


def _outer_fold(plan: ValidationPlan, test: np.ndarray, seed: int) -> dict[str, _Part]:
    with threadpool_limits(1):
        fitted = fit_specs(plan, np.flatnonzero(~test), seed)
        found = {}
        values = {name: block.x[test] for name, block in plan.blocks.items()}
        for spec in plan.specs:
            model = fitted[spec.name]
            x = model.prepared(values)
            weights = model.weights
            if spec.shuffles and own_weights(model.model) is None:
                loss = _held_out_loss(plan, test)
                weights = permuted_weights(model.model, x, loss, spec.shuffles, seed)
            used = np.flatnonzero(model.weights)
            named = {model.columns[j]: float(weights[j]) for j in used}
            found[spec.name] = _Part(
                plan.task.predict(model.model, x),
                model.threshold,
                plan.task.curves(model.model, x),
                named if model.beside is None else dict(model.beside),
                model.choice,
                model.flat,
            )
        return found


def _held_out_loss(plan: ValidationPlan, test: np.ndarray) -> Callable[[Any, np.ndarray], float]:
    """Return a function (model, prepared columns of the held-out rows) → loss."""
    y = plan.y[test]
    one_fold = np.zeros(len(y))
    return lambda model, x: plan.task.loss(y, plan.task.predict(model, x), one_fold)


def only(plan: ValidationPlan, name: str) -> ValidationPlan:
    """Return the plan with the model ``name`` alone."""
    specs = [spec for spec in plan.specs if spec.name == name]
    blocks = {block: plan.blocks[block] for spec in specs for block in spec.blocks}
    return replace(plan, specs=specs, blocks=blocks)


@dataclass(frozen=True)
class _Prepared:
    """A block whose preparation was fitted to some rows.

    Attributes:
        steps: the fitted steps.
        x: (all rows, columns) prepared values, gaps filled as in a new patient.
        tables: the rows that were fitted, completed by each imputation; none where gaps are filled
            by medians, one where there was nothing to impute.
    """

    steps: Pipeline
    x: np.ndarray
    tables: Sequence[np.ndarray]


def _prepared(plan: ValidationPlan, rows: np.ndarray, names: Iterable[str]) -> dict[str, _Prepared]:
    """Fit the preparation of blocks on these rows."""
    found = {}
    for name in names:
        block = plan.blocks[name]
        steps = clone(block.preparation).fit(block.x[rows], plan.y[rows])
        found[name] = _Prepared(steps, steps.transform(block.x), taken_tables(steps))
    return found


def _side_by_side(
    prepared: Mapping[str, _Prepared], blocks: Sequence[str], rows: np.ndarray
) -> np.ndarray:
    if not blocks:
        return np.empty((len(rows), 0))
    return np.hstack([prepared[name].x[rows] for name in blocks])


def _tables(
    prepared: Mapping[str, _Prepared], blocks: Sequence[str], rows: np.ndarray
) -> list[np.ndarray]:
    """Return what a model of some blocks is fitted to: a table for each imputation, or one.

    Args:
        prepared: blocks whose preparation was fitted to ``rows``.
        blocks: their names.
        rows: indices of these rows.
    """
    count = max((len(prepared[name].tables) for name in blocks), default=0)
    if count < 2:
        return [_side_by_side(prepared, blocks, rows)]
    parts = [prepared[name].tables or [prepared[name].x[rows]] for name in blocks]
    return [
        np.hstack([part[number % len(part)] for part in parts])  # one table serves for all
        for number in range(count)
    ]


def _with_score(tables: Sequence[np.ndarray], score: np.ndarray) -> list[np.ndarray]:
    return [np.column_stack([each, score]) for each in tables]


def _fit(
    candidate: BaseEstimator,
    tables: Sequence[np.ndarray],
    y: np.ndarray,
    shared: Shared | None = None,
) -> Any:
    """Fit a candidate to one table, or to each of several and average.

    ``shared`` keeps, for each table, what candidates fitted to it have in common.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of solvers: models are judged by their predictions
        if len(tables) > 1:
            return fit_averaged(candidate, tables, y, shared or [{} for _ in tables])
        model, words = clone(candidate), {}
        if shared is not None:
            # of a pipeline the first step alone: later ones see the columns that it selected
            steps = model.steps[:1] if isinstance(model, Pipeline) else [("", model)]
            takes = (name for name, step in steps if has_fit_parameter(step, "shared"))
            words = {f"{name}__shared" if name else "shared": shared[0] for name in takes}
        return model.fit(tables[0], y, **words)


def _wants_inner_scores(task: PredictionTask) -> bool:
    return bool(getattr(task, "threshold_needs_inner", False))


def _seed(seed: int, repeat: int, fold: int) -> int:
    return int(np.random.SeedSequence([seed, repeat, fold]).generate_state(1)[0])


def _names(
    prepared: Mapping[str, _Prepared],
    names: Sequence[str],
    blocks: Mapping[str, FeatureBlock],
) -> tuple[str, ...]:
    """Return the names of the prepared columns of some blocks, side by side."""
    found: list[str] = []
    for name in names:
        clean = prepared[name].steps.named_steps.get("clean")
        kept = range(len(blocks[name].names)) if clean is None else clean.kept_
        found += [blocks[name].names[j] for j in kept]
    return tuple(found)
