"""The predicted risks of a model, and what became of the patients by each horizon."""

from __future__ import annotations

import numpy as np

from pancseg.modelling import survival
from pancseg.modelling.analysis.performance import MOST_REPEATS, Judge
from pancseg.modelling.validation.net_benefit import class_status, status_at


def risks(judge: Judge, name: str) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Return horizon, (repeats, n) predicted risks and (repeats, n, 2) status at each horizon."""
    plan, model = judge.plan, judge.validation.models[name]
    task = plan.task
    if model.curves is None or not isinstance(task, survival.SurvivalTask):
        risk = model.score[:MOST_REPEATS]
        return [(0.0, risk, np.tile(class_status(plan.y), (len(risk), 1, 1)))]
    curves = model.curves[:MOST_REPEATS]
    found = []
    for horizon in task.horizons:
        status = np.zeros((*curves.shape[:2], 2))
        for repeat, folds in enumerate(judge.validation.folds[: len(curves)]):
            for fold in np.unique(folds):
                test = folds == fold
                status[repeat, test] = status_at(plan.y[test], plan.y[~test], horizon)
        found.append((horizon, 1 - task.event_free(curves, horizon), status))
    return found
