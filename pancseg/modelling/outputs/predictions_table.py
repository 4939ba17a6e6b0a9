"""``predictions.csv`` and ``folds.csv``: out-of-fold predictions, and the fold of each row."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.survival import SurvivalTask


def predictions_table(
    results: AnalysisResults, joined: JoinedTable, endpoint: Endpoint
) -> pd.DataFrame:
    """Return ``predictions.csv``, from which every number of the report can be computed again.

    A row per model, repeat and patient; for survival a column per time of settings.yaml, and where
    competing events are named the cause: 0 censored, 1 event, 2 competing event.
    """
    parts = []
    for name, model in results.validation.models.items():
        for repeat, score in enumerate(model.score):
            columns: dict[str, Any] = {
                "id": joined.features.index,
                "group": joined.groups,
                "repeat": repeat + 1,
                "fold": results.validation.folds[repeat] + 1,
                "model": name,
                **_outcome_columns(endpoint),
                "score": score,
                "threshold": model.threshold[repeat],
            }
            if model.curves is not None:
                for place, time in enumerate(_curve_times(results)):
                    columns.setdefault(f"event_free_at_{time:.10g}", model.curves[repeat, :, place])
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _curve_times(results: AnalysisResults) -> tuple[float, ...]:
    task = results.plan.task
    return (*task.times, *task.horizons) if isinstance(task, SurvivalTask) else ()


def _outcome_columns(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.kind == "survival":
        found: dict[str, Any] = {
            "event": endpoint.y["event"].astype(int),
            "time": endpoint.y["time"],
        }
        return found if endpoint.cause is None else {**found, "cause": endpoint.cause}
    return {"outcome": endpoint.y}


def folds_table(results: AnalysisResults, joined: JoinedTable) -> pd.DataFrame:
    """Return ``folds.csv``: the outer fold that each row is tested in, a column per repeat."""
    folds = results.validation.folds + 1
    columns = {f"repeat_{r + 1}": row for r, row in enumerate(folds)}
    return pd.DataFrame({"id": joined.features.index, "group": joined.groups, **columns})
