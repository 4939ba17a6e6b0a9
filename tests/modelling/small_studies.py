"""Small studies for tests: one block of features, one spec; tables for model and predict."""

import numpy as np
import pandas as pd

from pancseg.modelling import subtype, survival
from pancseg.modelling.cross_validation.plan import FeatureBlock, ModelSpec, ValidationPlan
from pancseg.modelling.estimators.preparation import preparation
from pancseg.modelling.estimators.survival_array import survival_outcome


def features(seed, n=100, p=40):
    return np.random.default_rng(seed).normal(size=(n, p))


def classes(x, strength, seed):
    noise = np.random.default_rng([seed, 1]).logistic(size=len(x))
    return (strength * x[:, 0] + noise > 0).astype(int)


def times(x, strength, seed):
    random = np.random.default_rng([seed, 2])
    death = random.exponential(np.exp(-strength * x[:, 0]))
    censored = random.exponential(2.0, len(x))
    return survival_outcome(death < censored, np.minimum(death, censored))


def events_first(time, event):
    """Return times with events a little earlier than censorings at the same time.

    scikit-survival weights an event at t by 1 / G(t), which is G(t−) for an event just before.
    """
    return np.where(np.asarray(event) == 1, np.asarray(time) - 1e-7, time)


def study(x, y, model="elastic-net", repeats=1, seed=0, batch=None, shuffles=0):
    names = tuple(f"f{j}" for j in range(x.shape[1]))
    values = x if batch is None else np.column_stack([batch, x])
    blocks = {"radiomics": FeatureBlock(values, names, preparation(None, batch is not None))}
    event = y if y.dtype.names is None else y["event"].astype(int)
    kind = subtype if y.dtype.names is None else survival
    task = (
        subtype.SubtypeTask()
        if kind is subtype
        else survival.SurvivalTask(
            survival.time_grid(y),
            survival.chosen_horizons(y, ()),
            survival.middle_horizon(y, ()),
        )
    )
    smaller = int(min(event.sum(), len(event) - event.sum())) * 4 // 5
    spec = ModelSpec("radiomics", ("radiomics",), kind.MODELS[model].many(smaller, seed), shuffles)
    strata = event if batch is None else event + 2 * batch
    return ValidationPlan(
        y, strata, np.arange(len(y)), blocks, [spec], task, inner=3, repeats=repeats, seed=seed
    )


def written_tables(n, folder, name, seed, shift=0.0):
    """Write features and outcomes (time, event, class) of n patients; return both paths."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 3)) + np.array([shift, 0, 0])
    ids = pd.Index([f"{name}{i:03d}" for i in range(n)], name="id")
    paths = folder / f"{name}_f.csv", folder / f"{name}_c.csv"
    pd.DataFrame(x, columns=["a", "b", "volume_ml"], index=ids).to_csv(paths[0])
    death, censored = random.exponential(10 * np.exp(-x[:, 0])), random.exponential(20, n)
    table = pd.DataFrame({"time": np.minimum(death, censored).round(1) + 0.1}, index=ids)
    table["event"] = death <= censored
    table["class"] = np.where(x[:, 0] + random.logistic(size=n) > 0, "high", "low")
    table.to_csv(paths[1])
    return paths
