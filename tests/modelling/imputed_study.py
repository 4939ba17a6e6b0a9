"""A small study with gaps in features and clinical columns, for tests."""

import numpy as np
from sklearn.pipeline import Pipeline
from small_studies import classes, times

from pancseg.modelling import subtype, survival
from pancseg.modelling.cross_validation.plan import FeatureBlock, ModelSpec, ValidationPlan
from pancseg.modelling.estimators.preparation import plain_preparation, preparation

NAMES = tuple(f"f{j}" for j in range(8))


def small(candidates):
    """The candidates, of forests one with few trees."""
    found = []
    for each in candidates:
        last = each[-1] if isinstance(each, Pipeline) else each
        for name in {"n_estimators", "trees", "max_iter"} & set(last.get_params()):
            last.set_params(**{name: 30})
            return (each,)
        found.append(each)
    return tuple(found)


def study(kind, model, *, batch=False, seed=0, imputations=3):
    """A plan of 90 patients: correlated features, and models as a study has them."""
    random = np.random.default_rng(seed)
    factor = random.normal(size=(90, 1))
    x, few = factor + random.normal(size=(90, 8)), factor + random.normal(size=(90, 3))
    y = (times if kind == "survival" else classes)(x, 2.0, seed)
    x[random.random(x.shape) < 0.15] = np.nan
    few[:, :2][random.random((90, 2)) < 0.3] = np.nan
    codes = np.arange(90) % 2 if batch else None
    values = x if codes is None else np.column_stack([codes, x])
    task_of = survival if kind == "survival" else subtype
    blocks = {
        "radiomics": FeatureBlock(values, NAMES, preparation(None, batch, imputations, seed)),
        "clinical only": FeatureBlock(few, ("a", "b", "c"), plain_preparation(imputations, seed)),
    }
    algorithm = task_of.MODELS[model]
    specs = [
        ModelSpec("radiomics", ("radiomics",), small(algorithm.many(30, seed))),
        ModelSpec("clinical only", ("clinical only",), small(algorithm.few(30, seed))),
        ModelSpec("both", ("clinical only",), small(algorithm.few(30, seed, 4)), 0, "radiomics"),
        ModelSpec("chance", (), task_of.chance()),
    ]
    event = y if y.dtype.names is None else y["event"].astype(int)
    task = (
        subtype.SubtypeTask()
        if kind == "subtype"
        else survival.SurvivalTask(survival.time_grid(y), survival.chosen_horizons(y, ()), 1.0)
    )
    strata = event if codes is None else event + 2 * codes
    return ValidationPlan(
        y, strata, np.arange(90), blocks, specs, task, outer=3, inner=3, repeats=1, seed=seed
    )
