"""``settings.yaml``: every choice of an analysis."""

from __future__ import annotations

from typing import Any

import yaml

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.described import described
from pancseg.modelling.inputs.features_table import TableOptions, TableOrigin
from pancseg.modelling.report.report import made_by
from pancseg.modelling.survival import SurvivalTask
from pancseg.system.version import __version__


def settings_text(
    results: AnalysisResults, endpoint: Endpoint, options: TableOptions, origin: TableOrigin
) -> str:
    """Return the text of ``settings.yaml``: every choice, without paths or a time stamp."""
    content = {
        "pancseg": __version__,
        "made_by": made_by(),
        "outcome": list(endpoint.columns),
        "classes": list(endpoint.classes),
        "settings": results.settings.model_dump(),
        "features": {
            name: value for name, value in plain_origin(origin).items() if name != "features"
        },
        "table": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(options).items()
        },
        "times": _times(results),
        "models": {spec.name: len(spec.candidates) for spec in results.plan.specs},
        "candidates": {
            spec.name: [described(each) for each in spec.candidates]
            for spec in results.plan.specs
            if len(spec.candidates) > 1
        },
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _times(results: AnalysisResults) -> dict[str, list[float]]:
    """Return the times that predictions.csv gives probabilities for."""
    task = results.plan.task
    if not isinstance(task, SurvivalTask):
        return {}
    return {"horizons": list(task.horizons), "integrated_brier": list(task.times)}


def plain_origin(origin: TableOrigin) -> dict[str, Any]:
    """Return a table's origin as plain lists and text."""
    levels = {name: list(texts) for name, texts in origin.levels.items()}
    lists = {"features": list(origin.features), "grids": list(origin.grids)}
    return {**vars(origin), **lists, "levels": levels}
