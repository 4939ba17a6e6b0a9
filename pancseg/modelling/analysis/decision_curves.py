"""Net benefit of the models by threshold."""

from __future__ import annotations

import pandas as pd

from pancseg.modelling import survival
from pancseg.modelling.analysis.performance import Judge
from pancseg.modelling.analysis.predicted_risks import risks
from pancseg.modelling.study import RADIOMICS
from pancseg.modelling.validation.net_benefit import decision_curve


def decision_curves(judge: Judge, names: list[str]) -> pd.DataFrame:
    """Return net benefit and its interval by model and threshold.

    Each repeat's predictions are judged on their own, as the saved model is a single model. For
    survival the risk is that at the middle horizon.

    Returns:
        Columns ``model``, ``threshold``, ``net_benefit``, ``low_95``, ``high_95``.
    """
    task = judge.plan.task
    at = task.middle if isinstance(task, survival.SurvivalTask) else 0.0
    parts = []
    for name in [*names, "all"]:
        _, risk, status = next(
            part for part in risks(judge, RADIOMICS if name == "all" else name) if part[0] == at
        )
        wider = 1.0 if name == "all" else judge.wider(name)
        parts.append(decision_curve(name, risk, status, judge.weights, wider))
    return pd.concat(parts, ignore_index=True)
